"""Article 002: a multi-head layer with a mask, projections of its own around torch's layer.

`nn.MultiheadAttention` returns two values, takes (seq_len, batch, d_model) unless it is told
otherwise, and projects by itself.
"""

from __future__ import annotations

from torch import Tensor, nn


class WrappedMultiHead(nn.Module):
    """As published: it unpacks the two values of torch's layer into three."""

    def __init__(self, d_model: int, num_heads: int, head_dim: int) -> None:
        super().__init__()
        width = num_heads * head_dim
        self.query, self.key = nn.Linear(d_model, width), nn.Linear(d_model, width)
        self.value = nn.Linear(d_model, width)
        self.attention = nn.MultiheadAttention(d_model, num_heads)
        self.output = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        """Map x (batch, seq_len, d_model) to the same shape, with a mask (seq_len, seq_len)."""
        mixed, _, _ = self.mixed(x, attn_mask)  # type: ignore[misc]  # the fault
        return self.projected(mixed)

    def mixed(self, x: Tensor, attn_mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """What torch's layer makes of the projections of x: its output, and its weights."""
        found: tuple[Tensor, Tensor | None] = self.attention(
            self.query(x), self.key(x), self.value(x), attn_mask=attn_mask
        )
        return found

    def projected(self, mixed: Tensor) -> Tensor:
        """The output projection."""
        found: Tensor = self.output(mixed)
        return found


class WrappedMultiHeadMended(WrappedMultiHead):
    """With two values unpacked: the other faults remain."""

    def forward(self, x: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        """Map x (batch, seq_len, d_model) to the same shape, with a mask (seq_len, seq_len)."""
        mixed, _ = self.mixed(x, attn_mask)
        return self.projected(mixed)
