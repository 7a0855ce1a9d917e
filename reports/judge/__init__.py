"""Which law holds, and how surely?"""
