"""How is a number, an interval or a name said?"""
