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
    refuse_mask_gradient,
    working_dtype,
)
from implementations.masking import (
    check_arguments,
    expand_mask,
    refuse_dropout,
    resolve_scale,
)

LOG2_E = math.log2(math.e)
NAME = "a core that recomputes its blocks"
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
    refuse_dropout(NAME, dropout_p)
    refuse_mask_gradient(NAME, attn_mask)
    if query.shape[-1] == 0:
        # Products of no features are empty sums, which BLAS does not write everywhere.
        query, key = (torch.nn.functional.pad(one, (0, 1)) for one in (query, key))
        scale = 0.0
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
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
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
        forward = _Forward(query, key, value, plan)
        output = forward.run(log_sums)
        ctx.save_for_backward(query, key, value, output, log_sums, forward.shifts)
        ctx.plan = plan
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, output, log_sums, shifts = ctx.saved_tensors
        found = _backward(query, key, value, output, log_sums, shifts, grad_output, ctx.plan)
        return *found, None


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
        # What was subtracted from each row's scores, (..., query_len, 1); None if from no row.
        self.shifts: Tensor | None = None

    def run(self, log_sums: Tensor | None) -> Tensor:
        """The output; `log_sums` (..., query_len, 1) is filled where it is given."""
        query, plan = self._query, self._plan
        output = query.new_empty((*query.shape[:-1], self._value.shape[-1]))
        if plan.cut.keys == 0:
            return output.zero_()
        for tile in plan.cut.tiles(query):
            into = tile.queries(output)
            total = into if into.dtype == self._adding else self._totals.block(*into.shape)
            if query.device.type in HOSTS:
                log_sum, shift = self._as_they_are(tile, total)
            else:
                log_sum, shift = self._exactly(tile, total)
            if total is not into:
                into.copy_(total)
            if log_sums is not None:
                tile.queries(log_sums).copy_(log_sum)
                if shift is not None:
                    if self.shifts is None:
                        self.shifts = torch.zeros_like(log_sums)
                    tile.queries(self.shifts).copy_(shift)
        return output

    def _as_they_are(self, tile: Tile, total: Tensor) -> tuple[Tensor, Tensor | None]:
        """Fill a tile by weights 2^s, and `_exactly` the rows where these are not safe.

        The result is that of `_exactly`; the shift is None where all rows are safe.
        Rows that are safe stay as they are: to the last bit, none depends on what another one sees.
        """
        sums = self._add_up(tile, total, None, None)
        unsafe = None
        if total.device.type == "cpu":
            unsafe = _unsafe_rows(sums, total, self._plan.cut.working)
        total.div_(sums)
        log_sum = sums.log2_()
        if unsafe is None:
            return log_sum, None
        kept = total.clone()
        again, shift = self._exactly(tile, total)
        torch.where(unsafe, total, kept, out=kept)
        total.copy_(kept)
        return torch.where(unsafe, again, log_sum), shift.masked_fill_(~unsafe, 0.0)

    def _exactly(self, tile: Tile, total: Tensor) -> tuple[Tensor, Tensor]:
        """Fill a tile by weights whose sum is 1: log₂ Σ 2^(s - shift), and the shift.

        The shift is each row's highest score, 0 where every key is masked. Weights are divided
        before they meet values, since float16 holds no sums of large ones.
        """
        plan, rows = self._plan, self._rows.widened(tile.queries(self._query))
        highest = rows.new_full((*rows.shape[:-1], 1), -math.inf)
        sums = torch.zeros_like(highest, dtype=plan.cut.summing)
        for part, seeing, start, stop in plan.blocks(tile, self._key.shape[-2]):
            scores = self._score(part, rows[:, seeing], start, stop, None)
            known, added = highest[:, seeing], sums[:, seeing]
            higher = torch.maximum(known, scores.amax(dim=-1, keepdim=True))
            shift = higher.masked_fill(higher == -math.inf, 0.0)
            added.mul_(_weigh_(known.sub_(shift).to(sums.dtype), plan, None))
            weights = _weigh_(scores.sub_(shift), plan, None)
            added.add_(weights.sum(dim=-1, keepdim=True, dtype=sums.dtype))
            known.copy_(higher)
        empty = highest == -math.inf
        # +inf makes every weight of an empty row 2^-inf = 0.
        log_sum = sums.log2_().masked_fill_(empty, math.inf)
        shift = highest.masked_fill_(empty, 0.0)
        self._add_up(tile, total, shift, log_sum)
        return log_sum, shift

    def _add_up(
        self, tile: Tile, total: Tensor, shift: Tensor | None, log_sum: Tensor | None
    ) -> Tensor:
        """The sum of each row's weights; `total` gets their products with the values."""
        plan, rows = self._plan, self._rows.widened(tile.queries(self._query))
        sums = total.new_zeros((*total.shape[:-1], 1), dtype=plan.cut.summing)
        for part, seeing, start, stop in plan.blocks(tile, self._key.shape[-2]):
            less, log = (None if one is None else one[:, seeing] for one in (shift, log_sum))
            weights = _weigh_(self._score(part, rows[:, seeing], start, stop, less), plan, log)
            sums[:, seeing].add_(weights.sum(dim=-1, keepdim=True, dtype=sums.dtype))
            values = self._values.widened(tile.keys(self._value, start, stop))
            into = total[:, seeing]
            if weights.dtype == total.dtype:
                into.baddbmm_(weights, values, beta=min(start, 1))
                continue
            product = torch.bmm(weights, values, out=self._products.block(*into.shape))
            into.add_(product) if start else into.copy_(product)
        return sums

    def _score(
        self, tile: Tile, rows: Tensor, start: int, stop: int, less: Tensor | None
    ) -> Tensor:
        scores = self._scores.block(tile.num_heads, tile.num_rows, stop - start)
        keys = self._keys.widened(tile.keys(self._key, start, stop))
        return _score_(scores, rows, keys, less, self._plan, tile, start)


