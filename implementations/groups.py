"""Grouped queries: several heads of queries share one head of keys and values.

Shazeer 2019, "Fast Transformer Decoding: One Write-Head is All You Need" (one head of keys in all);
Ainslie et al. 2023, "GQA" (one for each group of heads). Head i of the queries attends to head
i // group of the keys, where group = num_heads / num_kv_heads. No key is repeated here: what is
shared is seen through views.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from torch import Tensor


def group_size(query: Tensor, key: Tensor) -> int:
    """How many heads of queries share one of keys; 1 without heads."""
    if query.dim() < 3 or not key.shape[-3]:
        return 1
    return query.shape[-3] // key.shape[-3]


def in_groups(tensor: Tensor, group: int) -> Tensor:
    """(..., num_heads, rows, columns) as (..., num_kv_heads, group, rows, columns)."""
    *leading, num_heads, rows, columns = tensor.shape
    return tensor.view(*leading, num_heads // group, group, rows, columns)


def product(left: Tensor, right: Tensor) -> Tensor:
    """left @ right, where each head of `right` (..., num_kv_heads, d, m) serves a group of `left`.

    The heads of a group lie one under the other, (..., num_kv_heads, group * n, d), so that one
    product serves all of them. Where memory does not allow that view, `left` is copied.
    """
    group = group_size(left, right)
    if group == 1:
        return left @ right
    found = in_groups(left, group).flatten(-3, -2) @ right
    return found.view(*left.shape[:-1], right.shape[-1])


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """How tensors with query rows and tensors with keys are viewed to have equally many heads.

    With `as_rows` the heads of a group are one head of more rows, so that one product reads the
    keys once for all of them. Without, the heads of a group are one more leading dimension, in
    which keys and values repeat without memory.
    """

    group: int
    as_rows: bool

    @classmethod
    def of(cls, query: Tensor, key: Tensor, *, attn_mask: Tensor | None, is_causal: bool) -> Self:
        """As rows, where no mask tells the rows of two heads apart and memory allows the view."""
        group, query_len = group_size(query, key), query.shape[-2]
        if group == 1 or is_causal:
            return cls(group=group, as_rows=False)
        is_one_head = query.stride(-3) == query_len * query.stride(-2)
        return cls(group=group, as_rows=query_len == 1 or (attn_mask is None and is_one_head))

    def of_queries(self, tensor: Tensor) -> Tensor:
        """A view of (..., num_heads, query_len, columns).

        Raises:
            RuntimeError: memory does not allow it; what is contiguous can always be viewed.

        """
        if self.group == 1:
            return tensor
        if not self.as_rows:
            return in_groups(tensor, self.group).movedim(-3, -4)
        *leading, num_heads, rows, columns = tensor.shape
        return tensor.view(*leading, num_heads // self.group, self.group * rows, columns)

    def of_keys(self, tensor: Tensor) -> Tensor:
        """A view of (..., num_kv_heads, key_len, columns)."""
        if self.group == 1 or self.as_rows:
            return tensor
        leading, matrix = tensor.shape[:-3], tensor.shape[-3:]
        return tensor.unsqueeze(-4).expand(*leading, self.group, *matrix)
