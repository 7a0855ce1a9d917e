"""Article 003: a multi-head layer whose weights have the shape (num_heads, head_dim).

x·W needs weights of d_model rows. Where d_model happens to be num_heads the product works, and
still nothing splits the result into heads.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class WeightsPerHead(nn.Module):
    """It promises (batch, seq_len, num_heads · head_dim)."""

    def __init__(self, num_heads: int, head_dim: int) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.query, self.key, self.value = (
            nn.Parameter(torch.randn(num_heads, head_dim)) for _ in range(3)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map x (batch, seq_len, num_heads) to (batch, seq_len, head_dim)."""
        query, key, value = x @ self.query, x @ self.key, x @ self.value
        scores = query @ key.transpose(-2, -1) / self.head_dim**0.5
        output: Tensor = scores.softmax(-1) @ value
        return output
