"""A sweep: in what order cells are measured, and what is kept of it."""
