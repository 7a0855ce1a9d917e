"""Costs without noise: counted operations, bytes and memory."""
