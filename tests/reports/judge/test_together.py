"""Groups with too few sizes to say anything alone, judged together."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reports.judge.fit_groups import fit_groups
from reports.judge.result import Fit, Verdict
from reports.judge.together import Together, together
from reports.page.page import report
from reports.page.restated import Question
from tests.daily import daily

SIZES = (512, 1024, 2048, 4096, 8192)


def shapes(
    power: float | Sequence[float] = 2.0,
    *,
    groups: int = 18,
    seed: int = 0,
    noise: float = 0.015,
    last: float = 1.0,
    overhead: float = 0.0,
    sizes: Sequence[int] = SIZES,
) -> pd.DataFrame:
    """A published table: one coefficient a shape, noise, times of three significant digits."""
    rng = np.random.default_rng(seed)
    powers = [power] if isinstance(power, float) else list(power)
    rows = []
    for group in range(groups):
        coefficient, own = 10 ** rng.uniform(-9, -7), powers[group % len(powers)]
        for n in sizes:
            cost = coefficient * (n**own + overhead * sizes[0] ** own)
            cost *= np.exp(rng.normal(0, noise)) * (last if n == sizes[-1] else 1.0)
            rows.append({"shape": f"shape {group}", "n": n, "time_s": float(f"{cost:.3g}")})
    return pd.DataFrame(rows)


def fits_of(table: pd.DataFrame, claim: str) -> list[Fit]:
    return fit_groups(table, sizes={"n": "n"}, by=["shape"], claim=claim)


def joint(table: pd.DataFrame, claim: str) -> Together:
    found = together(fits_of(table, claim))
    assert found is not None
    return found


@cache
def fits_of_eighteen(seed: int = 0) -> tuple[Fit, ...]:
    return tuple(fits_of(shapes(seed=seed), "n^2"))


@cache
def eighteen(seed: int = 0) -> Together:
    found = together(fits_of_eighteen(seed))
    assert found is not None
    return found


@cache
def over_one_doubling() -> Together:
    return joint(shapes(groups=6, sizes=(1024, 1280, 1536, 1792, 2048)), "n^2")


@cache
def of_two_powers(claim: str) -> Together:
    return joint(shapes((1.5, 2.0), groups=10), claim)


@pytest.mark.parametrize("seed", daily(range(4)))
def test_eighteen_groups_of_five_sizes_confirm_together_what_none_can_alone(seed: int) -> None:
    assert {(one.verdict, one.reasons[0]) for one in fits_of_eighteen(seed)} == {
        (Verdict.INCONCLUSIVE, "too_few_sizes")
    }

    found = eighteen(seed)

    assert (found.verdict, found.groups, found.cells) == (Verdict.CONFIRMED, 18, 90)
    interval = found.exponents["n"]
    assert interval.low is not None
    assert interval.high is not None
    assert 1.9 < interval.low < 2.02 < 2.1 > interval.high
    assert interval.high - interval.low < 0.06


@pytest.mark.parametrize("seed", daily(range(4)))
def test_they_refute_n_cubed_together(seed: int) -> None:
    assert joint(shapes(groups=8, seed=seed), "n^3").verdict is Verdict.REFUTED


@pytest.mark.parametrize("seed", daily(range(4)))
def test_n_is_refuted_by_each_or_by_all_and_confirmed_by_nobody(seed: int) -> None:
    fits = fits_of(shapes(groups=8, seed=seed), "n")
    found = together(fits)
    told = {one.verdict for one in fits} if found is None else {found.verdict}
    assert told == {Verdict.REFUTED}


@pytest.mark.parametrize("power", [1.0, 3.0])
def test_other_true_laws_are_confirmed_together_too(power: float) -> None:
    assert joint(shapes(power, groups=8), f"n^{power:g}").verdict is Verdict.CONFIRMED


def test_overhead_of_each_group_is_its_own() -> None:
    found = joint(shapes(groups=8, overhead=3.0), "n^2")
    assert found.verdict is Verdict.CONFIRMED


@pytest.mark.parametrize("claim", ["n^2", "n^1.5"])
def test_groups_of_different_powers_do_not_share_them(claim: str) -> None:
    found = of_two_powers(claim)
    assert (found.shared, found.verdict) == (False, Verdict.INCONCLUSIVE)
    assert dict(found.exponents) == {}
    assert "judge them apart" in found.text


@pytest.mark.parametrize("seed", daily(range(3)))
@pytest.mark.parametrize(
    "case",
    daily([(2.0, 0.7), (1.0, 1.25), (2.0, 1.25), (1.0, 0.7), (1.0, 2.0), (2.0, 2.0)]),
)
def test_a_last_cell_that_is_off_in_all_groups_refutes_no_true_law(
    case: tuple[float, float], seed: int
) -> None:
    power, last = case
    found = together(fits_of(shapes(power, last=last, seed=seed), f"n^{power:g}"))
    assert found is None or found.verdict is not Verdict.REFUTED


def test_two_groups_are_no_crowd() -> None:
    assert together(fits_of(shapes(groups=2), "n^2")) is None


def test_groups_that_can_speak_for_themselves_are_not_asked() -> None:
    long = tuple(2**k for k in range(7, 17))
    fits = fits_of(shapes(groups=4, sizes=long), "n^2")
    assert {one.verdict for one in fits} == {Verdict.CONFIRMED}
    assert together(fits) is None


def test_groups_that_claim_different_laws_are_not_put_together() -> None:
    mixed = [fits_of(shapes(groups=2), claim) for claim in ("n^2", "n^3")]
    assert together([*mixed[0], *mixed[0]]) is not None
    assert together([*mixed[0], *mixed[1]]) is None


def test_three_doublings_are_asked_of_each_group() -> None:
    assert over_one_doubling().verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("seed", daily(range(3)))
def test_a_logarithm_that_is_not_there_is_not_confirmed_together(seed: int) -> None:
    """Over these decades it moves the exponent by 0.08 only."""
    decades = shapes(1.0, groups=6, seed=seed, noise=0.03, sizes=[10**k for k in range(3, 8)])
    assert joint(decades, "n*log(n)").verdict is not Verdict.CONFIRMED
    assert joint(decades, "n").verdict is Verdict.CONFIRMED


@pytest.mark.usefixtures("one_figure")
def test_what_groups_say_together_stands_on_the_page(tmp_path: Path) -> None:
    shapes(groups=4).to_csv(tmp_path / "shapes.csv", index=False)
    question = Question(sizes={"n": "n"}, by=["shape"], claim="n^2")
    written = report([tmp_path / "shapes.csv"], question=question)
    for file in (written.index, written.summary):
        text = file.read_text(encoding="utf-8").replace("\\", "")
        assert text.count("All 4 groups together: n^2.0") == 1


def test_no_groups_say_nothing() -> None:
    assert together([]) is None


def test_a_group_that_nothing_was_fitted_to_is_not_among_all() -> None:
    table = shapes(groups=8)
    table = table[(table["shape"] != "shape 7") | (table["n"] == SIZES[0])]
    found = joint(table, "n^2")
    assert found.groups == 7
    assert found.text.startswith("7 of 8 groups together: n^2.0")


def test_groups_that_leave_a_claim_open_say_so() -> None:
    assert over_one_doubling().text.endswith(", which leaves open the claim n^2.")


@pytest.mark.parametrize(
    ("asked", "who"), [(10, "The 10 groups do not"), (12, "10 of 12 groups do not")]
)
def test_groups_that_share_no_exponents_are_counted_too(asked: int, who: str) -> None:
    apart = replace(of_two_powers("n^2"), asked=asked)
    assert apart.text.startswith(who)


def test_the_sentence_and_the_document_say_the_same() -> None:
    found = eighteen()
    interval = found.exponents["n"]
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))

    assert found.text.startswith("All 18 groups together: n^2.0")
    assert found.text.endswith("which confirms the claim n^2.")
    assert document == {
        "claim": "n^2",
        "groups": 18,
        "cells": 90,
        "verdict": "confirmed",
        "shared": True,
        "exponents": {
            "n": {"estimate": interval.estimate, "low": interval.low, "high": interval.high}
        },
    }


def test_a_cache_that_all_groups_leave_at_one_size_refutes_no_true_law() -> None:
    rng = np.random.default_rng(11)
    rows = []
    for group in range(4):
        first, second = rng.uniform(0.5, 2, 2)
        for n in 512 * 2 ** np.arange(5):
            cost = (0.02 * first + second * n**2 * 1e-7) * (1.6 if n >= 4096 else 1.0)
            rows.append({"g": group, "n": n, "time_s": cost * np.exp(rng.normal(0, 0.02))})
    fits = fit_groups(pd.DataFrame(rows), sizes={"n": "n"}, by=["g"], claim="n^2")
    joint = together(fits)
    assert joint is None or joint.verdict is not Verdict.REFUTED
