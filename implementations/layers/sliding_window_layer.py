"""Multi-head attention in which a position sees those near it: an exact band, n·w scores a head.

The restricted self-attention of Vaswani et al. 2017, section 4, by the core of Beltagy et al. 2020,
"Longformer: The Long-Document Transformer", section 3.1, between projections. The window is that of
the case; without one, every position is seen.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from torch import nn

from implementations.attention.sliding_window import needs_window, sliding_window
from implementations.case import Case
from implementations.interface import Feature
from implementations.layers.multi_head import IMPLEMENTATION as MULTI_HEAD
from implementations.layers.multi_head import around


def build(case: Case) -> nn.Module:
    """The layer at the sizes and with the window of a case."""
    return around(partial(sliding_window, window=case.window))(case)


IMPLEMENTATION = replace(
    MULTI_HEAD,
    name="sliding_window_layer",
    title="Multi-head attention in a sliding window",
    source="Beltagy et al. 2020, section 3.1; Vaswani et al. 2017, section 4",
    build=build,
    time_law="n*d^2 + n*w*d",
    supports=frozenset({Feature.BACKWARD, Feature.CAUSAL, Feature.WINDOW}),
    declines=needs_window,
)
