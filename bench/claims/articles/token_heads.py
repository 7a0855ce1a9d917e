"""Article 001: multi-head attention that views the projections as (tokens, heads, head_dim).

The heads of one token attend to each other; tokens never mix.
"""

from __future__ import annotations

from torch import Tensor, nn


class TokenHeads(nn.Module):
    """As published: it uses `math`, and nothing has imported that."""

    def __init__(self, d_model: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads, self.head_dim = num_heads, d_model // num_heads
        self.query, self.key = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)
        self.value, self.output = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (batch, seq_len, d_model) to the same shape."""
        query, key, value = (
            projection(x).view(-1, self.num_heads, self.head_dim)
            for projection in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(-2, -1) / self.root()
        output: Tensor = self.output((scores.softmax(-1) @ value).view(x.shape))
        return output

    def root(self) -> float:
        """√head_dim."""
        found: float = math.sqrt(self.head_dim)  # type: ignore[name-defined]  # noqa: F821  # the fault
        return found


class TokenHeadsMended(TokenHeads):
    """With the root computed: the view of tokens as heads remains."""

    def root(self) -> float:
        """√head_dim."""
        found: float = self.head_dim**0.5
        return found
