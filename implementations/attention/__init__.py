"""Attention cores, one file each: (query, key, value) -> output."""
