import json
from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from reports.cells.cells import cells_of
from reports.judge.compatible.crossovers import Crossover, crossovers
from reports.judge.compatible.ensemble import Ensemble, draw
from reports.judge.models.error_scale import Setting
from reports.judge.models.explanations import choose, fit_plain
from reports.laws.grammar import parse, parse_monomial
from tests.daily import daily

Sweep = Callable[..., pd.DataFrame]
CELLS = [(n, d) for n in (128, 256, 512, 1024, 2048, 4096) for d in (64, 128, 256, 512)]


def ensemble_of(table: pd.DataFrame, claim: str, *, choosing: bool = False) -> Ensemble:
    cells = cells_of(table, {"n": "seq_len", "d": "d_model"}, "time_s")
    names = tuple(name for name in ("n", "d") if cells.distinct(name).size > 1)
    law = parse(claim).only(frozenset(names))
    setting = Setting(cells=cells, law=law, names=names, confidence=0.95, exact=False)
    return draw(setting, choose(setting) if choosing else fit_plain(setting))


def found(table: pd.DataFrame, claim: str) -> dict[tuple[str, str], Crossover]:
    crossings = crossovers(ensemble_of(table, claim), confidence=0.95)
    return {(one.faster, one.slower): one for one in crossings}


def test_a_layer_crosses_where_its_terms_cost_the_same(sweep: Sweep) -> None:
    table = sweep([(4.0, "n^2*d"), (8.0, "n*d^2")], cells=CELLS, overhead=0, reading=0.01)
    crossing = found(table, "n^2*d + n*d^2")["n^2*d", "n*d^2"]
    assert crossing.size == "n"
    assert crossing.powers == {"d": 1.0}
    assert crossing.factor == pytest.approx(2.0, rel=0.1)
    assert crossing.low is not None
    assert crossing.high is not None
    assert crossing.low < crossing.factor < crossing.high < 1.2 * crossing.low
    assert crossing.where == "inside"
    start = f"n²·d overtakes n·d² at n = {crossing.factor:.3g}·d [{crossing.low:.3g}, "
    assert crossing.text == f"{start}{crossing.high:.3g}], among the measured sizes"


@pytest.mark.parametrize("sweeps", daily([8, 24]))
def test_the_intervals_hold_the_true_crossovers(sweep: Sweep, sweeps: int) -> None:
    # The layer crosses at n = 2·d, and its n²·d costs as much as 2e7 at n = (2e7 / 4)^½ · d^-½.
    terms = [(4.0, "n^2*d"), (8.0, "n*d^2"), (2e7, "1")]
    true = {("n^2*d", "n*d^2"): 2.0, ("n^2*d", "1"): (2e7 / 4) ** 0.5}
    held = []
    for seed in range(sweeps):
        table = sweep(terms, cells=CELLS, overhead=0, seed=seed)
        crossings = found(table, "n^2*d + n*d^2")
        for pair, factor in true.items():
            low, high = crossings[pair].low, crossings[pair].high
            held.append((low or 0) <= factor <= (high or np.inf))
            assert (high or np.inf) < 2 * (low or 0)
    # 95 in 100 are promised; of 24 sweeps 48, not all independent, stray by some 5 in 100.
    assert np.mean(held) >= 0.83


def test_a_line_against_the_overhead_has_half_a_power(sweep: Sweep) -> None:
    crossing = found(sweep([(1.0, "n^2*d"), (4.1e6, "1")], cells=CELLS, overhead=0), "n^2*d")
    one = crossing["n^2*d", "1"]
    assert one.powers == {"d": -0.5}
    assert one.factor == pytest.approx(4.1e6**0.5, rel=0.03)
    assert "n²·d overtakes the constant part at n = 20" in one.text
    assert "·d^-0.5 [" in one.text


def test_with_one_size_it_is_a_number(sweep: Sweep) -> None:
    lengths = [(2**k, 67) for k in range(6, 16)]
    table = sweep([(1.0, "n^2"), (310.0**2, "1")], cells=lengths, overhead=0)
    crossing = found(table, "n^2")["n^2", "1"]
    assert crossing.powers == crossing.at == {}
    assert (crossing.low or 0) <= 310 <= (crossing.high or 0)
    assert crossing.text.startswith(
        f"n² overtakes the constant part at n = {crossing.factor:.3g} ["
    )


