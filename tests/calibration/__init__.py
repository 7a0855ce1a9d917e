"""Simulated sweeps with known laws: how often a verdict is wrong, and what intervals cover."""
