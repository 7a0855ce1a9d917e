"""What does a marked test claim, and what came of it?"""
