"""How anybody's file becomes one table, with its columns and their units."""
