"""Finds a small situation in which a check still fails: what a person wants to debug."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Unpack

from torch import Tensor

from bench.checks.results import CheckResult
from bench.checks.run_situation import verify_case
from bench.checks.situation import CheckCase, Probe
from implementations.interface import Implementation, Options
from implementations.masking import resolve_scale
from implementations.oracle import full_mask

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

    def formula(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
        causal = options.get("is_causal", False)
        mask = full_mask(query, key, options.get("attn_mask"), causal)
        scale = resolve_scale(query, options.get("scale"))
        return implementation.oracle(query, key, value, mask, scale)

    return replace(implementation, fn=formula)


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
        if len(case.leading) == 2 and _product(leading) < _product(case.leading):
            yield case.resized(leading=leading)
    if len(case.leading) not in (0, 2):
        yield case.resized(leading=(1,) * len(case.leading))
    for shorter in _without_each(case.prepare):
        yield replace(case, prepare=shorter)
    for shorter in _without_each(case.arrange):
        yield replace(case, arrange=shorter)
    if one.dtype != "float32":
        yield replace(case, case=replace(one, dtype="float32"))
    if case.scale is not None:
        yield replace(case, scale=None)
    if one.mask != "none":
        yield replace(case, case=replace(one, mask="none"))
    if one.is_causal:
        yield replace(case, case=replace(one, is_causal=False))
    if one.value_dim != one.head_dim:
        yield case.resized(value_dim=one.head_dim)
    if one.head_dim == one.value_dim:
        for size in _steps(one.head_dim):
            yield case.resized(head_dim=size, value_dim=size)
    if one.seq_len == one.key_len:
        for size in _steps(one.seq_len):
            yield case.resized(seq_len=size, key_len=size)
    for name in ("seq_len", "key_len"):
        for size in _steps(getattr(one, name)):
            yield case.resized(**{name: size})


def _without_each(statements: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for index in range(len(statements)):
        yield statements[:index] + statements[index + 1 :]


def _steps(size: int) -> Iterator[int]:
    """Smaller positive sizes, from 1 up towards one less."""
    smaller = {1, 2, size // 4, size // 2, size - size // 4, size - size // 8, size - 1}
    yield from sorted(found for found in smaller if 0 < found < size)


def _product(leading: tuple[int, ...]) -> int:
    return leading[0] * leading[1]
