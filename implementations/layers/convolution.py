"""A convolution over positions: y_i = b + Σ_t W_t x_{i + dilation · (t - 1)} for t = 0, 1, 2.

A kernel of k = 3 maps d to d at each position: k·d² + d parameters and k·n·d² multiply-adds
(the convolutional layer of Vaswani et al. 2017, table 1). Zeros stand before the first position and
after the last. A causal kernel ends at position i instead of around it. `convolution_dilated` has
the taps 4 positions apart (van den Oord et al. 2016, "WaveNet").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from implementations.case import Case
from implementations.interface import Feature, Implementation
from implementations.parameters import Build, seeded

KERNEL_SIZE = 3
DILATION = 4


class Convolution(nn.Module):
    """`nn.Conv1d` on (batch, seq_len, d_model), padded to the same length."""

    def __init__(self, d_model: int, dilation: int) -> None:
        super().__init__()
        self.reach = dilation * (KERNEL_SIZE - 1)
        self.taps = nn.Conv1d(d_model, d_model, KERNEL_SIZE, dilation=dilation)

    def forward(self, x: Tensor, *, is_causal: bool = False) -> Tensor:
        """Map x (batch, seq_len, d_model) to the same shape."""
        before = self.reach if is_causal else self.reach // 2
        output: Tensor = self.taps(F.pad(x.mT, (before, self.reach - before)))
        return output.mT


def dilated(dilation: int) -> Build:
    """Builds the layer with taps so many positions apart."""

    @seeded
    def build(case: Case) -> nn.Module:
        return Convolution(case.d_model, dilation)

    return build


def convolution_oracle(
    parameters: Mapping[str, Tensor],
    x: Tensor,
    memory: Tensor | None,
    attn_mask: Tensor | None,
    case: Case,
    dilation: int = 1,
) -> Tensor:
    """b + Σ_t W_t x_{i + …}, tap by tap: each is a matrix of x to y positions and one of d to d."""
    weight, bias = parameters["taps.weight"], parameters["taps.bias"]
    positions = torch.arange(x.shape[1], device=x.device)
    last_tap = KERNEL_SIZE - 1
    y = bias.expand_as(x)
    for tap in range(KERNEL_SIZE):
        shift = dilation * (tap - (last_tap if case.is_causal else last_tap // 2))
        reads = (positions[:, None] + shift == positions).to(x.dtype)
        y = y + torch.einsum("ij,bjc,oc->bio", reads, x, weight[:, :, tap])
    return y


IMPLEMENTATION = Implementation(
    name="convolution",
    title="Convolution over 3 neighbouring positions",
    source="Vaswani et al. 2017, table 1",
    kind="layer",
    build=dilated(1),
    layer_oracle=convolution_oracle,
    time_law="n*d^2",
    workspace_law="n*d + d^2",
    supports=frozenset({Feature.BACKWARD, Feature.CAUSAL}),
)

VARIANTS = (
    replace(
        IMPLEMENTATION,
        name="convolution_dilated",
        title="Convolution over 3 positions, 4 apart",
        source="van den Oord et al. 2016",
        build=dilated(DILATION),
        layer_oracle=partial(convolution_oracle, dilation=DILATION),
    ),
)
