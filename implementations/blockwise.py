"""Exact attention by blocks of queries and of keys, forward and backward.

Each tile of query rows goes through the keys block by block, and adds up the weights 2^(s - m) and
their products with the values; the quotient is the output. Any m gives the same quotient, as long
as nothing overflows or vanishes. So m is 0 at first, which costs nothing, and what has been added
up shows in which rows that was safe. The others are computed again, with m the highest score of
each row, found in a pass of its own (Rabe & Staats 2021, "Self-attention Does Not Need
O(n²) Memory", adapt a running m instead; Milakov & Gimelshein 2018, "Online normalizer
calculation for softmax"). On a GPU, where looking at a result would make the host wait, that is
always done.

The scores are kept in units of log 2, since exp2 is several times faster than exp; log₂e is folded
into the scale. The backward pass computes the weights P of a block again from the saved log-sum-exp
of each row: with δ = rowsum(dO ∘ O), dS = P ∘ (dO Vᵀ - δ), dQ = scale · dS K, dK = scale · dSᵀ Q
and dV = Pᵀ dO (Dao et al. 2022, "FlashAttention", algorithm 4). P and dS lie in memory by columns,
since a BLAS multiplies by the transpose of a wide block a third slower.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from implementations.blocks import (
    HOSTS,
    Cut,
    Masking,
    Scratch,
    Tile,
    accumulate_,
    accumulator,
    cut,
    working_dtype,
)
from implementations.interface import UnsupportedCaseError
from implementations.masking import check_arguments, expand_mask, refuse_dropout, resolve_scale

LOG2_E = math.log2(math.e)
# With so many scores the calls from Python take as long as the passes that blocks save.
SHORT = 2**18


def attend_blockwise(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    attn_mask: Tensor | None,
    dropout_p: float,
    is_causal: bool,
    scale: float | None,
    fewest_rows: int,
    keys_per_block: int | None,
) -> Tensor:
    """Equal to `scaled_dot_product_attention`: (..., query_len, d) -> (..., query_len, value_dim).

    A tile has as many rows as caches hold, and `fewest_rows` at least; a block has
    `keys_per_block` keys, or all of them for None.

    Raises:
        ValueError: shapes or dtypes that do not fit, dropout, or `attn_mask` with `is_causal`.
        UnsupportedCaseError: a mask that requires gradients.

    """
    check_arguments(query, key, value, attn_mask, is_causal)
    refuse_dropout("a core that recomputes its blocks", dropout_p)
    differentiating = torch.is_grad_enabled()
    if attn_mask is not None and attn_mask.requires_grad and differentiating:
        raise UnsupportedCaseError(
            "a core that recomputes its blocks does not differentiate attn_mask, "
            "whose gradient would take n x n memory; detach it, or use matmul"
        )
    if attn_mask is None and not is_causal and query.shape[:-1].numel() * key.shape[-2] <= SHORT:
        return _at_once(query, key, value, resolve_scale(query, scale))
    mask = expand_mask(attn_mask, query, key)
    tensors = (_with_heads(query), _with_heads(key), _with_heads(value))
    masking = Masking(
        attn_mask=None if mask is None else _with_heads(mask.detach()), is_causal=is_causal
    )
    most = masking.most_keys(query.shape[-2], key.shape[-2])
    plan = _Plan(
        masking=masking,
        scale=resolve_scale(query, scale),
        cut=cut(tensors[0], keys=min(most, keys_per_block or most), fewest_rows=fewest_rows),
        whole=most <= (keys_per_block or most),
    )
    if differentiating and any(t.requires_grad for t in tensors):
        output: Tensor = _Blockwise.apply(*tensors, plan)  # type: ignore[no-untyped-call]  # torch leaves apply untyped
    else:
        output = _Forward(*tensors, plan).run(None)
    return output.reshape(*query.shape[:-1], value.shape[-1])


def _at_once(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """The formula, for calls that leave nothing to cut; autograd differentiates it."""
    working = working_dtype(query)
    if working != query.dtype:
        wide = _at_once(query.to(working), key.to(working), value.to(working), scale)
        return wide.to(query.dtype)
    rows, keys, values = (_with_heads(one).flatten(0, -3) for one in (query, key, value))
    # With beta = 0 what would be added is not looked at.
    scores = torch.baddbmm(rows.new_empty(1, 1, 1), rows, keys.mT, beta=0, alpha=scale)
    output = torch.bmm(scores.softmax(dim=-1), values)
    return output.view(*query.shape[:-1], value.shape[-1])


def _with_heads(tensor: Tensor) -> Tensor:
    return tensor[None] if tensor.dim() == 2 else tensor


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What a call asks for beside its tensors, and how it is cut; whole, if by rows alone."""

    masking: Masking
    scale: float
    cut: Cut
    whole: bool

    def blocks(self, tile: Tile, key_len: int) -> Iterator[tuple[Tile, slice, int, int]]:
        """The blocks of a tile.

        The rows that see some of the keys start..stop, also as a slice of the tile's, and these.
        """
        last = self.masking.key_stop(tile, key_len)
        for start in range(0, last, self.cut.keys):
            part = self.masking.seeing(tile, start)
            seeing = slice(part.rows.start - tile.rows.start, None)
            yield part, seeing, start, min(start + self.cut.keys, last)


