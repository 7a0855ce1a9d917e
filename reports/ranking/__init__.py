"""Who is fastest where?"""
