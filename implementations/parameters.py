"""The parameters of a layer: how they are drawn, and how many there are."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps

import torch
from torch import nn

from implementations.case import Case
from implementations.interface import Implementation

Build = Callable[[Case], nn.Module]

SEED = 0


def seeded(build: Build) -> Build:
    """`build` with every parameter uniform within ±1/√d_model: the same at each build of a case.

    That is how torch draws most of them. No bias is zero, so that none is left out unseen. Random
    numbers drawn elsewhere do not change.
    """

    @wraps(build)
    def built(case: Case) -> nn.Module:
        with torch.random.fork_rng(devices=[]):  # the constructors of torch draw, too
            module = build(case)
            torch.default_generator.manual_seed(SEED)
            bound = 1.0 / math.sqrt(max(case.d_model, 1))
            for parameter in module.parameters():
                nn.init.uniform_(parameter, -bound, bound)
        return module

    return built


def parameter_count(implementation: Implementation, case: Case) -> int:
    """How many numbers a layer learns at the sizes of a case; counted, without memory for them.

    Raises:
        ValueError: the implementation is a core, which has no parameters.

    """
    if implementation.build is None:
        raise ValueError(f"expected a layer, got the core {implementation.name}")
    with torch.device("meta"):
        return sum(one.numel() for one in implementation.build(case).parameters())
