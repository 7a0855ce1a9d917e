"""How are the articles' claims and examples told?"""
