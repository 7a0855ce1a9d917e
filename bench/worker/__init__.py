"""What does a measuring process do? It reads requests and answers them."""
