"""Which of the usual laws a few sizes leave open, and which they exclude."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from reports.judge.fit import fit
from reports.judge.proposals import compatible
from reports.judge.result import Fit
from tests.daily import daily

SIZES = (100.0, 200.0, 400.0, 800.0, 1600.0)


def judged(costs: Sequence[float], sizes: Sequence[float] = SIZES) -> Fit:
    return fit(pd.DataFrame({"n": sizes, "time_s": costs}), sizes={"n": "n"}, claim="n")


def told(costs: Sequence[float], sizes: Sequence[float] = SIZES) -> tuple[set[str], set[str]]:
    """The laws that the cells leave open, and those that they exclude."""
    found = compatible(judged(costs, sizes))
    assert found is not None
    left_open, excluded = ({str(law) for law in laws} for laws in found)
    return left_open, excluded


def test_a_cost_that_grows_seventeenfold_excludes_a_constant() -> None:
    left_open, excluded = told([1.0e-4, 1.6e-4, 3.5e-4, 7.1e-4, 1.77e-3])
    assert "1" in excluded
    assert "n" in left_open


@pytest.mark.parametrize("seed", daily(range(3)))
@pytest.mark.parametrize("overhead", daily([3.0, 0.0, 1.0], most=2))
@pytest.mark.parametrize("law", ["1", "n", "n*log(n)", "n^2", "n^3"])
def test_the_true_law_is_never_excluded(law: str, overhead: float, seed: int) -> None:
    n = np.array(SIZES)
    grown = {"1": n**0, "n": n, "n*log(n)": n * np.log(n), "n^2": n**2, "n^3": n**3}[law]
    noise = np.exp(np.random.default_rng(seed).normal(0, 0.03, n.size))
    left_open, excluded = told(list(1e-6 * (grown + overhead * grown[0]) * noise))
    assert law in left_open
    assert law not in excluded


def test_a_law_without_a_value_at_these_sizes_is_neither_open_nor_excluded() -> None:
    sizes = (0.25, 0.5, 1.0, 2.0, 4.0)
    left_open, excluded = told([1e-3 * n for n in sizes], sizes)
    assert "n" in left_open
    assert "n^3" in excluded
    assert "n*log(n)" not in left_open | excluded


def test_a_size_of_one_has_no_logarithm_to_grow_from_and_excludes_none_for_that() -> None:
    sizes = (1.0, 2.0, 4.0, 8.0, 16.0)
    costs = [1e-3 * (n * np.log2(n) + 0.01) for n in sizes]
    left_open, excluded = told(costs, sizes)
    assert "n*log(n)" in left_open
    assert "1" in excluded
    assert "1" not in left_open