def test_a_logarithm_is_solved_at_the_middle_of_the_other_sizes(sweep: Sweep) -> None:
    table = sweep([(1.0, "n*log(n)*d"), (1e6, "1")], cells=CELLS, overhead=0, reading=0.01)
    crossing = found(table, "n*log(n)*d")["n*log(n)*d", "1"]
    middle = (64 * 512) ** 0.5
    assert crossing.at == {"d": pytest.approx(middle)}
    assert crossing.powers == {}
    n = crossing.factor
    assert n * np.log(n) * middle == pytest.approx(1e6, rel=0.05)
    assert " where d = 181, " in crossing.text


@pytest.mark.parametrize(
    ("overhead", "where"), [(1e3, None), (3e5, "below"), (1e7, "inside"), (3e10, "beyond")]
)
def test_it_says_whether_any_measured_cell_is_on_either_side(
    sweep: Sweep, overhead: float, where: str | None
) -> None:
    table = sweep([(1.0, "n^2*d"), (overhead, "1")], cells=CELLS, overhead=0, reading=0.005)
    crossing = found(table, "n^2*d").get(("n^2*d", "1"))
    assert (crossing and crossing.where) == where  # 1e3 is a thousandth of the smallest cell


def test_terms_that_may_be_missing_say_how_often_they_are_there(sweep: Sweep) -> None:
    partly = []
    for seed in range(6):
        table = sweep([(1.0, "n^2*d"), (90.0, "n*d")], cells=CELLS, seed=seed, shared=0.02)
        partly += [one for one in found(table, "n^2*d").values() if one.there < 0.995]
    assert partly
    for one in partly:
        assert one.there >= 0.9
        assert one.low is not None  # as it were where laws without one of the terms counted
        assert one.high is not None
        assert one.text.endswith(f" (both are in {one.there:.0%} of the laws that fit)")


def test_a_power_on_its_own_crosses_nothing(sweep: Sweep) -> None:
    table = sweep([(1.0, "n^2*d")], cells=CELLS, overhead=0, reading=0.005, shared=0)
    assert found(table, "n^2*d") == {}


def test_terms_that_look_the_same_are_one() -> None:
    # Claimed is n²·d, found n·d, which is among its lower-order terms already.
    law = Ensemble(
        names=("n", "d"),
        terms=tuple(parse_monomial(term) for term in ("1", "n*d", "n^2*d")),
        powers=np.tile([[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]], (7, 1, 1)),
        coefficients=np.tile([1e5, 0.25, 0.75], (7, 1)),
        cells=np.array(CELLS, dtype=float),
        last=np.ones(len(CELLS), dtype=bool),
        error=0.01,
        free=19,
    )
    (crossing,) = crossovers(law, confidence=0.95)
    assert (crossing.faster, crossing.slower) == ("n*d", "1")
    assert crossing.factor == crossing.low == crossing.high == pytest.approx(1e5)
    assert crossing.text == (
        "n·d overtakes the constant part at n = 100000·d⁻¹ [100000, 100000], "
        "among the measured sizes"
    )


def test_terms_are_named_by_the_powers_that_were_found(sweep: Sweep) -> None:
    table = sweep([(1.0, "n^1.5*d"), (1e6, "1")], cells=CELLS, overhead=0, reading=0.005, shared=0)
    (pair,) = found(table, "n^2*d")
    power = float(pair[0].removeprefix("n^").removesuffix("*d"))
    assert power == pytest.approx(1.5, abs=0.02)
    assert pair[1] == "1"


def test_beyond_a_jump_only_the_last_regime_counts(sweep: Sweep) -> None:
    table = sweep(
        [(1.0, "n^2*d"), (2e8, "1")],
        overhead=0,
        reading=0.01,
        shared=0,
        factor=lambda n, d: np.where(n * n * d > 2**29, 3.0, 1.0),
    )
    table["time_s"] -= 0.4 * (table["seq_len"] ** 2 * table["d_model"] > 2**29)  # not the overhead
    ensemble = ensemble_of(table, "n^2*d", choosing=True)
    assert not ensemble.last.all()
    crossings: Sequence[Crossover] = crossovers(ensemble, confidence=0.95)
    one = next(c for c in crossings if (c.faster, c.slower) == ("n^2*d", "1"))
    assert one.factor == pytest.approx((2e8 / 3) ** 0.5, rel=0.15)
    assert one.where == "below"
    assert "below the measured sizes of the last regime" in one.text


def test_it_is_json(sweep: Sweep) -> None:
    table = sweep([(4.0, "n^2*d"), (8.0, "n*d^2"), (1e8, "1")], cells=CELLS, overhead=0)
    for one in found(table, "n^2*d + n*d^2").values():
        document = json.loads(json.dumps(asdict(one), allow_nan=False))
        assert document["size"] in ("n", "d")
        assert document["text"] == one.text
