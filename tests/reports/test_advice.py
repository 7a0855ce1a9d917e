"""Advice carries the numbers of its own fit, and what it says to measure would do."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.advice import advice
from reports.fit import fit
from reports.judgement import Fit, Interval, Leading, Regime, Term, Verdict
from reports.laws import parse_monomial
from reports.verdict import REASONS
from reports.visits import Scatter

Sweep = Callable[..., pd.DataFrame]

SEQ_LENS = (128, 256, 512, 1024, 2048, 4096, 8192)
D_MODELS = (64, 128, 256, 512, 1024)
"""Of the synthetic sweep."""


def fitted(**changes: Any) -> Fit:
    known: dict[str, Any] = {
        "group": {},
        "claim": "n^2*d",
        "verdict": Verdict.INCONCLUSIVE,
        "sizes": {"n": "seq_len", "d": "d_model"},
        "ranges": {"n": (128.0, 2048.0), "d": (64.0, 512.0)},
        "levels": {"n": 5, "d": 4},
        "cells": 20,
    }
    return Fit(**(known | changes))


def led(term: str, share: float, most: float | None = None) -> Leading:
    return Leading(term=term, exponents={}, share=share, most=share if most is None else most)


def terms(costs: Mapping[str, float]) -> tuple[Term, ...]:
    return tuple(Term(term=t, coefficient=c, share_at_largest=0.0) for t, c in costs.items())


def part(found: Fit, carrying: set[str], **sizes: float) -> float:
    """The part of the fitted cost that some of its terms have."""
    costs = {
        t.term: t.coefficient * float(parse_monomial(t.term).evaluate(sizes)) for t in found.terms
    }
    return sum(cost for term, cost in costs.items() if term in carrying) / sum(costs.values())


@pytest.mark.parametrize(
    ("claim", "costs", "carrying"),
    [
        ("n^2*d", {"1": 1e11, "n^2*d": 1.0}, {"n^2*d"}),
        ("n^2*d", {"1": 3e12, "n^2.03*d^0.98": 1.0, "n*d": 9.0}, {"n^2.03*d^0.98"}),
        ("n^2*d", {"1": 1e9, "n^2*d": 1.0, "n*d": 5000.0}, {"n^2*d"}),
        ("n^2*d + n*d^2", {"1": 1e12, "n^2*d": 1.0, "n*d^2": 2.0}, {"n^2*d", "n*d^2"}),
    ],
)
def test_the_size_to_extend_to_is_the_first_doubling_at_which_the_claim_is_half_of_the_cost(
    claim: str, costs: dict[str, float], carrying: set[str]
) -> None:
    leading = tuple(led(term, 0.1 / claim.count("*d")) for term in claim.split(" + "))
    found = fitted(claim=claim, leading=leading, overhead=0.834, terms=terms(costs))
    text = advice(found, "overhead_dominates") or ""
    is_or_are = "claimed terms are" if "+" in claim else "claimed term is"
    assert f"the {is_or_are} " in text
    assert "of the cost at the largest size measured, fixed overhead 83 %." in text
    size = float(re.match(r"Extend n to (\d+): ", text)[1])  # type: ignore[index]  # it matches
    assert part(found, carrying, n=size, d=512) >= 0.5 > part(found, carrying, n=size / 2, d=512)
    assert size in [2048 * 2.0**k for k in range(1, 20)]


@pytest.mark.parametrize(
    "costs", [{"1": 1e30, "n^2*d": 1.0}, {"n^2*d": 1.0}, {"1": 1.0, "n^0.4*d": 1.0}]
)
def test_no_size_is_named_where_none_is_far_enough_or_the_largest_is(
    costs: dict[str, float],
) -> None:
    found = fitted(leading=(led("n^2*d", 0.08),), overhead=0.9, terms=terms(costs))
    assert advice(found, "overhead_dominates") == (
        "Here the claimed term is 8.0 % of the cost at the largest size measured, "
        "fixed overhead 90 %."
    )


@pytest.mark.parametrize("overhead", [400.0, 1000.0])
def test_a_real_fit_is_told_how_far_to_go_however_vague_its_exponents(
    sweep: Sweep, overhead: float
) -> None:
    """Where overhead hides the law, n^2.6 is as likely as n^2, and advice is needed most."""
    found = fit(sweep([(1.0, "n^2*d")], overhead=overhead))
    assert found.reasons[0] == "overhead_dominates"
    text = advice(found, "overhead_dominates") or ""
    assert f"the claimed term is {100 * found.leading[0].share:.0f} % of the cost" in text
    assert f"fixed overhead {100 * found.overhead:.0f} %." in text  # type: ignore[operator]
    assert text.startswith("Extend n to 16384: ")
    fixed = overhead * np.median([n**2 * d for n in SEQ_LENS for d in D_MODELS])
    true = [n**2 * 1024 / (n**2 * 1024 + fixed) for n in (8192, 16384)]
    assert true[0] < 0.5 < true[1]


@pytest.mark.parametrize(
    ("levels", "claim", "words"),
    [
        ({"n": 3, "d": 4}, "n^2*d", "n takes 3 values and d takes 4 values in 20 cells;"),
        ({"n": 1, "d": 9}, "n^2*d", "n takes 1 value in 20 cells;"),
        ({"n": 4, "d": 1}, "n^2", "n takes 4 values in 20 cells;"),
        ({"n": 9, "d": 2}, "n^2", "d takes 2 values in 20 cells;"),
    ],
)
def test_too_few_sizes_are_counted(levels: dict[str, int], claim: str, words: str) -> None:
    text = advice(fitted(levels=levels, claim=claim), "too_few_sizes")
    assert text == f"{words} measure 6 or more."


def test_enough_values_of_each_size_leave_the_number_of_cells_to_blame() -> None:
    found = fitted(levels={"n": 7, "d": 6}, cells=7)
    assert advice(found, "too_few_sizes") == "There are 7 cells."


def test_a_range_that_is_too_short_is_named_with_the_one_to_measure() -> None:
    ranges = {"n": (128.0, 512.0), "d": (64.0, 512.0), "b": (2.0, 2.0), "h": (3.0, 7.5)}
    assert advice(fitted(ranges=ranges), "range_too_short") == (
        "n spans 2.0 doublings; measure it from 128 to 4096; "
        "h spans 1.3 doublings; measure it from 3 to 96."
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {
                "scatter": Scatter(reading=0.213, rounds=0.12, workers=None),
                "readings": 105,
                "set_aside": 7,
                "rms_residual": 0.0912,
            },
            "Readings of one cell scatter by 21 %, rounds differ by 12 %, "
            "7 of 105 readings are set aside, cells lie off the fitted law by 9.1 %.",
        ),
        (
            {"readings": 20, "rms_residual": 0.0912},
            "No cell was measured twice, cells lie off the fitted law by 9.1 %.",
        ),
        ({"readings": 60}, None),
    ],
)
def test_noise_is_told_in_its_parts(changes: dict[str, Any], words: str | None) -> None:
    assert advice(fitted(**changes), "noisy_measurements") == words


def test_what_leaves_laws_undecided_is_told_and_what_would_decide() -> None:
    found = fitted(
        exponents={
            "n": Interval(estimate=2.05, low=1.934, high=2.157),
            "d": Interval(estimate=1.0, low=0.96, high=1.04),
            "b": Interval(estimate=None, low=None, high=1.3),
        },
        leading=(led("n^2*d", 0.2, most=0.3), led("n*d^2", 0.1, most=0.7)),
        terms=terms({"1": 1e10, "n^2*d": 1.0}),
    )
    assert advice(found, "models_undecided") == (
        "The exponent of n may be anything from 1.93 to 2.16; "
        "the term n^2*d is at most 30 % of any cell; extend n to 8192."
    )


@pytest.mark.parametrize(
    ("code", "changes", "words"),
    [
        (
            "lack_of_fit",
            {"rms_residual": 0.124},
            "The best law of this form is off by 12 % in a typical cell.",
        ),
        ("censored_cells", {"censored": 3}, "3 cells of those wanted have no value."),
        ("censored_cells", {"censored": 1}, "1 cell of those wanted has no value."),
        (
            "regime_change",
            {
                "regimes": (
                    Regime(name="regime 1", start=128, end=512, evidence="n at most 512"),
                    Regime(name="page-fault", start=1024, end=2048, evidence="much faulting"),
                )
            },
            "The verdict holds for page-fault (n 1024 to 2048): much faulting.",
        ),
    ],
)
def test_other_codes_have_their_numbers(code: str, changes: dict[str, Any], words: str) -> None:
    assert advice(fitted(**changes), code) == words


@pytest.mark.parametrize("code", [*REASONS, "no_such_code"])
def test_a_fit_without_numbers_is_given_none(code: str) -> None:
    empty = Fit(group={}, claim="n^2@d", verdict=Verdict.INCONCLUSIVE, reasons=(code,))
    assert not re.search("[1-9]", advice(empty, code) or "")
