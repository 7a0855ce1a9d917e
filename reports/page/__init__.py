"""What is in a report: one HTML page, a Markdown summary, figures and tables?"""
