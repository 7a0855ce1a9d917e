"""torch's own multi-head layer, `torch.nn.MultiheadAttention`, behind our keywords.

Vaswani et al. 2017, section 3.2.2. torch's boolean masks mean the opposite of ours: True hides a
key. Its masks have 2 dimensions, or 3 with batch and heads as one. It takes `is_causal` only beside
a mask that says the same.

torch has two ways. In training, or where gradients are wanted, it calls SDPA on the heads, which on
a CPU keeps no scores. In evaluation without gradients and with an even number of heads, it takes
its "fast path", which keeps the scores of all heads in memory on a CPU. Each has a name of its own
here: neither becomes the other in `eval()` or `train()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor, nn

from implementations.case import Case
from implementations.interface import Feature, Implementation
from implementations.layers._formulas import attend_by_heads, linear_map
from implementations.masking import causal_mask, check_arguments
from implementations.oracle import full_mask
from implementations.parameters import seeded


class TorchMultiHead(nn.Module):
    """`nn.MultiheadAttention` as a map of x, with batches first and without the weights."""

    def __init__(self, d_model: int, num_heads: int, *, fast_path: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(d_model, num_heads, batch_first=True)
        self.fast_path = fast_path
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Keep torch's layer in the mode that its way needs: there is no dropout to switch."""
        super().train(mode)
        self.attention.train(not self.fast_path)
        return self

    def forward(
        self, x: Tensor, *, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> Tensor:
        """Map x (batch, seq_len, d_model) to the same shape.

        A mask broadcasts to (batch, num_heads, seq_len, seq_len).

        Raises:
            ValueError: `attn_mask` with `is_causal`, or a mask of another dtype.

        """
        check_arguments(x, x, x, attn_mask, is_causal)
        batch, seq_len, _ = x.shape
        if is_causal:
            attn_mask = causal_mask(seq_len, seq_len, device=x.device)
        if attn_mask is not None:
            hidden = ~attn_mask if attn_mask.dtype == torch.bool else attn_mask
            pairs = (seq_len, seq_len)
            if hidden.dim() <= 2:
                attn_mask = hidden.expand(pairs)
            else:
                attn_mask = hidden.expand(batch, self.attention.num_heads, *pairs).flatten(0, 1)
        output: Tensor = self.attention(
            x, x, x, attn_mask=attn_mask, is_causal=is_causal, need_weights=False
        )[0]
        return output


@seeded
def build(case: Case) -> nn.Module:
    """The layer at the sizes of a case, by SDPA."""
    return TorchMultiHead(case.d_model, case.num_heads, fast_path=False)


@seeded
def build_fast_path(case: Case) -> nn.Module:
    """The layer for inference: its parameters take no gradient, as the fast path asks."""
    return TorchMultiHead(case.d_model, case.num_heads, fast_path=True).requires_grad_(False)


def needs_even_heads(case: Case) -> str | None:
    """Why torch would take its other way."""
    if case.num_heads % 2 == 0:
        return None
    return f"torch's fast path takes an even number of heads, got num_heads={case.num_heads}"


def torch_multi_head_oracle(
    parameters: Mapping[str, Tensor],
    x: Tensor,
    memory: Tensor | None,
    attn_mask: Tensor | None,
    case: Case,
) -> Tensor:
    """Concat(head_1, …, head_h) W^O, the three projections in the order query, key, value."""
    weight, bias = (parameters[f"attention.in_proj_{name}"] for name in ("weight", "bias"))
    query, key, value = (torch.einsum("bnd,td->bnt", x, weight) + bias).chunk(3, dim=-1)
    mask = full_mask(x, x, attn_mask, case.is_causal, case.window)
    heads = attend_by_heads(query, key, value, mask, case.num_heads)
    return linear_map(parameters, "attention.out_proj", heads)


IMPLEMENTATION = Implementation(
    name="torch_multi_head",
    title="torch.nn.MultiheadAttention",
    source="Vaswani et al. 2017, section 3.2.2",
    kind="layer",
    build=build,
    layer_oracle=torch_multi_head_oracle,
    time_law="n*d^2 + n^2*d",
    workspace_law="n*d",
    supports=frozenset(
        {Feature.BACKWARD, Feature.CAUSAL, Feature.BOOLEAN_MASK, Feature.FLOAT_MASK}
    ),
)

VARIANTS = (
    replace(
        IMPLEMENTATION,
        name="torch_multi_head_fast_path",
        title="torch.nn.MultiheadAttention in inference",
        build=build_fast_path,
        workspace_law="n*d + n^2*d",
        # A row whose keys are all hidden gives NaN there; a float mask is refused.
        supports=frozenset({Feature.CAUSAL}),
        declines=needs_even_heads,
    ),
)
