"""What is faster, and what changed since the run before?"""
