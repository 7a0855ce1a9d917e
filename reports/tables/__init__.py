"""How does anybody's file become one table, with its columns and their units?"""
