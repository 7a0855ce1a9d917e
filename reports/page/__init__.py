"""The report: one HTML page, a Markdown summary, figures and tables."""
