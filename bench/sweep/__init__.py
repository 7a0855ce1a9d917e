"""In what order are cells measured, and what is kept of it?"""
