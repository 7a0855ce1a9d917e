"""Does Table 1 of "Attention Is All You Need" hold? Published, counted and measured, row by row."""
