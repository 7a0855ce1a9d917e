"""In which situations is a kernel asked? All those of the correctness gate.

A situation is a case, a probe (which procedure judges it) and a recipe: a few statements of Python
that turn plain random tensors into what the situation is about. `bench.checks.recipe` runs them,
and a failure prints them, so that what a reader pastes is what the gate ran.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any, TypeAlias

from bench.checks.situation import CheckCase
from bench.checks.situations.formula import causal, large, scores, shapes
from bench.checks.situations.grouped import grouped
from bench.checks.situations.layers import layers
from bench.checks.situations.masks import boolean_masks, float_masks, mask_gradients
from bench.checks.situations.parts import lengths, situation
from bench.checks.situations.procedures import gradients, memory, procedures
from bench.checks.situations.round_sizes import round_sizes
from bench.checks.situations.windows import windows
from implementations import interface
from implementations.case import DTYPES, Case, Pass

Kind: TypeAlias = tuple[str, bool, bool, bool]
"""What a kernel takes another path for: see `kind_of`."""
# Scores of a head beyond which no core takes a path for short calls.
LONG = 2**18


def kind_of(case: Case) -> Kind:
    """Mask, is_causal, whether there is a window, and whether query heads share keys."""
    return case.mask, case.is_causal, case.window is not None, case.is_grouped


def check_cases(
    dtypes: Iterable[str] = DTYPES,
    *,
    device: str = "cpu",
    passes: Iterable[Pass] = ("forward_backward",),
    kinds: Iterable[Kind] | None = None,
    asked: Iterable[interface.Kind] = ("core",),
) -> list[CheckCase]:
    """The situations to check; `kinds`, as `kind_of` gives them, narrows them.

    `asked` are the kinds of implementations that they are for.

    Most sizes are distinct primes, so that a transposed axis cannot pass, and the lengths below, at
    and above those that blocks are made of (powers of two from 16 to 2048 and 65536); round ones,
    as models have them, come last.
    """
    allowed = None if kinds is None else set(kinds)
    return [
        one.under(dtype=dtype, device=device, pass_=pass_)
        for kind, dtype, pass_ in product(asked, dtypes, passes)
        for one in (layers() if kind == "layer" else _situations(dtype, device))
        if allowed is None or kind_of(one.case) in allowed
    ]


def first_of_each(cases: Iterable[CheckCase]) -> list[CheckCase]:
    """For each dtype, device, pass and kind the first situation that is compared as a whole, and
    the first of which rows are compared, a long one if there is; empty inputs left aside.
    """

    def is_short(one: CheckCase) -> bool:
        return one.probe == "rows" and one.case.seq_len * one.case.key_len <= LONG

    found: dict[object, CheckCase] = {}
    for one in sorted(cases, key=is_short):
        case = one.case
        is_whole = one.probe in ("values", "rows", "layer")
        if is_whole and 0 not in (*one.leading, case.seq_len, case.key_len):
            kind = (case.dtype, case.device, case.pass_, kind_of(case))
            found.setdefault((one.probe, *kind), one)
    return list(found.values())


def asked_of(
    implementation: interface.Implementation, cases: Iterable[CheckCase]
) -> list[CheckCase]:
    """Those of the situations that are for this kind of implementation.

    A layer without a memory is asked none in which the memory has a length of its own.
    """
    return [
        one
        for one in cases
        if one.kind == implementation.kind
        and (
            implementation.kind == "core"
            or implementation.needs_memory
            or one.case.key_len == one.case.seq_len
        )
    ]


def agreement_cases(dtypes: Iterable[str] = DTYPES, *, device: str = "cpu") -> list[CheckCase]:
    """The situations in which implementations are compared with each other."""
    sizes: dict[str, Any] = {"probe": "agreement", "device": device, **lengths(131, 137)}
    return [
        situation("agreement", name, dtype=dtype, is_causal=is_causal, **sizes)
        for dtype in dtypes
        for name, is_causal in (("agreement", False), ("agreement_causal", True))
    ]


def _situations(dtype: str, device: str) -> Iterator[CheckCase]:
    for several in (
        *(shapes, scores, causal, boolean_masks, float_masks, mask_gradients),
        *(memory, gradients, procedures, windows, grouped, large),
    ):
        yield from several()
    yield from round_sizes(dtype, device)