def _score_(
    scores: Tensor,
    rows: Tensor,
    keys: Tensor,
    less: Tensor | None,
    plan: _Plan,
    tile: Tile,
    start: int,
) -> Tensor:
    """Fill a block with its masked scores, less something of each row.

    The block is (num_heads, num_rows, keys from start on). Its unit is log 2, but where a mask is
    added, whose lowest numbers have no room for log₂e.
    """
    # Rounded scores must be the same forward and backward, and what is large must cancel: so only
    # where nothing is added to the scores, or rounded to half precision, this costs no pass.
    adds = plan.masking.adds
    fused = less if plan.cut.working == plan.cut.summing and not adds else None
    factor = plan.scale if adds else plan.scale * LOG2_E
    _multiply(scores, rows, keys.mT, factor=factor, less=fused)
    plan.masking.apply_(scores, tile, start)
    return scores if less is fused or less is None else scores.sub_(less)


def _weigh_(scores: Tensor, plan: _Plan, log_sum: Tensor | None) -> Tensor:
    """Turn scores into weights: 2^(s - log_sum)."""
    if plan.masking.adds:
        scores.mul_(LOG2_E)
    if log_sum is not None:
        scores.sub_(log_sum)
    return scores.exp2_()


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
    shifts: Tensor | None,
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
        # What is large comes off first: a sum of both would lose the smaller.
        less = None if shifts is None else tile.queries(shifts)
        log_sum: Tensor | None = tile.queries(log_sums)
        if less is None and not plan.masking.adds:
            less, log_sum = log_sum, None  # costs no pass of its own
        grad_rows = accumulator(rows.mT)
        for part, seeing, start, stop in plan.blocks(tile, key.shape[-2]):
            keys = of_keys.widened(tile.keys(key, start, stop))
            values = of_values.widened(tile.keys(value, start, stop))
            block_rows, block_upstream = rows[:, seeing], upstream[:, seeing]
            shape = (part.num_heads, part.num_rows, stop - start)
            weights, grads = (_by_columns(memory, shape, cut) for memory in memories)
            shift, log = (None if one is None else one[:, seeing] for one in (less, log_sum))
            _weigh_(_score_(weights, block_rows, keys, shift, plan, part, start), plan, log)
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
