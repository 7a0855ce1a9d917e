"""How is a verdict told?"""
