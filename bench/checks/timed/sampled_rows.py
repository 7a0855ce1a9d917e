"""Looks at a few rows of an answer of any size: exact, at a cost of rows · key_len · head_dim.

A row of the output, or of the query's gradient, depends on its own query and on all keys. The
gradients of keys and values are sums over all queries; but the backward pass is linear in the
upstream gradient, so that with one that is zero outside the sampled rows (`thin_upstream`) they are
sums over these alone. What is asked is then the reference of `bench.checks.error_bound` for a few
queries.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.checks.error_bound import expect
from bench.timing.inputs import Inputs
from implementations.case import Case
from implementations.groups import group_size
from implementations.masking import expand_mask
from implementations.oracle import Oracle, softmax_attention

MOST_ROWS = 6
MOST_ITEMS = 16
# For each query: in float64 so many take tenths of a second, where a call that decodes takes
# hundredths.
MOST_KEYS = 2**17


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Where to look: pairs of batch item and head of keys, and rows of queries.

    All heads of queries that share the keys are looked at: the key's gradient is their sum.
    """

    items: tuple[tuple[int, int], ...]
    rows: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class QuantityError:
    """The largest error of one quantity (`output`, `grad_query`, …) where it was looked at.

    `place` is the first row that is off by more than `allowed`, else the one that is off most; it
    is empty where the whole was looked at.
    """

    quantity: str
    error: float
    allowed: float
    place: str = ""

    @property
    def bad(self) -> bool:
        """Whether it is more than allowed; NaN is."""
        return not self.error <= self.allowed

    def __str__(self) -> str:
        """One line: `output at batch 0, head 3, row 17 is off by 0.63, allowed 2e-06`."""
        name = self.quantity.replace("grad_", "gradient of ", 1)
        off = f"off by {self.error:.3g}, allowed {self.allowed:.3g}"
        return f"{name} at {self.place} is {off}" if self.place else f"{name} is {off}"


def draw_sample(case: Case, chance: random.Random) -> Sample:
    """The first row, the last, and some between, of some items: others in every draw."""
    pairs = [(item, head) for item in range(case.batch) for head in range(case.kv_heads)]
    rows = {0, case.seq_len - 1} if case.seq_len else set()
    between = range(1, max(1, case.seq_len - 1))
    rows.update(chance.sample(between, min(len(between), MOST_ROWS - len(rows))))
    by_heads = MOST_ITEMS * case.kv_heads // max(1, case.num_heads)
    most = max(1, min(by_heads, MOST_KEYS * case.seq_len // max(1, case.key_len)))
    items = chance.sample(pairs, min(len(pairs), most))
    return Sample(items=tuple(sorted(items)), rows=tuple(sorted(rows)))


def thin_upstream(grad_output: Tensor, sample: Sample) -> None:
    """Make the upstream gradient zero, in place, outside the sampled rows."""
    others = torch.ones(grad_output.shape[-2], dtype=torch.bool)
    others[list(sample.rows)] = False
    grad_output[..., others.to(grad_output.device), :] = 0.0


def row_errors(
    outputs: Sequence[Tensor],
    inputs: Inputs,
    sample: Sample,
    *,
    is_causal: bool = False,
    window: int | None = None,
    scale: float | None = None,
    oracle: Oracle = softmax_attention,
) -> Iterator[QuantityError]:
    """Compare the output, and the gradients if they are there, with the reference.

    The heads of queries that share keys are compared as one head of more rows, so that no key is
    repeated. `outputs` are (output, grad_query, grad_key, grad_value), or the output alone; inputs
    are (batch, num_heads, rows, features). The gradients are those of a thinned upstream gradient.
    """
    rows = torch.tensor(sample.rows, device=inputs.query.device)
    group = group_size(inputs.query, inputs.key)
    few = Inputs(
        query=_rows(inputs.query, sample, group, rows),
        key=_keys(inputs.key, sample),
        value=_keys(inputs.value, sample),
        grad_output=_rows(inputs.grad_output, sample, group, rows),
        attn_mask=_mask(inputs, sample, rows, is_causal, window),
    )
    with_gradients = len(outputs) > 1
    expected = expect(few, scale=scale, oracle=oracle, with_gradients=with_gradients)
    for (quantity, exact), whole in zip(expected.values.items(), outputs, strict=True):
        by_query = quantity in ("output", "grad_query")
        actual = _rows(whole, sample, group, rows) if by_query else _keys(whole, sample)
        errors = (actual.detach().to(device="cpu", dtype=torch.float64) - exact).abs().amax(-1)
        yield _judged(quantity, errors, expected.allowed[quantity], sample, by_query)


def _judged(
    quantity: str, errors: Tensor, allowed: float, sample: Sample, by_query: bool
) -> QuantityError:
    beyond = (~(errors <= allowed)).nonzero()
    if len(beyond):
        item, row = beyond[0].tolist()
    elif errors.numel():
        item, row = (int(i) for i in torch.unravel_index(errors.argmax(), errors.shape))
    else:
        item, row = 0, 0
    batch, head = sample.items[item]
    number, kind = row, "key"
    if by_query:
        member, index = divmod(row, len(sample.rows))
        group = errors.shape[1] // len(sample.rows)
        head, number, kind = head * group + member, sample.rows[index], "row"
    worst = float(errors[item, row]) if errors.numel() else 0.0
    place = f"batch {batch}, head {head}, {kind} {number}"
    return QuantityError(quantity=quantity, error=worst, allowed=allowed, place=place)


def _keys(tensor: Tensor, sample: Sample) -> Tensor:
    """The head of keys of each item, (items, keys, columns)."""
    whole = tensor.detach()
    return torch.stack([whole[item, head] for item, head in sample.items])


def _rows(tensor: Tensor, sample: Sample, group: int, rows: Tensor) -> Tensor:
    """The sampled rows of each item's heads, one head after the other, (items, rows, columns)."""
    whole = tensor.detach()
    found = [whole[item][head * group : (head + 1) * group, rows] for item, head in sample.items]
    return torch.stack(found).flatten(1, 2)


def _mask(
    inputs: Inputs, sample: Sample, rows: Tensor, is_causal: bool, window: int | None
) -> Tensor | None:
    group = group_size(inputs.query, inputs.key)
    if is_causal or window is not None:
        keys = torch.arange(inputs.key.shape[-2], device=rows.device)
        behind = rows.repeat(group)[:, None] - keys
        seen = behind >= 0 if is_causal else torch.ones_like(behind, dtype=torch.bool)
        return seen if window is None else seen & (behind.abs() < window)
    mask = expand_mask(inputs.attn_mask, inputs.query, inputs.key)
    return None if mask is None else _rows(mask, sample, group, rows)
