"""The same two linear maps at every position: max(0, x W₁ + b₁) W₂ + b₂, d -> 4d -> d.

Vaswani et al. 2017, equation 2: 8d² + 5d parameters and 8nd² multiply-adds. Positions do not mix.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from implementations.case import Case
from implementations.interface import Feature, Implementation
from implementations.layers._formulas import linear_map
from implementations.parameters import seeded

WIDENING = 4  # d_ff / d_model of Vaswani et al. 2017, section 3.3


class FeedForward(nn.Module):
    """Wider, rectified, and narrower again."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.widen = nn.Linear(d_model, WIDENING * d_model)
        self.narrow = nn.Linear(WIDENING * d_model, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (batch, seq_len, d_model) to the same shape."""
        output: Tensor = self.narrow(self.widen(x).relu())
        return output


@seeded
def build(case: Case) -> nn.Module:
    """The layer at the sizes of a case."""
    return FeedForward(case.d_model)


def feed_forward_oracle(
    parameters: Mapping[str, Tensor],
    x: Tensor,
    memory: Tensor | None,
    attn_mask: Tensor | None,
    case: Case,
) -> Tensor:
    """max(0, x W₁ + b₁) W₂ + b₂."""
    return linear_map(parameters, "narrow", linear_map(parameters, "widen", x).clamp(min=0.0))


IMPLEMENTATION = Implementation(
    name="feed_forward",
    title="Two linear maps at each position",
    source="Vaswani et al. 2017, equation 2",
    kind="layer",
    build=build,
    layer_oracle=feed_forward_oracle,
    time_law="n*d^2",
    workspace_law="n*d",
    supports=frozenset({Feature.BACKWARD}),
)
