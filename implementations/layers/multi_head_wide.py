"""Multi-head attention whose heads are wider than d_model / num_heads: 2 and 3 times as wide.

The formula of Vaswani et al. 2017, section 3.2.2, which does not ask for d_k = d_v = d_model / h.
Queries and keys have d_k = 2d/h numbers a head, values d_v = 3d/h: 10d² + 8d parameters.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from implementations.attention.matmul import matmul
from implementations.case import Case
from implementations.layers.multi_head import IMPLEMENTATION as MULTI_HEAD
from implementations.layers.multi_head import MultiHead
from implementations.parameters import seeded


@seeded
def build(case: Case) -> nn.Module:
    """The layer at the sizes of a case."""
    return MultiHead(
        case.d_model,
        case.num_heads,
        qk_dim=2 * case.head_dim,
        value_dim=3 * case.head_dim,
        core=matmul,
    )


IMPLEMENTATION = replace(
    MULTI_HEAD,
    name="multi_head_wide",
    title="Multi-head attention with d_k = 2d/h and d_v = 3d/h",
    build=build,
    workspace_law="n*d + n^2*d",
)
