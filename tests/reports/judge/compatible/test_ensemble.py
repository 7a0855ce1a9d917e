import dataclasses
import pickle
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest

from reports.cells.cells import cells_of
from reports.judge.compatible.ensemble import Ensemble, draw
from reports.judge.models.error_scale import Setting
from reports.judge.models.explanations import choose, fit_plain
from reports.judge.models.fitted import Fitted
from reports.laws.grammar import parse
from tests.calibration.scenarios import GRIDS, THREE_VARIABLES, Disturbance, Truth
from tests.calibration.simulate import COLUMNS, simulate

Sweep = Callable[..., pd.DataFrame]
N_AND_D = {"n": "seq_len", "d": "d_model"}


def fitted(
    table: pd.DataFrame, claim: str, sizes: Mapping[str, str] = N_AND_D
) -> tuple[Setting, Fitted]:
    cells = cells_of(table, sizes, "time_s")
    names = tuple(name for name in sizes if cells.distinct(name).size > 1)
    law = parse(claim).only(frozenset(names))
    setting = Setting(cells=cells, law=law, names=names, confidence=0.95, exact=False)
    return setting, fit_plain(setting)


def ensemble_of(table: pd.DataFrame, claim: str) -> Ensemble:
    return draw(*fitted(table, claim))


def test_a_seed_gives_the_same_laws_and_another_seed_others(sweep: Sweep) -> None:
    setting, fit = fitted(sweep([(1.0, "n^2*d"), (90.0, "n*d")]), "n^2*d")
    one, same, other = draw(setting, fit), draw(setting, fit), draw(setting, fit, seed=1)
    np.testing.assert_array_equal(one.coefficients, same.coefficients)
    np.testing.assert_array_equal(one.powers, same.powers)
    assert (one.powers != other.powers).any()


@pytest.mark.parametrize("claim", ["n^2*d", "n^2*d + n*d^2", "n^2*log(n)*d", "n*d"])
def test_every_law_drawn_explains_the_cells(sweep: Sweep, claim: str) -> None:
    setting, fit = fitted(sweep([(1.0, "n^2*d"), (2.0, "n*d^2"), (90.0, "n*d")]), claim)
    ensemble = draw(setting, fit)
    assert ensemble.coefficients.shape == (400, len(ensemble.terms))
    assert (ensemble.coefficients >= 0).all()
    off = ensemble.costs(ensemble.measured) / setting.cells.cost - 1
    # As bad as the best law, and by chance worse by some variances, one for each parameter or so.
    excess = ((off**2).sum(axis=1) - fit.solution.sse) / ensemble.error**2
    assert excess.max() < 50
    assert np.median(excess) < 10


def test_powers_spread_as_the_profile_intervals_say(sweep: Sweep) -> None:
    off = []
    for seed in range(6):
        setting, fit = fitted(sweep([(1.0, "n^2*d")], seed=seed, overhead=0.5), "n^2*d")
        ensemble = draw(setting, fit, count=2000)
        for v, (low, high) in enumerate(fit.intervals):
            assert low is not None
            assert high is not None
            ends = np.quantile(ensemble.powers[:, -1, v], [0.025, 0.975])
            np.testing.assert_allclose(ends, [low, high], atol=0.3 * (high - low))
            off.append(np.log((ends[1] - ends[0]) / (high - low)))
    assert abs(np.mean(off)) < 0.12


def test_coefficients_spread_as_least_squares_says(sweep: Sweep) -> None:
    # In the middle of cells that follow a single power, its cost is known as their mean is.
    setting, fit = fitted(sweep([(1.0, "1")], overhead=0), "1")
    ensemble = draw(setting, fit, count=2000)
    middle = np.exp(np.log(ensemble.cells).mean(axis=0))
    spread = np.log(ensemble.costs({"n": middle[0], "d": middle[1]})).std()
    assert spread == pytest.approx(ensemble.error / np.sqrt(len(setting.cells)), rel=0.15)


def test_the_parts_of_all_terms_add_up_to_the_cost(sweep: Sweep) -> None:
    ensemble = ensemble_of(sweep([(1.0, "n^2*d"), (90.0, "n*d")]), "n^2*d")
    sizes = {"n": np.array([[131.0], [8191.0]]), "d": np.array([61.0, 509.0, 1021.0])}
    parts = ensemble.parts(sizes)
    assert parts.shape == (400, 2, 3, len(ensemble.terms))
    np.testing.assert_allclose(parts.sum(axis=-1), ensemble.costs(sizes))
    assert ensemble.costs({"n": 131.0, "d": 61.0}) == pytest.approx(ensemble.costs(sizes)[:, 0, 0])


