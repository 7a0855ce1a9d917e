"""The passes of attention by blocks, forward and backward: see `implementations.blockwise`.

The scores are kept in units of log 2, since exp2 is several times faster than exp; log₂e is folded
into the scale. The backward pass computes the weights P of a block again from the saved log-sum-exp
of each row: with δ = rowsum(dO ∘ O), dS = P ∘ (dO Vᵀ - δ) and dV = Pᵀ dO (Dao et al. 2022,
"FlashAttention", algorithm 4); `implementations.scoring` says what dS gives Q and K. P and dS lie
in memory by columns, since a BLAS multiplies by the transpose of a wide block a third slower.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from implementations.blocks import HOSTS, Cut, Masking, Scratch, Tile, accumulate_, accumulator
from implementations.groups import Grouping
from implementations.scoring import Scoring, multiply_

LOG2_E = math.log2(math.e)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a call asks for beside its tensors, and how it is cut; whole, if by rows alone.

    The passes see all tensors as `grouping` views them.
    """

    grouping: Grouping
    scoring: Scoring
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

    def score_(
        self, block: Tensor, rows: Tensor, keys: Tensor, less: Tensor | None, tile: Tile, start: int
    ) -> Tensor:
        """Fill a block with its masked scores, less something of each row.

        The block is (num_heads, num_rows, keys from start on). Its unit is log 2, but where a mask
        is added, whose lowest numbers have no room for log₂e.
        """
        # Rounded scores must be the same forward and backward, and what is large must cancel: so
        # only where nothing is added to the scores, or rounded to half, this costs no pass.
        adds = self.masking.adds
        fused = less if self.cut.working == self.cut.summing and not adds else None
        factor = self.scale if adds else self.scale * LOG2_E
        self.scoring.fill_(block, rows, keys, factor=factor, less=fused)
        self.masking.apply_(block, tile, start)
        return block if less is fused or less is None else block.sub_(less)

    def weigh_(self, scores: Tensor, log_sum: Tensor | None) -> Tensor:
        """Turn scores into weights: 2^(s - log_sum)."""
        if self.masking.adds:
            scores.mul_(LOG2_E)
        if log_sum is not None:
            scores.sub_(log_sum)
        return scores.exp2_()


class Forward:
    """The forward pass of a call, in buffers of its own."""

    def __init__(self, query: Tensor, key: Tensor, value: Tensor, plan: Plan) -> None:
        self._plan, self._output_shape = plan, (*query.shape[:-1], value.shape[-1])
        self._query = plan.grouping.of_queries(query)
        self._key, self._value = map(plan.grouping.of_keys, (key, value))
        cut, value_dim = plan.cut, value.shape[-1]
        self._scores = cut.scratch(query, rows=cut.keys)
        self._products = cut.scratch(query, rows=value_dim)
        self._rows = cut.scratch(query, rows=query.shape[-1])
        self._keys = cut.scratch(query, keys=query.shape[-1])
        self._values = cut.scratch(query, keys=value_dim)
        # A row that is whole is one product, which nothing is added to.
        self._adding = cut.working if plan.whole else cut.summing
        self._totals = Scratch(cut.heads * cut.rows * value_dim, self._adding, query.device)
        # What was subtracted from each row's scores, as `log_sums` is viewed; None if from no row.
        self.shifts: Tensor | None = None

    def run(self, log_sums: Tensor | None) -> Tensor:
        """The output; `log_sums` (..., query_len, 1) is filled where it is given."""
        query, plan = self._query, self._plan
        output = query.new_empty(self._output_shape)
        if plan.cut.keys == 0:
            return output.zero_()
        outputs = plan.grouping.of_queries(output)
        if log_sums is not None:
            log_sums = plan.grouping.of_queries(log_sums)
        for tile in plan.cut.tiles(query):
            into = tile.queries(outputs)
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
            added.mul_(plan.weigh_(known.sub_(shift).to(sums.dtype), None))
            weights = plan.weigh_(scores.sub_(shift), None)
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
        """`total` gets the products of the weights with the values.

        Gives the sum of each row's weights, where no `log_sum` says that it is 1.
        """
        plan, rows = self._plan, self._rows.widened(tile.queries(self._query))
        sums = total.new_zeros((*total.shape[:-1], 1), dtype=plan.cut.summing)
        for part, seeing, start, stop in plan.blocks(tile, self._key.shape[-2]):
            less, log = (None if one is None else one[:, seeing] for one in (shift, log_sum))
            weights = plan.weigh_(self._score(part, rows[:, seeing], start, stop, less), log)
            if log is None:
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
        scores = self._scores.block(*tile.shape, stop - start)
        keys = self._keys.widened(tile.keys(self._key, start, stop))
        return self._plan.score_(scores, rows, keys, less, tile, start)


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


def backward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    output: Tensor,
    log_sums: Tensor,
    shifts: Tensor | None,
    grad_output: Tensor,
    plan: Plan,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of query, key and value."""
    cut, width, value_dim = plan.cut, query.shape[-1], value.shape[-1]
    gradients = torch.zeros_like(query), accumulator(key), accumulator(value)
    if plan.grouping.as_rows:
        grad_output = grad_output.contiguous()
    by_queries = (query, output, log_sums, grad_output, gradients[0])
    query, output, log_sums, grad_output, grad_query = map(plan.grouping.of_queries, by_queries)
    # Where a key repeats, its gradient does too: what its queries add meets in one memory.
    by_keys = (key, value, *gradients[1:])
    key, value, grad_key, grad_value = map(plan.grouping.of_keys, by_keys)
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
            weights, grads = (_by_columns(one, cut, *part.shape, stop - start) for one in memories)
            shift, log = (None if one is None else one[:, seeing] for one in (less, log_sum))
            plan.weigh_(plan.score_(weights, block_rows, keys, shift, part, start), log)
            accumulate_(tile.keys(grad_value, start, stop), weights.mT, block_upstream)
            multiply_(grads, block_upstream, values.mT, less=delta[:, seeing]).mul_(weights)
            into_rows, into_keys = grad_rows[..., seeing], tile.keys(grad_key, start, stop)
            plan.scoring.differentiate_(
                grads, block_rows, keys, into_rows, into_keys, factor=plan.scale
            )
        tile.queries(grad_query).copy_(grad_rows.mT)
    return gradients[0], gradients[1].to(key.dtype), gradients[2].to(value.dtype)


def _by_columns(memory: Scratch, cut: Cut, heads: int, rows: int, columns: int) -> Tensor:
    """A block of the shape, column after column in memory, but for half precision.

    There the scores must be rounded as they were forward, which the order may change.
    """
    if cut.working != cut.summing:
        return memory.block(heads, rows, columns)
    return memory.block(heads, columns, rows).mT
