"""How is the report laid out? One HTML page, a Markdown summary, figures and tables."""