def test_a_law_with_a_logarithm_keeps_it_beyond_the_cells(sweep: Sweep) -> None:
    terms = [(1.0, "n*log(n)*d")]
    ensemble = ensemble_of(sweep(terms, overhead=0, reading=0.01, shared=0), "n*log(n)*d")
    n, d = 262144.0, 509.0
    found = float(np.median(ensemble.costs({"n": n, "d": d})))
    assert found == pytest.approx(1e-9 * n * np.log(n) * d, rel=0.05)


def test_beyond_a_jump_the_laws_are_those_of_the_last_regime(sweep: Sweep) -> None:
    table = sweep(
        [(1.0, "n^2*d"), (900.0, "n*d")],
        overhead=0,
        reading=0.005,
        shared=0,
        factor=lambda n, d: np.where(n * n * d > 2**27, 3.0, 1.0),
    )
    setting, _ = fitted(table, "n^2*d")
    ensemble = draw(setting, choose(setting))
    n, d = ensemble.cells.T
    np.testing.assert_array_equal(ensemble.last, n * n * d > 2**27)
    assert len(ensemble.measured["n"]) == ensemble.last.sum() < len(ensemble.cells)
    # There as everywhere, before the jump as well, each law costs three times what it would.
    ratio = ensemble.costs({"n": n, "d": d}) / (3e-9 * (n * n * d + 900 * n * d))
    np.testing.assert_allclose(np.median(ratio, axis=0), 1, rtol=0.06)
    assert np.quantile(np.abs(ratio - 1), 0.95) < 0.1


def test_sizes_that_move_together_leave_open_what_either_does_alone(sweep: Sweep) -> None:
    together = [(2**k, 2 ** (k - 1)) for k in range(7, 14)]
    setting, fit = fitted(sweep([(1.0, "n^2*d")], cells=together, overhead=0), "n^2*d")
    assert any(end is None for interval in fit.intervals for end in interval)
    ensemble = draw(setting, fit)
    spread = [
        np.log(ensemble.costs({"n": n, "d": d})).std()
        for n, d in ((4096.0, 2048.0), (4096.0, 64.0))
    ]
    assert spread[0] < 0.1
    assert spread[1] > 10 * spread[0]


@pytest.mark.parametrize("truth", THREE_VARIABLES, ids=lambda truth: truth.name)
def test_three_sizes_are_drawn_as_well(truth: Truth) -> None:
    design = GRIDS["4x4x4" if truth.name == "n*w*d" else "5x4x4 batch"]
    table = simulate(truth, design, Disturbance(reading=0.01, overhead=0.05, lower=0.0), seed=3)
    setting, fit = fitted(table, truth.true, {n: COLUMNS[n] for n in design.sizes})
    ensemble = draw(setting, fit)
    assert ensemble.powers.shape == (400, len(ensemble.terms), 3)
    lead = [float(ensemble.terms[-1].power(name)) for name in ensemble.names]
    np.testing.assert_allclose(np.median(ensemble.powers[:, -1], axis=0), lead, atol=0.03)


def test_it_stands_on_its_own_and_survives_pickling(sweep: Sweep) -> None:
    ensemble = ensemble_of(sweep([(1.0, "n^2*d")]), "n^2*d")
    copy = pickle.loads(pickle.dumps(ensemble))
    sizes = {"n": 65537.0, "d": 1021.0}
    np.testing.assert_array_equal(copy.costs(sizes), ensemble.costs(sizes))
    with pytest.raises(dataclasses.FrozenInstanceError):
        copy.error = 0.0


def test_it_knows_the_measured_sizes_and_those_that_stood_still(sweep: Sweep) -> None:
    lengths = (131, 257, 521, 1031, 2053, 4099)
    table = sweep([(1.0, "n^2*d")], cells=[(n, 67) for n in lengths])
    ensemble = ensemble_of(table, "n^2*d")
    assert ensemble.names == ("n",)
    assert ensemble.ranges == {"n": (131.0, 4099.0)}
    assert ensemble.still == {"d": 67.0}
    with pytest.raises(ValueError, match="needs the size n, got d; name it too"):
        ensemble.costs({"d": 67.0})


def test_exact_costs_leave_hardly_anything_open(sweep: Sweep) -> None:
    table = sweep([(1.0, "n^2*d")], overhead=0, reading=0, shared=0)
    setting, _ = fitted(table, "n^2*d")
    setting = dataclasses.replace(setting, exact=True)
    ensemble = draw(setting, fit_plain(setting))
    costs = ensemble.costs({"n": 65536.0, "d": 1024.0})
    np.testing.assert_allclose(costs, 1e-9 * 2.0**42, rtol=0.01)
