"""Self-attention with one head: softmax(Q Kᵀ / √d) V with Q, K and V = x W + b, and dropout.

Vaswani et al. 2017, equation 1, on projections of x, without an output projection: 3(d² + d)
parameters. In training the weights are dropped at random, and the others made larger by
1 / (1 - dropout_p), so that the output keeps its mean (their section 5.4).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from implementations.attention.matmul import matmul
from implementations.case import Case
from implementations.interface import Feature, Implementation
from implementations.layers._formulas import attend_by_heads, linear_map
from implementations.oracle import full_mask
from implementations.parameters import seeded

DROPOUT_P = 0.1  # of Vaswani et al. 2017, section 5.4


class SingleHead(nn.Module):
    """Query, key and value projections around one head, dropout on its weights in training."""

    def __init__(self, d_model: int, dropout_p: float = DROPOUT_P) -> None:
        super().__init__()
        self.dropout_p = dropout_p
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_model)
        self.value = nn.Linear(d_model, d_model)

    def forward(
        self, x: Tensor, *, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> Tensor:
        """Map x (batch, seq_len, d_model) to the same shape.

        A mask broadcasts to (batch, 1, seq_len, seq_len). Raises what `matmul` raises.
        """
        query, key, value = (
            project(x).unsqueeze(1) for project in (self.query, self.key, self.value)
        )
        head = matmul(
            query,
            key,
            value,
            attn_mask=attn_mask,
            dropout_p=self.dropout_p if self.training else 0.0,
            is_causal=is_causal,
        )
        return head.squeeze(1)


@seeded
def build(case: Case) -> nn.Module:
    """The layer at the sizes of a case, without dropout, which no call would repeat."""
    return SingleHead(case.d_model, dropout_p=0.0)


def single_head_oracle(
    parameters: Mapping[str, Tensor],
    x: Tensor,
    memory: Tensor | None,
    attn_mask: Tensor | None,
    case: Case,
) -> Tensor:
    """softmax(Q Kᵀ / √d + mask) V."""
    query, key, value = (linear_map(parameters, name, x) for name in ("query", "key", "value"))
    mask = full_mask(x, x, attn_mask, case.is_causal, case.window)
    return attend_by_heads(query, key, value, mask, num_heads=1)


IMPLEMENTATION = Implementation(
    name="single_head",
    title="Self-attention with one head as wide as the model",
    source="Vaswani et al. 2017, equation 1",
    kind="layer",
    build=build,
    layer_oracle=single_head_oracle,
    time_law="n*d^2 + n^2*d",
    workspace_law="n*d + n^2",
    supports=frozenset(
        {Feature.BACKWARD, Feature.CAUSAL, Feature.BOOLEAN_MASK, Feature.FLOAT_MASK}
    ),
)
