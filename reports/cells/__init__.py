"""Which rows are one cell, and what is its value?"""
