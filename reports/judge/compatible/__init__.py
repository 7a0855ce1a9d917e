"""All laws that fit the cells as well, and what follows from them."""
