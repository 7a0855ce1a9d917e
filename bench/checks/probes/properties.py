"""What holds for attention without knowing the right answer: symmetries, bounds, no leakage.

Relations that rounding leaves alone are compared to the last bit: what is masked or comes later
must not be seen at all. The others are compared within the allowances of both sides; other items
and heads among them, since a kernel may rescale a tile of several when one of them needs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from bench.checks.probes.trial import Trial, gradients_of, leaves_of, probe, same
from bench.checks.results import CheckResult
from bench.timing.inputs import Inputs
from implementations.groups import group_size
from implementations.oracle import for_each_head

# A leak of a millionth of another item shows; float16 can still hold it.
HUGE = 8192.0


@probe
def check_properties(trial: Trial) -> Iterator[CheckResult]:
    """Every property that the situation can show."""
    inputs = trial.inputs()
    output = trial.formed(trial.forward(inputs), inputs)
    if not bool(output.isfinite().all()):
        yield trial.failed("output", "not finite where the reference is")
        return
    case = trial.case.case
    if case.is_causal:
        yield from _future_ignored(trial, inputs, output)
    if case.mask != "none":
        yield _masked_ignored(trial, inputs)
    yield from _apart(trial, inputs, output)
    yield _hull(trial, inputs, output)
    yield _linear(trial, inputs, output)
    if not case.is_causal:
        if case.window is None:
            yield from _permuted(trial, inputs, output)
        yield _scores_shifted(trial, inputs, output)


def _future_ignored(trial: Trial, inputs: Inputs, output: Tensor) -> Iterator[CheckResult]:
    """Rows up to some query, when all keys and values after it are others."""
    other = trial.inputs(1)
    for last in sorted({0, inputs.query.shape[-2] // 2, inputs.query.shape[-2] - 2}):
        later = slice(last + 1, None)
        key, value = inputs.key.clone(), inputs.value.clone()
        key[..., later, :] = other.key[..., later, :] * 8
        value[..., later, :] = other.value[..., later, :] * 64
        changed = trial.forward(replace(inputs, key=key, value=value))
        if not same(output[..., : last + 1, :], changed[..., : last + 1, :]):
            yield trial.failed("future_ignored", f"query {last} sees a key that comes later")
            return
        leak = _gradient_leak(trial, inputs, slice(None, last + 1), later)
        if leak:
            yield trial.failed("future_ignored", f"query {last} sends a gradient to a later {leak}")
            return
    yield trial.result("future_ignored", "pass")


def _gradient_leak(trial: Trial, inputs: Inputs, rows: slice, keys: slice) -> str | None:
    """Which of key and value gets a gradient at `keys` from the outputs at `rows`."""
    if not trial.wants_gradients:
        return None
    leaves = leaves_of(inputs)
    upstream = torch.zeros_like(inputs.grad_output)
    upstream[..., rows, :] = inputs.grad_output[..., rows, :]
    try:
        output = trial.call(inputs, leaves)
        gradients = gradients_of(output, leaves, replace(inputs, grad_output=upstream))
    except Exception:
        return None  # refused gradients are the business of other checks
    for name, gradient in zip(("key", "value"), gradients[1:], strict=True):
        if gradient is not None and bool((gradient[..., keys, :] != 0).any()):
            return name
    return None


def _masked_ignored(trial: Trial, inputs: Inputs) -> CheckResult:
    """Keys that no query may see, when they and their values are others."""
    assert inputs.attn_mask is not None
    mask = inputs.attn_mask.clone()
    hidden = torch.arange(mask.shape[-1], device=mask.device) % 3 == 1
    mask[..., hidden] = False if mask.dtype == torch.bool else -torch.inf
    other = trial.inputs(1)
    key = torch.where(hidden[:, None], other.key * 8, inputs.key)
    value = torch.where(hidden[:, None], other.value * 64, inputs.value)
    masked = replace(inputs, attn_mask=mask)
    output = trial.forward(masked)
    changed = trial.forward(replace(masked, key=key, value=value))
    return trial.judged("masked_ignored", same(output, changed), "a masked key is seen")


def _apart(trial: Trial, inputs: Inputs, output: Tensor) -> Iterator[CheckResult]:
    """All other items, heads or queries, when one is another, and its values huge if it has any.

    Heads that share keys are one head here; among themselves their queries alone are others.
    """
    other, group = trial.inputs(1), group_size(inputs.query, inputs.key)
    every, first = slice(None), slice(0, 1)
    for check, one, rest, what in (
        ("batch_apart", (first,), (slice(1, None),), "batch items"),
        ("heads_apart", (every, first), (every, slice(group, None)), "heads"),
    ):
        query, key, value = (t.clone() for t in (inputs.query, inputs.key, inputs.value))
        query[one], key[one] = other.query[one] * 8, other.key[one] * 8
        value[one] = other.value[one] * HUGE
        changed = trial.forward(replace(inputs, query=query, key=key, value=value))
        seen = f"{what} see each other"
        yield _unchanged(trial, check, output[rest], changed[rest], seen)
    for check, dim, what in (("queries_apart", -2, "queries"), ("group_apart", -3, "heads")):
        if dim == -3 and group == 1:
            continue
        query = inputs.query.clone()
        query.select(dim, 0).copy_(other.query.select(dim, 0) * 8)
        changed = trial.forward(replace(inputs, query=query))
        before, after = (one.narrow(dim, 1, one.shape[dim] - 1) for one in (output, changed))
        yield _unchanged(trial, check, before, after, f"{what} see each other")


def _hull(trial: Trial, inputs: Inputs, output: Tensor) -> CheckResult:
    """No output beyond the least and the greatest value; rows without keys give zero."""
    value = for_each_head(inputs.value.detach().cpu().double(), inputs.query)
    low = value.amin(-2, keepdim=True).clamp(max=0.0)
    high = value.amax(-2, keepdim=True).clamp(min=0.0)
    if trial.case.case.mask == "none":
        low, high = value.amin(-2, keepdim=True), value.amax(-2, keepdim=True)
    actual = output.cpu().double()
    beyond = torch.maximum(low - actual, actual - high).clamp(min=0.0)
    allowed = trial.expected().allowed["output"]
    reason = "an output lies beyond all values"
    return trial.compared("hull", beyond, torch.zeros_like(beyond), allowed, reason)


def _linear(trial: Trial, inputs: Inputs, output: Tensor) -> CheckResult:
    """f(2 v - u) = 2 f(v) - f(u)."""
    other = replace(inputs, value=trial.inputs(1).value)
    mixed = replace(inputs, value=2 * inputs.value - other.value)
    mixed_output, other_output = trial.forward(mixed), trial.forward(other)
    sides = [(1.0, mixed, mixed_output), (-2.0, inputs, output), (1.0, other, other_output)]
    return _balance(trial, "linear_in_value", sides, "the output is not linear in value")


def _permuted(trial: Trial, inputs: Inputs, output: Tensor) -> Iterator[CheckResult]:
    """The queries in reverse order, then the keys with their values."""
    mask = inputs.attn_mask
    turned = replace(
        inputs, query=inputs.query.flip(-2), attn_mask=None if mask is None else mask.flip(-2)
    )
    restored = trial.forward(turned).flip(-2)
    reason = "permuting the queries does not permute the outputs"
    yield _unchanged(trial, "queries_permuted", output, restored, reason)
    key, value = inputs.key.flip(-2), inputs.value.flip(-2)
    turned = replace(
        inputs, key=key, value=value, attn_mask=None if mask is None else mask.flip(-1)
    )
    reason = "permuting the keys with their values changes the output"
    yield _unchanged(trial, "keys_permuted", output, trial.forward(turned), reason)


def _unchanged(trial: Trial, check: str, before: Tensor, after: Tensor, reason: str) -> CheckResult:
    """Two outputs that must be equal, each within its own allowance."""
    allowed = 2 * trial.expected().allowed["output"]
    return trial.compared(check, after, before.detach().cpu().double(), allowed, reason)


def _scores_shifted(trial: Trial, inputs: Inputs, output: Tensor) -> CheckResult:
    """A vector added to every key adds a constant to every row of scores."""
    shifted = replace(inputs, key=inputs.key + inputs.key[..., :1, :])
    sides = [(1.0, shifted, trial.forward(shifted)), (-1.0, inputs, output)]
    reason = "adding a constant to a row of scores changes the output"
    return _balance(trial, "scores_shifted", sides, reason)


def _balance(
    trial: Trial, check: str, sides: list[tuple[float, Inputs, Tensor]], reason: str
) -> CheckResult:
    """Whether a weighted sum of outputs is what it is in float64, where rounded inputs count."""
    exact, actual, allowed = torch.zeros(()).double(), torch.zeros(()).double(), 0.0
    for factor, inputs, output in sides:
        expected = trial.expect(inputs)
        exact = exact + factor * expected.values["output"]
        actual = actual + factor * output.detach().cpu().double()
        allowed += abs(factor) * expected.allowed["output"]
    return trial.compared(check, actual, exact, allowed, reason)
