"""Sizes as models have them: the kernel computes all, and some rows are compared.

The reference of a few rows costs little beside the kernel's own call, so that lengths that kernels
choose their path by can be asked for with many heads (`bench.checks.timed.sampled_rows` says why a
few rows are enough for gradients too).
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from torch import Tensor

from bench.checks.probes.trial import GRADIENTS, Trial, leaves_of, no_gradient, probe
from bench.checks.results import CheckResult
from bench.checks.timed.sampled_rows import Sample, row_errors, thin_upstream
from bench.timing.inputs import Inputs

# Beside the first and the last.
MOST_ROWS = 12
MOST_ITEMS = 2
BLOCKS = (16, 32, 64, 128, 256, 512, 1024, 2048)


@probe
def check_output_rows(trial: Trial) -> Iterator[CheckResult]:
    """The output alone, from a single call."""
    inputs = trial.inputs()
    output = trial.formed(trial.forward(inputs), inputs)
    yield from _compared(trial, inputs, _sample(trial), [output])


@probe
def check_rows(trial: Trial) -> Iterator[CheckResult]:
    """Output and gradients of a single call and its backward pass."""
    if not trial.wants_gradients:
        yield from check_output_rows(trial)
        return
    inputs, sample = trial.inputs(), _sample(trial)
    thin_upstream(inputs.grad_output, sample)
    leaves = leaves_of(inputs)
    try:
        output = trial.call(inputs, leaves)
    except Exception as problem:
        yield from check_output_rows(trial)  # if that raises too, gradients are not to blame
        yield from trial.refused_gradients(problem)
        return
    trial.formed(output, inputs, why=", where gradients are asked for")
    arrived = []
    gradients = trial.gradients(output, leaves, inputs)
    for name, leaf, gradient in zip(GRADIENTS, leaves, gradients, strict=True):
        if gradient is None:
            yield trial.failed(name, no_gradient(name))
            return
        if gradient.shape != leaf.shape:
            got = f"got {tuple(gradient.shape)}"
            yield trial.failed(name, f"expected {tuple(leaf.shape)}, {got}")
            return
        arrived.append(gradient)
    yield from _compared(trial, inputs, sample, [output, *arrived])


def _compared(
    trial: Trial, inputs: Inputs, sample: Sample, outputs: list[Tensor]
) -> Iterator[CheckResult]:
    for one in row_errors(
        outputs,
        inputs,
        sample,
        is_causal=trial.case.case.is_causal,
        window=trial.case.case.window,
        scale=trial.case.scale,
        oracle=trial.implementation.oracle,
    ):
        yield trial.within(one.quantity, one.error, one.allowed, f"first at {one.place}")


def _sample(trial: Trial) -> Sample:
    """The first, the last and some between, of items and of rows; the same for every kernel.

    Half of the rows between lie at the edges of blocks, where kernels go wrong.
    """
    case = trial.case.case
    chance = random.Random(trial.seed)

    def some(count: int, most: int) -> set[int]:
        return set(chance.sample(range(count), min(count, most)))

    last_row, last_item = case.seq_len - 1, case.batch * case.kv_heads - 1
    edges = [row for block in BLOCKS for row in (block - 1, block) if 0 < row < last_row]
    rows = {0, last_row, *some(case.seq_len, MOST_ROWS // 2)}
    rows.update(chance.sample(edges, min(len(edges), MOST_ROWS // 2)))
    items = sorted({0, last_item, *some(last_item + 1, MOST_ITEMS)})
    pairs = tuple(divmod(item, case.kv_heads) for item in items)
    return Sample(items=pairs, rows=tuple(sorted(rows)))
