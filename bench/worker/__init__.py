"""The measuring process's own side: it reads requests and answers them."""
