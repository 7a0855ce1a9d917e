"""Dropout on the weights, read off exactly: with the unit matrix as values the output is them.

Every weight is then either dropped or scaled by 1 / (1 - p) (Srivastava et al. 2014, inverted as in
torch). Which ones were dropped is seen, so that rate, independence and gradients can be judged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from bench.checks.probes.trial import (
    GRADIENTS,
    Trial,
    gradients_of,
    leaves_of,
    no_gradient,
    probe,
    same,
)
from bench.checks.results import CheckResult
from bench.timing.inputs import Inputs
from implementations.masking import resolve_scale
from implementations.oracle import by_scores, full_mask

# Of a right kernel: once in 20 million runs for the rate, in a few hundred thousand for the
# scatter, whose squares have a longer tail; the seed is fixed, so that a kernel passes or does not.
SIGMAS = 5.5


@probe
def check_dropout(trial: Trial) -> Iterator[CheckResult]:
    """Identity at rate 0, the weights and their rate, the seed, the gradients."""
    inputs, rate = _with_unit_values(trial), trial.case.dropout_p
    expected = trial.expect(inputs)
    allowed = expected.allowed["output"]
    explicit = trial.formed(_dropped(trial, inputs, 0.0), inputs, "zero_rate")
    weights = expected.values["output"]
    yield trial.compared("zero_rate", explicit, weights, allowed, "with dropout_p=0.0")

    output = trial.formed(_dropped(trial, inputs, rate), inputs, "weights")
    kept, result = _kept(trial, output, weights, allowed)
    yield result
    if not result.bad:
        yield _rate(trial, kept, weights > 0.0)
        if trial.wants_gradients:
            yield from _gradients(trial, inputs, expected.allowed)
    again, other = (_dropped(trial, inputs, rate, seed) for seed in (0, 1))
    problem = "the same seed drops other weights" if not same(output, again) else ""
    _dropped(trial, inputs, rate)
    if same(output, other):
        problem = "every seed drops the same weights"
    elif same(output, trial.forward(inputs, dropout_p=rate)):
        problem = "a second call drops the same weights"
    yield trial.judged("seed", not problem, problem)


def _with_unit_values(trial: Trial) -> Inputs:
    """Small scores, so that no weight is near zero, and the unit matrix for values."""
    inputs = trial.inputs()
    key_len = inputs.key.shape[-2]
    unit = torch.eye(key_len, dtype=inputs.value.dtype, device=inputs.value.device)
    value = inputs.value.clone().copy_(unit)
    return replace(inputs, query=inputs.query * 0.1, value=value)


def _dropped(trial: Trial, inputs: Inputs, rate: float, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return trial.forward(inputs, dropout_p=rate)


def _kept(
    trial: Trial, output: Tensor, weights: Tensor, allowed: float
) -> tuple[Tensor, CheckResult]:
    """Which weights were kept, and whether every one is dropped or scaled."""
    actual = output.detach().to(device="cpu", dtype=torch.float64)
    remaining = 1.0 - trial.case.dropout_p
    scaled = weights / remaining
    kept = actual.abs() > weights / 2
    error = (actual - torch.where(kept, scaled, 0.0)).abs()
    reason = f"expected every weight to be 0 or weight / {remaining:g}"
    limit = allowed / remaining + torch.finfo(output.dtype).eps * float(scaled.max())
    return kept, trial.compared("weights", error, torch.zeros_like(error), limit, reason)


def _rate(trial: Trial, kept: Tensor, valid: Tensor) -> CheckResult:
    """How many were dropped, over all and over every row, column and place in a matrix."""
    rate = trial.case.dropout_p
    variance = rate * (1.0 - rate)
    dropped = (~kept & valid).double()
    total = float(valid.sum())
    share = float(dropped.sum()) / total
    if abs(share - rate) > SIGMAS * math.sqrt(variance / total):
        return trial.failed("rate", f"expected {rate:.0%} of the weights dropped, got {share:.1%}")
    for name, dims in (("row", (-1,)), ("column", (-2,)), ("place in the matrices", (0, 1))):
        chances = valid.double().sum(dims)
        counts = dropped.sum(dims)[chances > 0]
        spread = variance * chances[chances > 0]
        # Squares of binomial counts, standardised: mean 1, and the variance of few chances.
        squares = (counts - chances[chances > 0] * rate) ** 2 / spread
        scatter = (2.0 + (1.0 - 6.0 * variance) / spread).clamp(min=0.0).sum()
        if abs(float(squares.sum()) - len(squares)) > SIGMAS * math.sqrt(float(scatter)):
            return trial.failed("rate", f"the weights of one {name} are not dropped independently")
    return trial.result("rate", "pass")


def _gradients(trial: Trial, inputs: Inputs, allowed: Mapping[str, float]) -> Iterator[CheckResult]:
    """Against the formula with the weights that were seen to be dropped."""
    leaves = leaves_of(inputs)
    torch.manual_seed(0)
    try:
        output = trial.call(inputs, leaves, dropout_p=trial.case.dropout_p)
        gradients = gradients_of(output, leaves, inputs)
    except Exception as problem:
        yield from trial.refused_gradients(problem)
        return
    case = trial.case.case
    q, k, v = (t.detach().cpu().double().requires_grad_() for t in leaves)
    hidden = None if inputs.attn_mask is None else inputs.attn_mask.cpu()
    mask = full_mask(q, k, hidden, case.is_causal, case.window)
    scale = resolve_scale(q, trial.case.scale)
    weights = by_scores(trial.implementation.oracle).weights(q, k, mask, scale)
    kept = output.detach().cpu().double().abs() > weights / 2
    remaining = 1.0 - trial.case.dropout_p
    exact = torch.where(kept, weights / remaining, 0.0) @ v
    upstream = inputs.grad_output.cpu().double()
    for name, gradient, expected in zip(
        GRADIENTS, gradients, torch.autograd.grad(exact, (q, k, v), upstream), strict=True
    ):
        if gradient is None:
            yield trial.failed(name, no_gradient(name))
            continue
        reason = f"with dropout_p={trial.case.dropout_p:g}"
        yield trial.compared(name, gradient, expected, allowed[name] / remaining, reason)
