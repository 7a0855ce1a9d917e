"""Multi-head linear attention between projections: no pair of positions is ever looked at.

Katharopoulos et al. 2020, "Transformers are RNNs", equations 4 to 7, with φ(x) = elu(x) + 1:
4nd² multiply-adds of the projections beside 2n·d·head_dim of the heads.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from implementations.attention.linear import IMPLEMENTATION as LINEAR
from implementations.attention.linear import linear
from implementations.interface import Feature
from implementations.layers.multi_head import IMPLEMENTATION as MULTI_HEAD
from implementations.layers.multi_head import around, multi_head_oracle

IMPLEMENTATION = replace(
    MULTI_HEAD,
    name="linear_layer",
    title="Multi-head linear attention with elu + 1",
    source="Katharopoulos et al. 2020",
    build=around(linear),
    layer_oracle=partial(multi_head_oracle, attend=LINEAR.oracle),
    time_law="n*d^2",
    supports=frozenset({Feature.BACKWARD, Feature.CAUSAL}),
)
