"""How fast are implementations side by side? What `pytest --benchmark-only` runs."""
