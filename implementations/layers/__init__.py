"""Layers with their projections, one file each: x (batch, seq_len, d_model) -> the same shape."""
