"""Advice carries the numbers of its own fit, and what it says to measure would do."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.cells.scatter import Scatter
from reports.judge.fit import fit
from reports.judge.result import Fit, Leading, Regime, Term, Verdict
from reports.laws.grammar import parse_monomial
from reports.text.interval import Interval
from reports.verdicts.advice import advice
from reports.verdicts.reasons import REASONS
from tests.daily import daily

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
    assert text.startswith(f"At the largest size measured the {is_or_are} ")
    assert " of the cost, fixed overhead 83 %. Extend n to " in text
    size = float(re.search(r"Extend n to (\d+)\.$", text)[1])  # type: ignore[index]  # it matches
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
        "At the largest size measured the claimed term is 8.0 % of the cost, fixed overhead 90 %."
    )


@pytest.mark.parametrize("overhead", daily([400.0, 1000.0]))
def test_a_real_fit_is_told_how_far_to_go_however_vague_its_exponents(
    sweep: Sweep, overhead: float
) -> None:
    """Where overhead hides the law, n^2.6 is as likely as n^2, and advice is needed most."""
    found = fit(sweep([(1.0, "n^2*d")], overhead=overhead))
    assert found.reasons[0] == "overhead_dominates"
    text = advice(found, "overhead_dominates") or ""
    assert f"the claimed term is {100 * found.leading[0].share:.0f} % of the cost" in text
    assert f"fixed overhead {100 * found.overhead:.0f} %." in text  # type: ignore[operator]
    assert text.endswith(" Extend n to 16384.")
    fixed = overhead * np.median([n**2 * d for n in SEQ_LENS for d in D_MODELS])
    true = [n**2 * 1024 / (n**2 * 1024 + fixed) for n in (8192, 16384)]
    assert true[0] < 0.5 < true[1]


@pytest.mark.parametrize(
    ("levels", "claim", "words"),
    [
        ({"n": 3, "d": 4}, "n^2*d", "n takes 3 values; measure 5 or more."),
        ({"n": 1, "d": 9}, "n^2*d", "n takes 1 value; measure 5 or more."),
        ({"n": 9, "d": 1}, "n^2", None),
        (
            {"n": 3, "d": 2},
            "n^2",
            "n takes 3 values; measure 5 or more; d takes 2 values; measure 5 or more.",
        ),
    ],
)
def test_too_few_sizes_are_counted(levels: dict[str, int], claim: str, words: str | None) -> None:
    assert advice(fitted(levels=levels, claim=claim), "too_few_sizes") == words


@pytest.mark.parametrize(
    ("claim", "levels", "cells", "words"),
    [
        ("n^2", {"n": 5}, 5, "5 cells are too few for n^2, which needs 7 or more."),
        ("n^3", {"n": 7}, 7, "7 cells are too few for n^3, which needs 8 or more."),
        ("n", {"n": 5}, 5, "5 cells are too few for n, which needs 6 or more."),
        ("1", {"n": 4}, 4, "4 cells are too few for 1, which needs 5 or more."),
        ("n^2*d", {"n": 7, "d": 6}, 7, "7 cells are too few for n^2*d, which needs 11 or more."),
        (
            "n^2",
            {"n": 1},
            1,
            "n takes 1 value; measure 5 or more; 1 cell is too few for n^2, which needs 7 or more.",
        ),
    ],
)
def test_the_number_of_cells_is_the_one_that_the_claim_needs(
    claim: str, levels: dict[str, int], cells: int, words: str
) -> None:
    assert advice(fitted(claim=claim, levels=levels, cells=cells), "too_few_sizes") == words


LAWS: dict[str, Callable[[float, float], float]] = {
    "n": lambda n, d: n,
    "n^2": lambda n, d: n**2,
    "n^3": lambda n, d: n**3,
    "n^1.5": lambda n, d: n**1.5,
    "n*log(n)": lambda n, d: n * np.log(n),
    "n^2*d": lambda n, d: n**2 * d,
    "n^2*d + n*d^2": lambda n, d: n**2 * d + n * d**2,
}


@pytest.mark.parametrize(
    "claim",
    daily(["n^2", "n*log(n)", "n^2*d", "n^2*d + n*d^2", "n", "n^1.5", "n^3"], most=4),
)
def test_who_measures_as_many_cells_as_was_said_is_not_told_again_that_they_are_too_few(
    claim: str,
) -> None:
    sizes = {"n": "n", "d": "d"} if "d" in claim else {"n": "n"}
    # Any few of these take all values of both sizes, which do not move together.
    squares = [(16.0 * 2**k, 64.0 * 2 ** ((2 * k + m) % 5)) for m in range(5) for k in range(5)]
    grid = squares if len(sizes) > 1 else [(2.0**k, 1.0) for k in range(4, 16)]
    rows = [{"n": n, "d": d, "time_s": 1e-9 * LAWS[claim](n, d)} for n, d in grid]
    found = fit(pd.DataFrame(rows[:4]), sizes=sizes, claim=claim)
    assert found.reasons[0] == "too_few_sizes"
    said = re.search(r"which needs (\d+) or more", advice(found, "too_few_sizes") or "")
    needed = int(said[1])  # type: ignore[index]  # it is said
    too_few = "cells are too few"
    before = fit(pd.DataFrame(rows[: needed - 1]), sizes=sizes, claim=claim)
    after = fit(pd.DataFrame(rows[:needed]), sizes=sizes, claim=claim)
    assert too_few in (advice(before, "too_few_sizes") or "")
    assert too_few not in (advice(after, "too_few_sizes") or "")
    assert after.terms


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


def test_of_the_exponents_those_outside_the_tolerance_are_named_with_their_side() -> None:
    exponents = {
        "n": Interval(estimate=2.2, low=2.15, high=2.3),
        "d": Interval(estimate=0.94, low=0.92, high=0.97),
        "b": Interval(estimate=-0.4, low=-0.5, high=-0.3),
    }
    assert advice(fitted(exponents=exponents), "exponent_outside_tolerance") == (
        "The exponent of n lies above the claimed 2 and the exponent of b lies below the claimed 0."
    )


def test_intervals_within_the_tolerance_are_not_what_leaves_laws_undecided() -> None:
    wide = Interval(estimate=2.0, low=1.85, high=2.2)
    narrow = Interval(estimate=1.0, low=0.91, high=1.09)
    assert advice(fitted(exponents={"n": wide, "d": wide}), "models_undecided") == (
        "The interval of n reaches beyond the claim ± 0.1; the exponent of d lies above the "
        "claimed 1, which may be a change of the cost and no growth."
    )
    assert advice(fitted(exponents={"d": narrow}), "models_undecided") is None


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
        "The interval of n reaches beyond the claim ± 0.1; "
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


DOUBLINGS = [2.0**k for k in range(7, 16)]


def table(law: Callable[[float], float], noise: float = 0.01, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [
        {"n": n, "time_s": law(n) * np.exp(rng.normal(0, noise))} for n in DOUBLINGS for _ in "abc"
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("law", "claim", "code", "words"),
    [
        (
            lambda n: 1e-5 + 1e-7 * n**1.5,
            "n^2",
            "exponent_outside_tolerance",
            "The exponent of n lies below the claimed 2. Claim n^1.5: these cells confirm it.",
        ),
        (
            lambda n: 1e-5 + 1e-7 * n * np.log2(n),
            "n^2",
            "exponent_outside_tolerance",
            "The exponent of n lies below the claimed 2. Claim n*log(n): these cells confirm it.",
        ),
        (
            lambda n: 1e-5 + 1e-7 * n**1.7,
            "n^2",
            "exponent_outside_tolerance",
            "The exponent of n lies below the claimed 2. "
            "No law of half powers near these exponents passes on these cells.",
        ),
        (
            lambda n: 1e-5 + 1e-6 * n,
            "n^2",
            "claimed_term_absent",
            "Claim n: these cells confirm it.",
        ),
        (
            lambda n: 1e-5 + 1e-6 * n + 1e-10 * n**2,
            "n",
            "faster_growing_term",
            "n^2 is 77 % of the cost at the largest sizes. Claim n^2: these cells confirm it.",
        ),
    ],
)
def test_a_refuted_claim_is_followed_by_a_law_that_the_same_judge_confirms_or_by_none(
    law: Callable[[float], float], claim: str, code: str, words: str
) -> None:
    rows = table(law)
    found = fit(rows, sizes={"n": "n"}, claim=claim)
    assert found.verdict is Verdict.REFUTED
    assert found.reasons[0] == code
    text = advice(found, code) or ""
    assert text == words
    for proposal in re.findall(r"Claim (\S+): these cells confirm it", text):
        assert fit(rows, sizes={"n": "n"}, claim=proposal).verdict is Verdict.CONFIRMED


def test_of_two_sizes_the_claim_is_proposed_with_the_term_that_outgrows_it() -> None:
    rng = np.random.default_rng(7)
    rows = pd.DataFrame(
        [
            {"n": n, "d": d, "time_s": (n**2 * d + n * d**2) * 1e-10 * np.exp(rng.normal(0, 0.01))}
            for n in DOUBLINGS[:6]
            for d in D_MODELS
        ]
    )
    found = fit(rows, sizes={"n": "n", "d": "d"}, claim="n^2*d")
    assert found.reasons[0] == "faster_growing_term"
    text = advice(found, "faster_growing_term") or ""
    assert re.match(r"n\*d\^2 is \d+ % of the cost at the largest sizes\. ", text)
    assert text.endswith("Claim n^2*d + n*d^2: these cells confirm it.")


def test_several_reasons_against_a_claim_propose_one_law_once() -> None:
    found = fit(table(lambda n: 1e-5 + 1e-7 * n**1.5), sizes={"n": "n"}, claim="n^2")
    both = replace(found, reasons=("exponent_outside_tolerance", "claimed_term_absent"))
    assert "Claim n^1.5" in (advice(both, "exponent_outside_tolerance") or "")
    assert "Claim" not in (advice(both, "claimed_term_absent") or "")


def test_a_cost_that_hardly_grows_is_not_extrapolated() -> None:
    found = fit(table(lambda n: 1e-3, noise=0.003), sizes={"n": "n"}, claim="n^2")
    assert found.reasons[0] == "overhead_dominates"
    text = advice(found, "overhead_dominates") or ""
    assert re.fullmatch(
        r"The dearest cell costs 0\.\d+ % more than the cheapest\. "
        r"These cells confirm the claim 1\.",
        text,
    )


def test_a_misfit_names_the_cell_that_lies_farthest_off_and_by_how_much() -> None:
    found = fit(
        table(lambda n: 1e-7 * n**2 * (4 if n == 1024 else 1), noise=0.001),
        sizes={"n": "n"},
        claim="n^2",
    )
    text = advice(replace(found, reasons=("lack_of_fit",)), "lack_of_fit") or ""
    assert re.search(r"; the farthest, n = 1024, lies \d+ % above it\.$", text)


def test_a_misfit_of_cells_that_were_measured_once_may_be_noise() -> None:
    once = fitted(rms_residual=0.124, readings=20)
    twice = fitted(rms_residual=0.124, readings=40)
    rows = pd.DataFrame(
        {"n": DOUBLINGS, "flops": [2 * n**2 * (2 + (-1) ** k) for k, n in enumerate(DOUBLINGS)]}
    )
    counted = fit(rows, sizes={"n": "n"}, value="flops", claim="n^2")
    assert counted.reasons[0] == "lack_of_fit"
    assert "noise" not in (advice(counted, "lack_of_fit") or "")
    assert (advice(once, "lack_of_fit") or "").endswith(" so this may be noise.")
    assert "noise" not in (advice(twice, "lack_of_fit") or "")
