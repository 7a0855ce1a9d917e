"""Laws near one another: a logarithm, a second term that outgrows, a term that is not there."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from reports.judge.findings import allowed_exponents
from reports.judge.models.explanations import choose
from reports.judge.result import Verdict
from reports.laws.monomials import Floats
from reports.verdicts.exponents import outside_claim, reaching_beyond_claim
from tests.daily import daily
from tests.reports.judge.once import fit

Sweep = Callable[..., pd.DataFrame]
N = 2.0 ** np.arange(7, 13)


def of_one_size(cost: Floats, seed: int, error: float = 0.003) -> pd.DataFrame:
    noise = np.random.default_rng(seed).normal(0, error, (4, N.size))
    rows = cost * np.exp(noise)
    return pd.DataFrame({"n": np.tile(N, 4), "time_s": rows.ravel()})


@pytest.mark.parametrize("seed", daily(range(5)))
@pytest.mark.parametrize(("law", "claim"), [("n*d", "n*log(n)*d"), ("n^2*d", "n^2*log(n)*d")])
def test_a_claimed_logarithm_that_is_not_there_is_refuted_within_the_tolerance(
    sweep: Sweep, law: str, claim: str, seed: int
) -> None:
    """It moves the exponent of n by 0.11 over these sizes: hardly more than the tolerance."""
    table = sweep([(1.0, law)], seed=seed, reading=0.005, shared=0.002, overhead=0.05)
    found = fit(table, claim=claim)
    assert found.verdict is Verdict.REFUTED
    assert found.reasons[0] == "exponent_outside_tolerance"
    (side,) = outside_claim(found)
    assert side == f"the exponent of n lies below the claimed {law[2] if law[1] == '^' else 1}"
    assert fit(table, claim=law).verdict is Verdict.CONFIRMED


@pytest.mark.parametrize(
    ("linear", "verdict"),
    [(0.0, Verdict.CONFIRMED), (5.0, Verdict.CONFIRMED), *((c, None) for c in (15.0, 20.0, 30.0))],
)
def test_no_linear_part_beside_it_refutes_a_sort(linear: float, verdict: Verdict | None) -> None:
    """20 n is more than n·log n up to n = 2^20."""
    for seed in range(3):
        table = of_one_size(N * (np.log2(N) + linear), seed)
        found = fit(table, sizes={"n": "n"}, claim="n*log(n)").verdict
        assert found is not Verdict.REFUTED
        assert verdict in (None, found)


@pytest.mark.parametrize("seed", daily(range(3)))
def test_what_may_stand_beside_a_logarithm_is_no_other_leading_term(
    sweep: Sweep, seed: int
) -> None:
    """A fifth of n·d² says nothing of n²·log n·d."""
    table = sweep([(1.0, "n^2*d"), (0.3, "n*d^2")], seed=seed, reading=0.004, shared=0.001)
    assert fit(table, claim="n^2*log(n)*d + n*d^2").verdict is Verdict.REFUTED


@pytest.mark.parametrize("claim", ["n^2*log(n)*d", "n^2*d", "n^2/log(n)*d"])
def test_half_of_a_claimed_logarithm_may_be_missing_at_the_largest_size(
    sweep: Sweep, claim: str
) -> None:
    found = fit(sweep([(1.0, "n^2*d")]), claim=claim)
    assert found.basis is not None
    setting = found.basis.setting
    (least, most), d = allowed_exponents(setting, choose(setting), 0.1)
    half = 0.5 / math.log(8192)
    assert 2 - least == pytest.approx(half if "*log" in claim else 0.1)
    assert most - 2 == pytest.approx(half if "/log" in claim else 0.1)
    assert d == pytest.approx((0.9, 1.1))


def test_an_interval_that_reaches_beyond_half_a_logarithm_is_said_so(sweep: Sweep) -> None:
    def wide(seed: int) -> pd.DataFrame:
        return sweep([(1.0, "n^2*d")], seed=seed, reading=0.06, shared=0.03)

    open_ones = [
        text
        for seed in range(2)
        if (text := reaching_beyond_claim(fit(wide(seed), claim="n^2*log(n)*d")))
    ]
    assert set(open_ones) == {"the interval of n reaches beyond half of the claimed logarithm of n"}


@pytest.mark.parametrize("seed", daily(range(4)))
def test_two_terms_that_outgrow_a_claim_are_found_where_neither_is_the_best_alone(
    sweep: Sweep, seed: int
) -> None:
    """n²·d² alone explains n²·d + n·d² best beside n·d, and not at all well."""
    table = sweep([(1.0, "n^2*d"), (4.0, "n*d^2")], seed=seed, reading=0.01, shared=0.002)
    found = fit(table, claim="n*d")
    assert (found.verdict, found.reasons[0]) == (Verdict.REFUTED, "faster_growing_term")
    assert found.basis is not None
    assert {str(term) for term in found.basis.fitted.rival} == {"n^2*d", "n*d^2"}


def test_a_term_that_explains_nothing_alone_may_be_one_of_two() -> None:
    """Beside n, n² alone gets no coefficient where n·d is all that shows."""
    n, d = (one.ravel() for one in np.meshgrid(N, [32.0, 64.0, 128.0, 256.0, 512.0]))
    cost = n * d + 0.004 * n**2
    noise = np.random.default_rng(1).normal(0, 0.005, cost.size)
    table = pd.DataFrame({"seq_len": n, "d_model": d, "time_s": cost * np.exp(noise)})
    found = fit(table, claim="n")
    assert found.basis is not None
    assert {str(term) for term in found.basis.fitted.rival} == {"n*d", "n^2"}


@pytest.mark.parametrize("seed", daily(range(4)))
def test_no_jump_saves_a_claim_that_has_no_part_in_the_cost(sweep: Sweep, seed: int) -> None:
    """n²·d², of which there is nothing, with n²·d as a lower-order term and a jump somewhere."""
    table = sweep([(1.0, "n^2*d"), (4.0, "n*d^2")], seed=seed, reading=0.01, shared=0.002)
    assert fit(table, claim="n^2*d^2").verdict is Verdict.REFUTED
