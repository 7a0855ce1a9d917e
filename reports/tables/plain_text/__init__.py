"""What is a table that is text: what divides it, and how are its numbers written?"""
