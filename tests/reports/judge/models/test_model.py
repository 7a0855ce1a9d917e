"""The model's sums of squares against scipy's own non-negative least squares."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import nnls

from reports.cells.cells import Cells, cells_of
from reports.judge.models.intervals import descend, search
from reports.judge.models.model import Model
from reports.laws.grammar import parse, parse_monomial
from reports.laws.monomials import Floats, lower_terms
from tests.daily import daily

Sweep = Callable[..., pd.DataFrame]

NAMES = ("n", "d")
SIZES = {"n": "seq_len", "d": "d_model"}
COSTS = [
    [(1.0, "n^2*d"), (3.0, "n^2"), (20.0, "n*d")],
    [(1.0, "n^1.5*d")],
    [(1.0, "n^2*d"), (5.0, "n*d^2")],
    [(1.0, "n"), (1.0, "d")],
]
FEW = {"n^2*d": 3, "n*log(n)*d": 3, "n^2*d + n*d^2": 2, "n": 0, "1": 0}
"""How many lower-order terms at once are tried beside each law."""


def cells_like(sweep: Sweep, terms: list[tuple[float, str]], noise: float = 0.05) -> Cells:
    return cells_of(sweep(terms, reading=noise, shared=noise), SIZES, "time_s")


def coefficients_by_scipy(columns: Floats, target: Floats) -> tuple[Floats, float]:
    scale = np.linalg.norm(columns, axis=0)
    found, norm = nnls(columns / scale, target)
    return found / scale, norm**2


@pytest.mark.parametrize("terms", COSTS)
@pytest.mark.parametrize("claim", ["n^2*d", "n*log(n)*d", "n^2*d + n*d^2", "n", "1"])
def test_sums_of_squares_are_those_of_non_negative_least_squares(
    sweep: Sweep, claim: str, terms: list[tuple[float, str]]
) -> None:
    rng = np.random.default_rng(5)
    cells = cells_like(sweep, terms)
    cells = replace(cells, weights=rng.uniform(0.1, 1, len(cells)))
    model = Model(cells, parse(claim), names=NAMES)
    thetas = model.claimed + rng.uniform(-2, 2, (60, 2)).round(4)
    few = 0
    for theta, value in zip(thetas, model.values(thetas), strict=True):
        costs = [term.evaluate(cells.sizes) * cells.weights for term in model.described(theta)]
        columns = np.column_stack(costs) / cells.cost[:, None]
        coefficients, squares = coefficients_by_scipy(columns, cells.weights)
        assert value >= squares * (1 - 1e-6)
        if (coefficients[model.overheads :][: len(model.lower)] > 0).sum() <= FEW[claim]:
            few += 1
            assert model.solve(theta).priced == pytest.approx(squares, rel=1e-6)
            # That a law without one of two terms is better is looked for near whole powers only.
            if "+" not in claim or terms != COSTS[1]:
                assert value == pytest.approx(squares, rel=1e-6)
    assert few >= 10 or terms == COSTS[3]


def test_three_lower_order_terms_beside_overhead_are_found_with_their_coefficients() -> None:
    grid = np.array([(n, d) for n in (128, 256, 512, 1024, 2048) for d in (64, 128, 256, 512)])
    n, d = grid.T.astype(float)
    time_s = 1e-9 * (n**2 * d + 7 * n**2 + 90 * n * d + 2000 * n + 3e5)
    table = pd.DataFrame({"seq_len": n, "d_model": d, "time_s": time_s})
    model = Model(cells_of(table, SIZES, "time_s"), parse("n^2*d"), names=NAMES)
    solution = model.solve(model.claimed)
    found = dict(zip(map(str, model.described(model.claimed)), solution.coefficients, strict=True))
    expected = {"n^2*d": 1, "n^2": 7, "n*d": 90, "n": 2000, "1": 3e5, "d": 0}
    assert {term: 1e9 * c for term, c in found.items()} == pytest.approx(expected, rel=1e-4)
    assert solution.sse == pytest.approx(0, abs=1e-12)
    assert solution.active == 5
    np.testing.assert_allclose(solution.shares.sum(axis=1), 1)
    np.testing.assert_allclose(solution.fitted, 1, rtol=1e-6)


@pytest.mark.parametrize(("price", "count"), [(0.0, 3), (0.001, 2), (0.1, 1), (10.0, 0)])
def test_a_lower_order_term_is_taken_where_it_lowers_the_squares_by_its_price(
    sweep: Sweep, price: float, count: int
) -> None:
    terms = [(1.0, "n^2*d"), (30.0, "n^2"), (80.0, "n*d")]
    model = Model(cells_like(sweep, terms, 0.02), parse("n^2*d"), names=NAMES)
    theta = model.claimed
    columns = model.columns_at(theta)
    lower = range(model.overheads, model.overheads + len(model.lower))
    always = [k for k in range(model.size) if k not in lower]
    totals = {
        some: coefficients_by_scipy(columns[:, [*always, *some]], model.target)[1]
        + price * len(some)
        for many in range(4)
        for some in itertools.combinations(lower, many)
    }
    best = min(totals, key=lambda some: totals[some])
    solution = model.solve(theta, price)
    assert model.value(theta, price) == pytest.approx(totals[best], rel=1e-6)
    assert solution.priced == pytest.approx(totals[best], rel=1e-6)
    taken = tuple(k for k in lower if solution.coefficients[k] > 0)
    assert price == 0 or taken == best
    assert len(taken) == count


@pytest.mark.parametrize("dropped", [0, 1])
def test_a_leading_term_can_be_left_out_by_its_number(sweep: Sweep, dropped: int) -> None:
    model = Model(cells_like(sweep, COSTS[2]), parse("n^2*d + n*d^2"), names=NAMES)
    columns = np.delete(model.columns_at(model.claimed), len(model.terms) + dropped, axis=1)
    coefficients, squares = coefficients_by_scipy(columns, model.target)
    assert (coefficients[model.overheads :][: len(model.lower)] > 0).sum() <= 2
    assert model.value(model.claimed, drop=dropped) == pytest.approx(squares, rel=1e-6)
    assert squares > 2 * model.value(model.claimed)


def test_a_leading_term_held_at_a_share_has_that_much_at_least(sweep: Sweep) -> None:
    exact = sweep([(1.0, "n^2*d")], overhead=5.0, reading=0, shared=0)
    model = Model(cells_of(exact, SIZES, "time_s"), parse("n^2*d"), names=NAMES)
    true = float(model.solve(model.claimed).shares[:, -1].max())
    assert 0.5 < true < 1
    shares = (0.1, 0.5, true, (1 + true) / 2)
    *enough, too_much = (model.squares_with(model.claimed, 0, share) for share in shares)
    assert enough == pytest.approx([0, 0, 0], abs=1e-12)
    assert too_much > 1e-4


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("1", []),
        ("n", []),
        ("n*d", ["d", "n"]),
        ("n^2*d", ["d", "n", "n*d", "n^2"]),
        ("n^2*log(n)*d", ["d", "n", "n*d", "n^2", "n^2*log(n)"]),
        ("n^1.5*d", ["d", "n", "n*d", "n^1.5"]),
        ("n^2.2*d", ["d", "n", "n*d", "n^2", "n^2.2"]),
        ("n^2*d + n*d^2", ["d", "d^2", "n", "n*d", "n^2"]),
        ("n*d + n", ["d", "n"]),
    ],
)
def test_lower_order_terms_are_the_divisors_but_those_within_half_a_power(
    claim: str, expected: list[str]
) -> None:
    assert sorted(map(str, lower_terms(parse(claim)))) == expected


def test_the_factor_of_a_jump_is_recovered_and_does_not_multiply_the_overhead() -> None:
    grid = np.array([(n, d) for n in (128, 256, 512, 1024, 2048, 4096) for d in (64, 128, 256)])
    n, d = grid.T.astype(float)
    later = n >= 1024
    time_s = 1e-9 * ((n**2 * d + 40 * n * d) * np.where(later, 2.7, 1.0) + 4e7)
    table = pd.DataFrame({"seq_len": n, "d_model": d, "time_s": time_s})
    cells = cells_of(table, SIZES, "time_s")
    model = Model(cells, parse("n^2*d"), names=NAMES, later=later)
    low, high = model.bounds(1.0)
    theta = search(model.values, low, high).best
    np.testing.assert_allclose(theta[:2], [2, 1], atol=0.005)
    assert np.exp(theta[2]) == pytest.approx(2.7, rel=0.01)
    solution = model.solve(np.array([2.0, 1.0, np.log(2.7)]))
    assert solution.coefficients[0] == pytest.approx(0.04, rel=1e-6)
    assert solution.coefficients[-1] == pytest.approx(1e-9, rel=1e-6)
    np.testing.assert_allclose(solution.fitted, 1, rtol=1e-6)


def test_further_terms_have_no_price_and_onsets_only_their_cells(sweep: Sweep) -> None:
    table = sweep([(1.0, "n^2*d")], reading=0, shared=0)
    cells = cells_of(table, SIZES, "time_s")
    late = cells.sizes["n"] >= 2048
    more = 3e-9 * cells.sizes["n"] * cells.sizes["d"] ** 2 * late
    model = Model(
        replace(cells, cost=cells.cost + more),
        parse("n^2*d"),
        names=NAMES,
        onsets=((parse_monomial("n*d^2"), late),),
    )
    solution = model.solve(model.claimed, price=1.0)
    assert solution.sse == pytest.approx(0, abs=1e-9)
    assert solution.priced == pytest.approx(solution.sse)
    np.testing.assert_allclose(solution.coefficients[[1, -1]], [3e-9, 1e-9], rtol=1e-5)
    np.testing.assert_array_equal(solution.shares[:, 1] > 0, late)


@pytest.mark.parametrize("seed", daily(range(8)))
def test_a_narrow_valley_is_followed_to_its_end(sweep: Sweep, seed: int) -> None:
    """A parabola through a cube that is wider than the valley shows nothing of it."""
    table = sweep([(1.0, "n^2*d"), (30.0, "n*d")], seed=seed, reading=0.003, shared=0.0)
    model = Model(cells_of(table, SIZES, "time_s"), parse("n^2*d"), names=NAMES)
    low, high = model.bounds(2.0)
    found = search(model.values, low, high)
    step = np.full(2, 0.01)
    _, least = descend(model.values, found.best, step, low, high, least_step=1e-6)
    assert found.value <= 1.01 * least
