"""Faulty kernels that the gate must catch, and unusual ones that it must let through."""
