"""Under what circumstances was it measured, and what else varied?"""
