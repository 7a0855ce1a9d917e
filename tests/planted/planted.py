"""What a planted kernel declares, and the plain formula that most of them start from."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from implementations.interface import Implementation
from implementations.masking import apply_mask, resolve_scale, safe_softmax
from implementations.oracle import full_mask
from implementations.specs import from_function


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A kernel whose right answer is known: `what` says its fault, or what is unusual about it.

    `killed_by` names the check that must fail, as `area: check`; None marks a right kernel, which
    must pass them all. With a `layer`, `fn` builds a module in place of the one of that layer.
    """

    name: str
    what: str
    fn: Callable[..., Any]
    killed_by: str | None
    layer: Implementation | None = None

    @property
    def implementation(self) -> Implementation:
        """The kernel as if a user had named it."""
        if self.layer is not None:
            return replace(self.layer, name=self.name, build=self.fn)
        return from_function(self.fn, name=self.name)


def modules() -> list[str]:
    """The modules of this folder but its tests, by their names."""
    names = [one.name for one in pkgutil.iter_modules([str(Path(__file__).parent)])]
    return [f"tests.planted.{name}" for name in names if not name.startswith("test_")]


def planted_kernels() -> list[Planted]:
    """Every kernel that the modules of this folder plant."""
    return [
        planted
        for name in modules()
        for planted in getattr(importlib.import_module(name), "PLANTED", ())
    ]


def attention_weights(
    query: Tensor,
    key: Tensor,
    *,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """softmax(Q Kᵀ · scale + mask): (..., query_len, key_len); rows without keys are zero."""
    scores = query @ key.mT * resolve_scale(query, scale)
    return safe_softmax(apply_mask(scores, full_mask(query, key, attn_mask, is_causal)))


def plain(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """The formula as it stands, dropout on the weights: right."""
    weights = attention_weights(query, key, attn_mask=attn_mask, is_causal=is_causal, scale=scale)
    return F.dropout(weights, dropout_p) @ value
