"""How far off an answer may be: the error rule of the correctness gate.

It is the three-way comparison of the FlashAttention tests (Dao et al. 2022): with the reference
computed in float64 from inputs already rounded to the tested dtype, and a baseline that is the
plain formula in the tested dtype, an implementation may be off by at most twice the baseline's own
error plus one step of rounding. That step is taken at the reference's magnitude, the sum with every
term replaced by its absolute value (Higham 2002, section 3.1), and at its sensitivity to rounded
scores (`implementations.oracle` has both). To it comes what is lost in float32, in which half
precision is summed too: by sums of k terms a random walk of √k steps (Higham & Mary 2019), and by a
logarithm of a row's sum, as large as its scores, one step for each unit of them. In float64, where
reference and baseline round alike, the bound is ε times the magnitude, the number of terms, and one
plus the largest score.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.timing.inputs import Inputs
from implementations.groups import group_size
from implementations.masking import resolve_scale
from implementations.oracle import Oracle, evaluate, full_mask, largest_error, reference

BASELINE_FACTOR = 2.0


@dataclass(frozen=True, kw_only=True)
class Expected:
    """By quantity (`output`, `grad_query`, …): the float64 value, and the error that is allowed."""

    values: Mapping[str, Tensor]
    allowed: Mapping[str, float]


def expect(
    inputs: Inputs,
    *,
    is_causal: bool = False,
    window: int | None = None,
    scale: float | None = None,
    oracle: Oracle,
    with_gradients: bool = True,
) -> Expected:
    """The exact answer to inputs of any dtype and device, and the allowance of each quantity."""
    factor = resolve_scale(inputs.query, scale)
    upstream = inputs.grad_output if with_gradients else None
    exact = reference(
        inputs.query,
        inputs.key,
        inputs.value,
        attn_mask=inputs.attn_mask,
        is_causal=is_causal,
        window=window,
        scale=factor,
        grad_output=upstream,
        oracle=oracle,
    )
    query_len, head_dim = inputs.query.shape[-2:]
    # A key's gradient is a sum over the queries of all heads that share it.
    terms = group_size(inputs.query, inputs.key) * query_len + head_dim
    terms += sum(inputs.value.shape[-2:])
    step = torch.finfo(inputs.query.dtype).eps
    if inputs.query.dtype == torch.float64:
        steps = step * terms * (1.0 + exact.score_magnitude)
        allowed = {name: steps * size for name, size in exact.magnitudes.items()}
        return Expected(values=exact.values, allowed=allowed)
    sums = torch.finfo(torch.float32).eps * (math.sqrt(terms) + exact.score_magnitude)
    mask = full_mask(inputs.query, inputs.key, inputs.attn_mask, is_causal, window)
    with in_full_precision():
        baseline = evaluate(oracle, inputs.query, inputs.key, inputs.value, mask, factor, upstream)
    allowed = {}
    for name, value in exact.values.items():
        error = largest_error(baseline[name], value)
        # A baseline that overflows excuses nobody.
        excused = BASELINE_FACTOR * error if math.isfinite(error) else 0.0
        rounding = step * (exact.magnitudes[name] + exact.sensitivities[name])
        allowed[name] = excused + rounding + sums * exact.magnitudes[name]
    return Expected(values=exact.values, allowed=allowed)


@contextlib.contextmanager
def in_full_precision() -> Iterator[None]:
    """No TF32, whatever a kernel's module has set: it would excuse errors of three digits."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
