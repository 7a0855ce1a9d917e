"""How a verdict is told."""
