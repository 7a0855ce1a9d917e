"""Dropout on the weights, read off exactly: with the unit matrix as values the output is them.

Every weight is then either dropped or scaled by 1 / (1 - p) (Srivastava et al. 2014, inverted as in
torch). Which ones were dropped is seen, so that rate, independence and gradients can be judged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bench.probes.gradients import gradients_of, refused_gradients
from bench.probes.trial import GRADIENTS, Trial, leaves_of, same
from bench.results import CheckResult
from bench.timing.inputs import Inputs
from implementations.masking import apply_mask, resolve_scale, safe_softmax
from implementations.oracle import full_mask

RATE = 0.3
# Of a right kernel: once in 20 million runs for the rate, in a few hundred thousand for the
# scatter, whose squares have a longer tail; the seed is fixed, so that a kernel passes or does not.
SIGMAS = 5.5
CHECKS = ("zero_rate", "weights", "rate", "seed")


def check_dropout(trial: Trial) -> Iterator[CheckResult]:
    """Identity at rate 0, the weights and their rate, the seed, the gradients."""
    inputs = _with_unit_values(trial)
    expected = trial.expect(inputs)
    allowed = expected.allowed["output"]
    explicit = _dropped(trial, inputs, 0.0)
    problem = trial.objection(explicit, inputs)
    if problem is not None:
        yield trial.failed("zero_rate", problem)
        return
    weights = expected.values["output"]
    yield trial.compared("zero_rate", explicit, weights, allowed, "with dropout_p=0.0")

    output = _dropped(trial, inputs, RATE)
    problem = trial.objection(output, inputs)
    if problem is not None:
        yield trial.failed("weights", problem)
        return
    kept, result = _kept(trial, output, weights, allowed)
    yield result
    if not result.bad:
        yield _rate(trial, kept, weights > 0.0)
        if trial.wants_gradients:
            yield from _gradients(trial, inputs)
    again, other = (_dropped(trial, inputs, RATE, seed) for seed in (0, 1))
    problem = "the same seed drops other weights" if not same(output, again) else ""
    torch.manual_seed(0)
    trial.forward(inputs, dropout_p=RATE)
    if same(output, other):
        problem = "every seed drops the same weights"
    elif same(output, trial.forward(inputs, dropout_p=RATE)):
        problem = "a second call drops the same weights"
    yield trial.judged("seed", not problem, problem)


def _with_unit_values(trial: Trial) -> Inputs:
    """Small scores, so that no weight is near zero, and the unit matrix for values."""
    inputs = trial.inputs()
    key_len = inputs.key.shape[-2]
    unit = torch.eye(key_len, dtype=inputs.value.dtype, device=inputs.value.device)
    value = inputs.value.clone().copy_(unit)
    return replace(inputs, query=inputs.query * 0.1, value=value)


def _dropped(trial: Trial, inputs: Inputs, rate: float, seed: int = 0, **keywords: Any) -> Tensor:
    torch.manual_seed(seed)
    if rate:
        return trial.forward(inputs, dropout_p=rate, **keywords)
    others: dict[str, Any] = {
        "attn_mask": inputs.attn_mask,
        "is_causal": trial.case.case.is_causal or None,
        "scale": trial.case.scale,
    }
    given = {name: value for name, value in others.items() if value is not None}
    with torch.no_grad():  # Implementation.call leaves defaults away
        return trial.implementation.fn(
            inputs.query, inputs.key, inputs.value, dropout_p=0.0, **given
        )


def _kept(
    trial: Trial, output: Tensor, weights: Tensor, allowed: float
) -> tuple[Tensor, CheckResult]:
    """Which weights were kept, and whether every one is dropped or scaled."""
    actual = output.detach().to(device="cpu", dtype=torch.float64)
    scaled = weights / (1.0 - RATE)
    kept = actual.abs() > weights / 2
    error = (actual - torch.where(kept, scaled, 0.0)).abs()
    reason = f"expected every weight to be 0 or weight / {1.0 - RATE:g}"
    limit = allowed / (1.0 - RATE) + torch.finfo(output.dtype).eps * float(scaled.max())
    return kept, trial.compared("weights", error, torch.zeros_like(error), limit, reason)


def _rate(trial: Trial, kept: Tensor, valid: Tensor) -> CheckResult:
    """How many were dropped, over all and over every row, column and place in a matrix."""
    dropped = (~kept & valid).double()
    total = float(valid.sum())
    share = float(dropped.sum()) / total
    if abs(share - RATE) > SIGMAS * math.sqrt(RATE * (1.0 - RATE) / total):
        return trial.failed("rate", f"expected {RATE:.0%} of the weights dropped, got {share:.1%}")
    for name, dims in (("row", (-1,)), ("column", (-2,)), ("place in the matrices", (0, 1))):
        chances = valid.double().sum(dims)
        counts = dropped.sum(dims)[chances > 0]
        chances = chances[chances > 0]
        # Sum of squared normal deviates, nearly: mean 1 and variance 2 each.
        squares = (counts - chances * RATE) ** 2 / (chances * RATE * (1.0 - RATE))
        excess = float(squares.sum()) - len(squares)
        if abs(excess) > SIGMAS * math.sqrt(2.0 * len(squares)):
            return trial.failed("rate", f"the weights of one {name} are not dropped independently")
    return trial.passed("rate")


def _gradients(trial: Trial, inputs: Inputs) -> Iterator[CheckResult]:
    """Against the formula with the weights that were seen to be dropped."""
    leaves = leaves_of(inputs)
    torch.manual_seed(0)
    try:
        output = trial.call(inputs, leaves, dropout_p=RATE)
        gradients = gradients_of(output, leaves, inputs)
    except Exception as problem:
        yield from refused_gradients(trial, problem)
        return
    case = trial.case.case
    q, k, v = (t.detach().cpu().double().requires_grad_() for t in leaves)
    hidden = None if inputs.attn_mask is None else inputs.attn_mask.cpu()
    mask = full_mask(q, k, hidden, case.is_causal)
    weights = safe_softmax(apply_mask(q @ k.mT * resolve_scale(q, trial.case.scale), mask))
    kept = output.detach().cpu().double().abs() > weights / 2
    exact = torch.where(kept, weights / (1.0 - RATE), 0.0) @ v
    upstream = inputs.grad_output.cpu().double()
    allowed = trial.expect(inputs).allowed
    for name, gradient, expected in zip(
        GRADIENTS, gradients, torch.autograd.grad(exact, (q, k, v), upstream), strict=True
    ):
        if gradient is None:
            yield trial.failed(name, f"no gradient reaches {name.removeprefix('grad_')}")
            continue
        limit = allowed[name] / (1.0 - RATE)
        yield trial.compared(name, gradient, expected, limit, f"with dropout_p={RATE:g}")
