"""Additive self-attention with its own W₁, W₂ and v: scores vᵀ tanh(W₁ x_i + W₂ x_j).

Bahdanau et al. 2015, appendix A.1.2, with x in the place of the decoder's states as well as of the
annotations: y_i is the mean of the x_j under the softmax of the scores. Neither projection has a
bias, and values are not projected: 2d² + d parameters. Every tanh of a pair is in memory.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from implementations.attention.additive import IMPLEMENTATION as ADDITIVE
from implementations.attention.additive import additive_attention
from implementations.case import Case
from implementations.interface import Feature, Implementation
from implementations.masking import apply_mask, safe_softmax
from implementations.oracle import full_mask
from implementations.parameters import seeded


class AdditiveLayer(nn.Module):
    """Two projections and a vector that score the pairs of positions."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.query = nn.Linear(d_model, d_model, bias=False)
        self.key = nn.Linear(d_model, d_model, bias=False)
        self.weight = nn.Parameter(torch.empty(d_model))
        nn.init.uniform_(self.weight, -(d_model**-0.5), d_model**-0.5)

    def forward(
        self, x: Tensor, *, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> Tensor:
        """Map x (batch, seq_len, d_model) to the same shape.

        A mask broadcasts to (batch, 1, seq_len, seq_len). Raises what `additive_attention` raises.
        """
        query, key, value = (one.unsqueeze(1) for one in (self.query(x), self.key(x), x))
        return additive_attention(
            query, key, value, self.weight, attn_mask=attn_mask, is_causal=is_causal
        ).squeeze(1)


@seeded
def build(case: Case) -> nn.Module:
    """The layer at the sizes of a case; the number of heads does not matter."""
    return AdditiveLayer(case.d_model)


def additive_layer_oracle(
    parameters: Mapping[str, Tensor],
    x: Tensor,
    memory: Tensor | None,
    attn_mask: Tensor | None,
    case: Case,
) -> Tensor:
    """softmax over j of vᵀ tanh(W₁ x_i + W₂ x_j), and the mean of x_j under it, query by query."""
    keys = torch.einsum("bjc,oc->bjo", x, parameters["key.weight"])
    mask = full_mask(x, x, attn_mask, case.is_causal, case.window)
    masks = None if mask is None else mask.expand(x.shape[0], 1, x.shape[1], x.shape[1])[:, 0]
    rows = []
    for i in range(x.shape[1]):
        query = torch.einsum("bc,oc->bo", x[:, i], parameters["query.weight"])
        scores = torch.einsum("bjo,o->bj", (query[:, None] + keys).tanh(), parameters["weight"])
        weights = safe_softmax(apply_mask(scores, None if masks is None else masks[:, i]))
        rows.append(torch.einsum("bj,bjc->bc", weights, x))
    return torch.stack(rows, dim=1)


IMPLEMENTATION = Implementation(
    name="additive_layer",
    title="Additive self-attention with projections",
    source="Bahdanau et al. 2015, appendix A.1.2",
    kind="layer",
    build=build,
    layer_oracle=additive_layer_oracle,
    time_law="n*d^2 + n^2*d",
    workspace_law="n^2*d",
    supports=frozenset(
        {Feature.BACKWARD, Feature.CAUSAL, Feature.BOOLEAN_MASK, Feature.FLOAT_MASK}
    ),
    declines=ADDITIVE.declines,
)
