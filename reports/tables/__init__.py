"""How does anybody's file become one table? Formats, columns and units."""
