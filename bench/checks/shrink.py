"""Finds a small situation in which a check still fails: what a person wants to debug."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Unpack

from torch import Tensor, nn

from bench.checks.results import CheckResult
from bench.checks.run_situation import verify_case
from bench.checks.situation import CheckCase, Probe
from bench.timing.built_module import parameters_of
from implementations.case import Case
from implementations.interface import Implementation, Options
from implementations.masking import resolve_scale
from implementations.oracle import answer, full_mask

MOST_TRIALS = 400
LIMIT_S = 4.0
# Where some rows were compared, all are as soon as that takes no longer: such a failure can be
# written out.
PLAINER: dict[Probe, Probe] = {"rows": "values", "output_rows": "output"}
MOST_WHOLE = 2**18


def shrink(
    implementation: Implementation,
    case: CheckCase,
    check: str,
    *,
    seed: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> CheckResult | None:
    """The failing result of the smallest situation found; None if the check does not fail at all.

    Greedy: whatever makes the situation smaller or plainer and still fails is kept, until nothing
    does or the time is up.
    """
    until = clock() + LIMIT_S
    right = _right(implementation)
    best = _failure(implementation, case, check, seed)
    trials = 0
    progress = best is not None and case.probe != "dropout"  # chance decides in small cases
    while progress:
        progress = False
        assert best is not None
        for candidate in _smaller(best.case):
            trials += 1
            if trials > MOST_TRIALS or clock() > until:
                return best
            found = _failure(implementation, candidate, check, seed)
            if found is not None and _is_sound(right, candidate, seed):
                best, progress = found, True
                break
    return best


def _right(implementation: Implementation) -> Implementation:
    """The formula itself as a kernel, for what the implementation claims to compute."""
    if implementation.kind == "layer":
        return replace(implementation, build=partial(_formula_module, implementation))

    def formula(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        window: int | None = None,
        **options: Unpack[Options],
    ) -> Tensor:
        causal = options.get("is_causal", False)
        mask = full_mask(query, key, options.get("attn_mask"), causal, window)
        scale = resolve_scale(query, options.get("scale"))
        return answer(implementation.oracle, query, key, value, mask, scale)

    return replace(implementation, fn=formula)


def _formula_module(implementation: Implementation, case: Case) -> nn.Module:
    """The layer's module with its oracle in place of what it computes."""
    build, oracle = implementation.build, implementation.layer_oracle
    assert build is not None
    assert oracle is not None
    module = build(case)

    def forward(
        x: Tensor,
        memory: Tensor | None = None,
        *,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        # A window that came as a mask is in the mask.
        window = case.window if attn_mask is None else None
        asked = replace(case, is_causal=is_causal, window=window)
        return oracle(parameters_of(module), x, memory, attn_mask, asked)

    module.forward = forward
    return module


def _is_sound(right: Implementation, case: CheckCase, seed: int) -> bool:
    """Whether the situation still makes sense: a recipe that lost a statement need not."""
    return not any(one.bad for one in verify_case(right, case, seed=seed))


def _failure(
    implementation: Implementation, case: CheckCase, check: str, seed: int
) -> CheckResult | None:
    results = verify_case(implementation, case, seed=seed)
    return next((one for one in results if one.bad and one.check == check), None)


def _smaller(case: CheckCase) -> Iterator[CheckCase]:
    """Situations that are smaller or plainer by one step, the largest steps first."""
    one = case.case
    if case.probe in PLAINER and case.size < MOST_WHOLE:
        yield replace(case, probe=PLAINER[case.probe])
    for leading in ((1, 1), (1, 2), (2, 1)):
        if len(case.leading) == 2 and math.prod(leading) < math.prod(case.leading):
            yield case.resized(leading=leading)
    if len(case.leading) not in (0, 2):
        yield case.resized(leading=(1,) * len(case.leading))
    for index in range(len(case.prepare)):
        yield replace(case, prepare=case.prepare[:index] + case.prepare[index + 1 :])
    for index in range(len(case.arrange)):
        yield replace(case, arrange=case.arrange[:index] + case.arrange[index + 1 :])
    if one.dtype != "float32":
        yield case.under(dtype="float32")
    if case.scale is not None:
        yield replace(case, scale=None)
    if one.mask != "none":
        yield case.under(mask="none")
    if one.is_causal:
        yield case.under(is_causal=False)
    if one.window is not None:
        yield case.under(window=None)
    if one.is_grouped:
        yield case.under(num_kv_heads=None)
    if one.value_dim != one.head_dim:
        yield case.resized(value_dim=one.head_dim)
    for names in (("head_dim", "value_dim"), ("seq_len", "key_len"), ("seq_len",), ("key_len",)):
        sizes = {getattr(one, name) for name in names}
        for size in _steps(max(sizes)) if len(sizes) == 1 else ():
            yield case.resized(**dict.fromkeys(names, size))


def _steps(size: int) -> Iterator[int]:
    """Smaller positive sizes, from 1 up towards one less."""
    smaller = {1, 2, size // 4, size // 2, size - size // 4, size - size // 8, size - 1}
    yield from sorted(found for found in smaller if 0 < found < size)
