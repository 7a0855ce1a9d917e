"""Attention from a decoder to an encoder: queries of x, keys and values of a memory.

The layer between them in Vaswani et al. 2017, section 3.2.3: multi-head attention whose keys and
values come from the output of the encoder. x has seq_len rows, the memory key_len.
"""

from __future__ import annotations

from dataclasses import replace

from implementations.interface import Feature
from implementations.layers.multi_head import IMPLEMENTATION as MULTI_HEAD

IMPLEMENTATION = replace(
    MULTI_HEAD,
    name="cross_attention",
    title="Attention from a decoder to the memory of an encoder",
    source="Vaswani et al. 2017, section 3.2.3",
    needs_memory=True,
    # The positions of x and of the memory are not the same: no triangle.
    supports=MULTI_HEAD.supports - {Feature.CAUSAL} | {Feature.CROSS_LENGTH},
)