class _Blockwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, plan: _Plan) -> Tensor:
        # The log-sum-exp of every row is O(n); only a backward pass needs it.
        log_sums = accumulator(query[..., :1])
        output = _Forward(query, key, value, plan).run(log_sums)
        ctx.save_for_backward(query, key, value, output, log_sums)
        ctx.plan = plan
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, output, log_sums = ctx.saved_tensors
        return *_backward(query, key, value, output, log_sums, grad_output, ctx.plan), None


class _Forward:
    """The forward pass of a call, in buffers of its own."""

    def __init__(self, query: Tensor, key: Tensor, value: Tensor, plan: _Plan) -> None:
        self._query, self._key, self._value, self._plan = query, key, value, plan
        cut, value_dim = plan.cut, value.shape[-1]
        self._scores = cut.scratch(query, rows=cut.keys)
        self._products = cut.scratch(query, rows=value_dim)
        self._rows = cut.scratch(query, rows=query.shape[-1])
        self._keys = cut.scratch(query, keys=query.shape[-1])
        self._values = cut.scratch(query, keys=value_dim)
        # A row that is whole is one product, which nothing is added to.
        self._adding = cut.working if plan.whole else cut.summing
        self._totals = Scratch(cut.heads * cut.rows * value_dim, self._adding, query.device)

    def run(self, log_sums: Tensor | None) -> Tensor:
        """The output; `log_sums` (..., query_len, 1) is filled where it is given."""
        query, plan = self._query, self._plan
        output = query.new_empty((*query.shape[:-1], self._value.shape[-1]))
        if plan.cut.keys == 0:
            return output.zero_()
        for tile in plan.cut.tiles(query):
            into = tile.queries(output)
            total = into if into.dtype == self._adding else self._totals.block(*into.shape)
            shift = None if query.device.type in HOSTS else self._highest(tile)
            sums = self._add_up(tile, total, shift)
            if query.device.type == "cpu":
                unsafe = _unsafe_rows(sums, total, plan.cut.working)
                if unsafe is not None:
                    sums, shift = self._mend(tile, total, sums, unsafe)
            empty = sums == 0.0 if plan.masking.can_empty_rows else None
            total.div_(sums if empty is None else sums.masked_fill(empty, 1.0))
            if total is not into:
                into.copy_(total)
            if log_sums is not None:
                log_sum = sums.log2_() if shift is None else sums.log2_().add_(shift)
                # +inf makes every recomputed weight of an empty row 2^-inf = 0.
                if empty is not None:
                    log_sum.masked_fill_(empty, math.inf)
                tile.queries(log_sums).copy_(log_sum)
        return output

    def _add_up(self, tile: Tile, total: Tensor, shift: Tensor | None) -> Tensor:
        """The sum of each row's weights 2^(s - shift); `total` gets their products with values."""
        sums = total.new_zeros((*total.shape[:-1], 1), dtype=self._plan.cut.summing)
        rows = self._rows.widened(tile.queries(self._query))
        for part, seeing, start, stop in self._plan.blocks(tile, self._key.shape[-2]):
            less = None if shift is None else shift[:, seeing]
            weights = self._masked(part, rows[:, seeing], start, stop, less).exp2_()
            sums[:, seeing].add_(weights.sum(dim=-1, keepdim=True, dtype=sums.dtype))
            values = self._values.widened(tile.keys(self._value, start, stop))
            into = total[:, seeing]
            if weights.dtype == total.dtype:
                into.baddbmm_(weights, values, beta=min(start, 1))
                continue
            product = torch.bmm(weights, values, out=self._products.block(*into.shape))
            into.add_(product) if start else into.copy_(product)
        return sums

    def _mend(
        self, tile: Tile, total: Tensor, sums: Tensor, unsafe: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compute the tile again and replace its unsafe rows; their sums, and the shift of all.

        The others stay as they are: to the last bit, no row depends on what another one sees.
        """
        kept = total.clone()
        shift = self._highest(tile)
        again = self._add_up(tile, total, shift)
        torch.where(unsafe, total, kept, out=kept)
        total.copy_(kept)
        return torch.where(unsafe, again, sums), shift.masked_fill_(~unsafe, 0.0)

    def _highest(self, tile: Tile) -> Tensor:
        """Each row's highest score; 0 where every key is masked."""
        rows = self._rows.widened(tile.queries(self._query))
        highest = rows.new_full((*rows.shape[:-1], 1), -math.inf)
        for part, seeing, start, stop in self._plan.blocks(tile, self._key.shape[-2]):
            scores = self._masked(part, rows[:, seeing], start, stop, None)
            known = highest[:, seeing]
            torch.maximum(known, scores.amax(dim=-1, keepdim=True), out=known)
        return highest.masked_fill_(highest == -math.inf, 0.0)

    def _masked(
        self, tile: Tile, rows: Tensor, start: int, stop: int, less: Tensor | None
    ) -> Tensor:
        scores = self._scores.block(tile.num_heads, tile.num_rows, stop - start)
        keys = self._keys.widened(tile.keys(self._key, start, stop))
        return _score(scores, rows, keys, less, self._plan, tile, start)


def _score(
    scores: Tensor,
    rows: Tensor,
    keys: Tensor,
    less: Tensor | None,
    plan: _Plan,
    tile: Tile,
    start: int,
) -> Tensor:
    """Fill a block with its masked scores in units of log 2, less something of each row.

    The block is (num_heads, num_rows, keys from start on).
    """
    # Rounded scores must be the same forward and backward, and what is large must cancel: so only
    # where nothing is added to the scores, or rounded to half precision, this costs no pass.
    fused = less if plan.cut.working == plan.cut.summing and not plan.masking.adds else None
    _multiply(scores, rows, keys.mT, factor=plan.scale * LOG2_E, less=fused)
    plan.masking.apply_(scores, tile, start, float_factor=LOG2_E)
    return scores if less is fused or less is None else scores.sub_(less)


def _multiply(
    into: Tensor, left: Tensor, right: Tensor, *, factor: float = 1.0, less: Tensor | None
) -> Tensor:
    """factor · left @ right - less, in a block that lies in memory by rows or by columns."""
    if not into.is_contiguous():
        turned = None if less is None else less.mT
        return _multiply(into.mT, right.mT, left.mT, factor=factor, less=turned).mT
    added, beta = (into, 0) if less is None else (less, -1)
    return torch.baddbmm(added, left, right, beta=beta, alpha=factor, out=into)


def _unsafe_rows(sums: Tensor, total: Tensor, working: torch.dtype) -> Tensor | None:
    """The rows (…, 1) in which weights overflowed, or vanished where they count; None if none is.

    Values are multiplied before anything is divided: five sixths of a dtype's exponents are theirs.
    """
    least = torch.finfo(working).tiny ** (1 / 6)
    lowest, highest = map(float, sums.aminmax())
    if least <= lowest and highest < math.inf and math.isfinite(float(total.sum())):
        return None
    finite = total.isfinite().all(dim=-1, keepdim=True)
    unsafe = ~((sums >= least) & (sums < math.inf) & finite)
    return unsafe if bool(unsafe.any()) else None


def _backward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    output: Tensor,
    log_sums: Tensor,
    grad_output: Tensor,
    plan: _Plan,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of query, key and value."""
    cut, width, value_dim = plan.cut, query.shape[-1], value.shape[-1]
    grad_query = torch.zeros_like(query)
    grad_key, grad_value = accumulator(key), accumulator(value)
    memories = [cut.scratch(query, rows=cut.keys) for _ in range(2)]
    of_rows, of_upstream = (cut.scratch(query, rows=columns) for columns in (width, value_dim))
    of_keys, of_values = (cut.scratch(query, keys=columns) for columns in (width, value_dim))
    for tile in cut.tiles(query):
        rows = of_rows.widened(tile.queries(query))
        upstream = of_upstream.widened(tile.queries(grad_output))
        delta = (upstream * tile.queries(output)).sum(dim=-1, keepdim=True)
        log_sum = tile.queries(log_sums)
        grad_rows = accumulator(rows.mT)
        for part, seeing, start, stop in plan.blocks(tile, key.shape[-2]):
            keys = of_keys.widened(tile.keys(key, start, stop))
            values = of_values.widened(tile.keys(value, start, stop))
            block_rows, block_upstream = rows[:, seeing], upstream[:, seeing]
            shape = (part.num_heads, part.num_rows, stop - start)
            weights, grads = (_by_columns(memory, shape, cut) for memory in memories)
            _score(weights, block_rows, keys, log_sum[:, seeing], plan, part, start).exp2_()
            accumulate_(tile.keys(grad_value, start, stop), weights.mT, block_upstream)
            _multiply(grads, block_upstream, values.mT, less=delta[:, seeing]).mul_(weights)
            into = tile.keys(grad_key, start, stop)
            accumulate_(into, grads.mT, block_rows, factor=plan.scale)
            accumulate_(grad_rows[..., seeing], keys.mT, grads.mT, factor=plan.scale)
        tile.queries(grad_query).copy_(grad_rows.mT)
    return grad_query, grad_key.to(key.dtype), grad_value.to(value.dtype)


def _by_columns(memory: Scratch, shape: tuple[int, int, int], cut: Cut) -> Tensor:
    """A block of the shape, column after column in memory, but for half precision.

    There the scores must be rounded as they were forward, which the order may change.
    """
    heads, rows, columns = shape
    if cut.working != cut.summing:
        return memory.block(*shape)
    return memory.block(heads, columns, rows).mT
