"""Costs without noise, judged by their polynomial: which terms they have is known."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.judge import judge as judge_module
from reports.judge.fit import fit
from reports.judge.result import Fit, Verdict
from reports.laws.monomials import Floats
from reports.predict.questions import PredictionError
from reports.verdicts.answers import Questions, documents
from tests.daily import daily

PUBLISHED = (36, 104, 336, 1184, 4416, 17024)
LENGTHS = (128, 256, 512, 1024, 2048, 4096)
GRID = tuple((n, d) for n in (64, 128, 256, 512, 1024) for d in (32, 64, 128, 256, 512))


def judged(cost: Floats | tuple[int, ...], claim: str, value: str = "memory_mib") -> Fit:
    table = pd.DataFrame({"n": LENGTHS[: len(cost)], value: cost})
    return fit(table, sizes={"n": "n"}, value=value, claim=claim)


def on_grid(cost: Floats, claim: str) -> Fit:
    n, d = np.array(GRID).T
    table = pd.DataFrame({"n": n, "d": d, "workspace_bytes": cost})
    return fit(table, sizes={"n": "n", "d": "d"}, value="workspace_bytes", claim=claim)


@pytest.mark.parametrize("value", ["memory_mib", "peak_memory_mb", "workspace_bytes"])
def test_six_published_cells_of_memory_are_n_squared_and_nothing_else(value: str) -> None:
    confirmed = judged(PUBLISHED, "n^2", value)
    assert (confirmed.verdict, confirmed.reasons) == (Verdict.CONFIRMED, ())
    assert confirmed.exponents["n"].estimate == 2
    assert {term.term for term in confirmed.terms} == {"n^2", "n"}
    assert confirmed.predict({"n": LENGTHS}) == pytest.approx(PUBLISHED)

    linear, cubic = judged(PUBLISHED, "n", value), judged(PUBLISHED, "n^3", value)
    assert (linear.verdict, linear.reasons) == (Verdict.REFUTED, ("faster_growing_term",))
    assert (cubic.verdict, cubic.reasons) == (Verdict.REFUTED, ("claimed_term_absent",))


def test_the_polynomial_is_told_with_where_it_holds() -> None:
    told = judged(PUBLISHED, "n^2").counted
    assert told is not None
    assert "0.00097656·n²" in told
    assert "0.15625·n" in told
    assert "n at least 128" in told


@pytest.mark.parametrize("examples", daily([8, 80]))
def test_rounding_to_whole_numbers_hides_no_leading_term(examples: int) -> None:
    n = np.array(LENGTHS, dtype=float)

    @settings(max_examples=examples)
    @given(square=st.floats(0.5, 9.0), linear=st.floats(0.0, 50.0), constant=st.floats(0.0, 1e4))
    def judged_right(square: float, linear: float, constant: float) -> None:
        cost = np.round(square * n**2 + linear * n + constant)
        assert judged(cost, "n^2").verdict is Verdict.CONFIRMED
        assert judged(cost, "n").verdict is Verdict.REFUTED
        assert judged(cost, "n^3").verdict is Verdict.REFUTED

    judged_right()


@pytest.mark.parametrize("digits", [-1, -2])
def test_coarse_rounding_is_no_lack_of_fit(digits: int) -> None:
    n = np.array(LENGTHS, dtype=float)
    cost = np.round(n**2 / 64 + 3 * n + 500, digits)

    assert judged(cost, "n^2").verdict is Verdict.CONFIRMED
    assert judged(cost, "n^3").verdict is Verdict.REFUTED


def test_a_leading_term_below_what_rounding_leaves_is_not_confirmed() -> None:
    n = np.array(LENGTHS, dtype=float)
    cost = np.round(3 * n + 1e-9 * n**2)

    assert judged(cost, "n^2").verdict is not Verdict.CONFIRMED
    assert judged(cost, "n").verdict is Verdict.CONFIRMED


@pytest.mark.parametrize(
    ("lengths", "cost"),
    [
        ((16, 32, 64, 128, 256), (60, 80, 140, 270, 560)),
        ((100, 200, 400, 800, 1600, 3200), (7000, 15000, 32000, 70000, 153000, 335000)),
    ],
)
def test_n_log_n_rounded_so_coarsely_that_n_squared_gives_it_too_is_not_n_squared(
    lengths: tuple[int, ...], cost: tuple[int, ...]
) -> None:
    table = pd.DataFrame({"n": lengths, "memory_mib": cost})
    found = fit(table, sizes={"n": "n"}, value="memory_mib", claim="n^2")

    assert found.verdict is not Verdict.CONFIRMED
    assert found.counted is None


@pytest.mark.parametrize(
    ("lengths", "pages"),
    [
        ((100, 150, 225, 338), (6, 9, 13, 21)),  # n·log n and a baseline
        ((100, 150, 225, 338, 506, 759, 1139, 1709), (512, 512, 512, 512, 512, 512, 1024, 2048)),
    ],
)
def test_pages_that_hide_a_baseline_confirm_no_law(
    lengths: tuple[int, ...], pages: tuple[int, ...]
) -> None:
    """What grows faster gives these pages too, beside a baseline that n needs none of."""
    table = pd.DataFrame({"n": lengths, "memory_bytes": [4096 * count for count in pages]})
    found = fit(table, sizes={"n": "n"}, value="memory_bytes", claim="n")

    assert found.verdict is Verdict.INCONCLUSIVE


def test_whole_numbers_of_many_digits_are_rounded_ones() -> None:
    n = np.array([128.0 * 4**k for k in range(7)])
    cost = np.round(0.125 * n**2 + 600 * n + 50, -2)
    table = pd.DataFrame({"n": n, "memory_mib": cost})

    square = fit(table, sizes={"n": "n"}, value="memory_mib", claim="n^2")
    cubic = fit(table, sizes={"n": "n"}, value="memory_mib", claim="n^3")
    assert (square.verdict, cubic.verdict) == (Verdict.CONFIRMED, Verdict.REFUTED)


def test_buffers_of_one_size_below_some_n_are_left_out() -> None:
    n, d = np.array(GRID, dtype=float).T
    buffered = np.maximum(4 * n**2 + 8 * n * d, 4 * 128**2 + 8 * 128 * d)
    found = on_grid(buffered, "n^2 + n*d")

    assert found.verdict is Verdict.CONFIRMED
    assert found.counted is not None
    assert "n at least 128" in found.counted
    assert found.ranges["n"][0] == 128
    assert found.reasons == ("regime_change",)
    assert found.regimes[0].evidence.endswith("fits below n = 128")
    assert on_grid(buffered, "n^2*d").verdict is not Verdict.CONFIRMED


def test_every_part_of_a_law_of_two_sizes_is_asked_for() -> None:
    n, d = np.array(GRID, dtype=float).T
    cost = 4 * n**2 + 8 * n * d + 1000

    assert on_grid(cost, "n^2 + n*d").verdict is Verdict.CONFIRMED
    assert on_grid(cost, "n^2").verdict is Verdict.REFUTED
    assert on_grid(cost, "n*d").verdict is Verdict.REFUTED
    assert on_grid(cost, "n^2*d").verdict is Verdict.REFUTED


def test_a_small_term_that_leads_is_asked_for_too() -> None:
    """A count has no noise, so that a thousandth of the cost is there as surely as all of it."""
    n = np.array(LENGTHS, dtype=float)
    cost = 4096 * n + n**2 / 1024

    assert judged(cost, "n^2").verdict is Verdict.CONFIRMED
    assert judged(cost, "n").verdict is Verdict.REFUTED


@pytest.mark.parametrize("power", [1.5, 2.5])
def test_a_cost_that_follows_no_polynomial_is_fitted(power: float) -> None:
    n = 2.0 ** np.arange(5, 17)
    table = pd.DataFrame({"n": n, "workspace_bytes": 64 * n**power})
    true = fit(table, sizes={"n": "n"}, value="workspace_bytes", claim=f"n^{power}")
    false = fit(table, sizes={"n": "n"}, value="workspace_bytes", claim="n^2")

    assert (true.verdict, true.counted) == (Verdict.CONFIRMED, None)
    assert (false.verdict, false.counted) == (Verdict.REFUTED, None)


def test_a_claim_with_a_logarithm_is_fitted() -> None:
    found = judged(PUBLISHED, "n^2*log(n)")

    assert found.counted is None
    assert found.verdict is not Verdict.CONFIRMED


def test_fewer_cells_than_unknowns_and_one_say_nothing_exactly() -> None:
    found = judged(PUBLISHED[:3], "n^2")

    assert found.counted is None
    assert (found.verdict, found.reasons[0]) == (Verdict.INCONCLUSIVE, "too_few_sizes")


def test_four_cells_tell_three_coefficients_and_check_them() -> None:
    found = judged(PUBLISHED[:4], "n^2")

    assert (found.verdict, found.counted is not None) == (Verdict.CONFIRMED, True)


def test_readings_that_scatter_are_no_count() -> None:
    rng = np.random.default_rng(1)
    cost = np.tile(np.array(PUBLISHED, dtype=float), 3) * np.exp(rng.normal(0, 0.02, 18))
    table = pd.DataFrame({"n": LENGTHS * 3, "memory_mib": cost})

    assert fit(table, sizes={"n": "n"}, value="memory_mib", claim="n^2").counted is None


def test_times_are_never_counted() -> None:
    table = pd.DataFrame({"n": LENGTHS, "time_s": PUBLISHED})

    assert fit(table, sizes={"n": "n"}, claim="n^2").counted is None


def test_a_size_that_stands_still_is_no_obstacle() -> None:
    table = pd.DataFrame({"n": LENGTHS, "d": 64, "memory_mib": PUBLISHED})
    found = fit(table, sizes={"n": "n", "d": "d"}, value="memory_mib", claim="n^2")

    assert found.verdict is Verdict.CONFIRMED


def test_what_a_counted_cost_would_be_elsewhere_is_its_polynomial_and_nothing_about_it() -> None:
    """A fit of these cells, most of them a buffer, would be off by half at n = 65536."""
    n, d = np.array(GRID).T.astype(float)
    found = on_grid(n * d / 16 + 591_872, "n*d")
    assert found.counted is not None
    asked = Questions.of(["n=65536,d=1024"], ["64MiB,d=1000"], {"n": "n", "d": "d"})
    (document,) = documents([found], asked)
    (there,), (most,) = document["predictions"], document["budgets"]
    assert there["low"] == pytest.approx(65536 * 1024 / 16 + 591_872)
    assert there["low"] == pytest.approx(there["estimate"], rel=1e-9)
    assert there["high"] == pytest.approx(there["estimate"], rel=1e-9)
    assert there["text"].startswith("n = 65536, d = 1024 would cost 4.56 MiB (by count); n is 64")
    assert most["estimate"] == (64 * 2**20 - 591_872) * 2 // 125
    assert (most["low"], most["high"]) == (most["estimate"], most["estimate"])
    assert " stays within 64 MiB (by count); " in most["text"]


def test_a_counted_cost_without_growth_stays_within_any_budget() -> None:
    found = on_grid(np.full(len(GRID), 9_196_544.0), "1")
    (document,) = documents([found], Questions.of([], ["1GiB"], {"n": "n", "d": "d"}))
    (answer,) = document["budgets"]
    assert answer["estimate"] is None
    assert "is enough even for n = 2^60" in answer["text"]


def test_no_law_is_fitted_to_a_counted_cost_before_somebody_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sought = []
    monkeypatch.setattr(judge_module, "judgeable", lambda setting: sought.append(1) or 1 / 0)
    found = on_grid(np.array([4.0 * n * d for n, d in GRID]), "n*d")

    assert (found.verdict, sought) == (Verdict.CONFIRMED, [])
    assert found.basis is not None
    assert found.ensemble is not None  # predictions need the polynomial alone
    with pytest.raises(ZeroDivisionError):
        _ = found.basis.setting
    assert sought == [1]


def test_a_claimed_size_that_stands_still_is_not_confirmed() -> None:
    table = pd.DataFrame({"n": LENGTHS, "d": 64, "memory_mib": PUBLISHED})

    for claim, verdict in (("n^2*d", "inconclusive"), ("n^3*d", "refuted")):
        found = fit(table, sizes={"n": "n", "d": "d"}, value="memory_mib", claim=claim)
        assert found.verdict == verdict


def test_a_size_that_stands_still_keeps_its_part_of_a_counted_cost() -> None:
    n = np.array(LENGTHS, dtype=float)
    table = pd.DataFrame({"n": n, "d": 64, "b": 2, "workspace_bytes": 8 * n * 64 * 2 + 592})
    found = fit(table, sizes={"n": "n", "d": "d", "b": "b"}, value="workspace_bytes", claim="b*n*d")
    assert found.counted is not None
    (document,) = documents([found], Questions.of(["n=4096"], ["1MiB"], {"n": "n"}))
    assert document["predictions"][0]["estimate"] == 8 * 4096 * 64 * 2 + 592
    assert document["budgets"][0]["estimate"] == (2**20 - 592) // (8 * 64 * 2)


def test_a_budget_that_a_size_meets_exactly_suffices_for_it() -> None:
    n = np.array(LENGTHS, dtype=float)
    table = pd.DataFrame({"n": n, "workspace_bytes": 8 * n + 592})
    found = fit(table, sizes={"n": "n"}, value="workspace_bytes", claim="n")
    (document,) = documents([found], Questions.of([], ["4KiB"], {"n": "n"}))
    (answer,) = document["budgets"]
    assert (answer["low"], answer["estimate"], answer["high"]) == (438, 438, 438)


@pytest.mark.parametrize("value", ["workspace_bytes", "memory_mib"])
def test_a_polynomial_gives_no_cost_where_it_is_not_above_zero(value: str) -> None:
    n = np.array(LENGTHS, dtype=float)
    table = pd.DataFrame({"n": n, value: n**2 - 100 * n + 2})
    found = fit(table, sizes={"n": "n"}, value=value, claim="n^2")
    assert found.counted is not None
    with pytest.raises(PredictionError, match="the law gives no cost at n = 50; give larger sizes"):
        documents([found], Questions.of(["n=50"], [], {"n": "n"}))


@pytest.mark.parametrize("budget", ["24GiB", "80GiB"])
def test_rounded_memory_has_an_interval_that_holds_what_would_suffice(budget: str) -> None:
    n = np.array(LENGTHS, dtype=float) * 8
    table = pd.DataFrame({"n": n, "memory_mib": np.round(7.62939e-06 * n**2 + 3.3)})
    found = fit(table, sizes={"n": "n"}, value="memory_mib", claim="n^2")
    (document,) = documents([found], Questions.of([], [budget], {"n": "n"}))
    (answer,) = document["budgets"]
    most = math.isqrt(int((int(budget[:2]) * 1024 - 3.3) / 7.62939e-06))
    assert answer["low"] <= most <= answer["high"]
    assert answer["low"] < answer["high"] < 1.01 * answer["low"]
    assert "by count" not in answer["text"]
