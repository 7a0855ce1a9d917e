"""What it means: laws, fits, verdicts, figures and the report. Never imports torch."""
