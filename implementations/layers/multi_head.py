"""Multi-head attention with any core inside: Concat(head_1, …, head_h) W^O.

head_i = core(Q W_i^Q, K W_i^K, V W_i^V), where Q = x and K = V = x, or the memory of an encoder
(Vaswani et al. 2017, section 3.2.2). The projections of all heads are one matrix each, so that
there are 4d² + 4d parameters and 4nd² + 2n²d multiply-adds at any number of heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Unpack

from torch import Tensor, nn

from implementations.attention.matmul import matmul
from implementations.attention.online_softmax import online_softmax
from implementations.attention.sdpa import sdpa
from implementations.case import Case
from implementations.interface import AttentionFunction, Feature, Implementation, Options
from implementations.layers._formulas import attend_by_heads, linear_map
from implementations.oracle import Oracle, full_mask, softmax_attention
from implementations.parameters import Build, seeded


class MultiHead(nn.Module):
    """Query, key and value projections, a core on the heads, and an output projection.

    A head has `qk_dim` numbers of a query and a key, and `value_dim` of a value.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        *,
        qk_dim: int,
        value_dim: int,
        core: AttentionFunction = sdpa,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.core = core
        self.query = nn.Linear(d_model, num_heads * qk_dim)
        self.key = nn.Linear(d_model, num_heads * qk_dim)
        self.value = nn.Linear(d_model, num_heads * value_dim)
        self.output = nn.Linear(num_heads * value_dim, d_model)

    def forward(
        self, x: Tensor, memory: Tensor | None = None, **options: Unpack[Options]
    ) -> Tensor:
        """Map x (batch, seq_len, d_model) to the same shape.

        The keys are those of `memory` (batch, key_len, d_model) where it is given. A mask
        broadcasts to (batch, num_heads, seq_len, key_len). Raises what the core raises.
        """
        seen = x if memory is None else memory
        query, key, value = self.query(x), self.key(seen), self.value(seen)
        heads = self.core(self._split(query), self._split(key), self._split(value), **options)
        output: Tensor = self.output(heads.transpose(1, 2).flatten(2))
        return output

    def _split(self, projected: Tensor) -> Tensor:
        """A view: (batch, rows, num_heads · columns) -> (batch, num_heads, rows, columns)."""
        batch, rows, columns = projected.shape
        heads = projected.view(batch, rows, self.num_heads, columns // self.num_heads)
        return heads.transpose(1, 2)


def around(core: AttentionFunction) -> Build:
    """Builds the layer with this core, and heads of head_dim = d_model / num_heads."""

    @seeded
    def build(case: Case) -> nn.Module:
        return MultiHead(
            case.d_model,
            case.num_heads,
            qk_dim=case.head_dim,
            value_dim=case.head_dim,
            core=core,
        )

    return build


def multi_head_oracle(
    parameters: Mapping[str, Tensor],
    x: Tensor,
    memory: Tensor | None,
    attn_mask: Tensor | None,
    case: Case,
    attend: Oracle = softmax_attention,
) -> Tensor:
    """Concat(head_1, …, head_h) W^O, head by head."""
    seen = x if memory is None else memory
    heads = attend_by_heads(
        linear_map(parameters, "query", x),
        linear_map(parameters, "key", seen),
        linear_map(parameters, "value", seen),
        full_mask(x, seen, attn_mask, case.is_causal, case.window),
        case.num_heads,
        attend,
    )
    return linear_map(parameters, "output", heads)


IMPLEMENTATION = Implementation(
    name="multi_head",
    title="Multi-head attention, torch's SDPA inside",
    source="Vaswani et al. 2017, section 3.2.2",
    kind="layer",
    build=around(sdpa),
    layer_oracle=multi_head_oracle,
    time_law="n*d^2 + n^2*d",
    workspace_law="n*d",
    supports=frozenset(
        {Feature.BACKWARD, Feature.CAUSAL, Feature.BOOLEAN_MASK, Feature.FLOAT_MASK}
    ),
)

VARIANTS = (
    replace(
        IMPLEMENTATION,
        name="multi_head_matmul",
        title="Multi-head attention, all scores in memory",
        build=around(matmul),
        workspace_law="n*d + n^2*d",
    ),
    replace(
        IMPLEMENTATION,
        name="multi_head_online_softmax",
        title="Multi-head attention by blocks of queries and keys",
        build=around(online_softmax),
    ),
)
