"""How the cores that work in blocks get their scores, and what gradients of scores give back."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from implementations.blocks import accumulate_


class Scoring(Protocol):
    """A score of every query and every key of a block, without scale and mask."""

    def fill_(
        self, block: Tensor, rows: Tensor, keys: Tensor, *, factor: float, less: Tensor | None
    ) -> None:
        """Fill (num_heads, num_rows, num_keys) with factor · score - less, `less` of each row."""
        ...

    def differentiate_(
        self,
        grads: Tensor,
        rows: Tensor,
        keys: Tensor,
        grad_rows: Tensor,
        grad_keys: Tensor,
        *,
        factor: float,
    ) -> None:
        """Add what `grads`, the gradients of a block of scores times factor, give to both sides.

        `grad_rows` is (num_heads, head_dim, num_rows), `grad_keys` (num_heads, num_keys, head_dim);
        `grads` may be used up.
        """
        ...


class DotProduct:
    """Q Kᵀ: dQ = dS K and dK = dSᵀ Q."""

    def fill_(
        self, block: Tensor, rows: Tensor, keys: Tensor, *, factor: float, less: Tensor | None
    ) -> None:
        """A product of matrices, from which `less` comes off on the way."""
        multiply_(block, rows, keys.mT, factor=factor, less=less)

    def differentiate_(
        self,
        grads: Tensor,
        rows: Tensor,
        keys: Tensor,
        grad_rows: Tensor,
        grad_keys: Tensor,
        *,
        factor: float,
    ) -> None:
        """Two products of matrices."""
        accumulate_(grad_keys, grads.mT, rows, factor=factor)
        accumulate_(grad_rows, keys.mT, grads.mT, factor=factor)


def multiply_(
    into: Tensor, left: Tensor, right: Tensor, *, factor: float = 1.0, less: Tensor | None
) -> Tensor:
    """Fill a block, in memory by rows or by columns, with factor · left @ right - less."""
    if not into.is_contiguous():
        turned = None if less is None else less.mT
        return multiply_(into.mT, right.mT, left.mT, factor=factor, less=turned).mT
    added, beta = (into, 0) if less is None else (less, -1)
    return torch.baddbmm(added, left, right, beta=beta, alpha=factor, out=into)
