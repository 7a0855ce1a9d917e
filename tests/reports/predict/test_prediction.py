import json
import math
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest

from reports.cells.case_columns import LARGEST_SIZE
from reports.cells.cells import cells_of
from reports.judge.compatible.ensemble import Ensemble, draw
from reports.judge.models.error_scale import Setting
from reports.judge.models.explanations import choose, fit_plain
from reports.laws.grammar import parse, parse_monomial
from reports.predict.prediction import largest, open_size, predict
from reports.predict.questions import PredictionError, parse_budget, parse_sizes
from reports.tables.units import unit_of
from tests.daily import daily

Sweep = Callable[..., pd.DataFrame]
TERMS = [(1.0, "n^2*d"), (300.0, "n*d"), (2e7, "1")]
LAWS = {
    "n^2*d": TERMS,
    "n*log(n)*d": [(30.0, "n*log(n)*d"), (40.0, "n*d"), (5e5, "1")],
    "n^2*d + n*d^2": [(4.0, "n^2*d"), (8.0, "n*d^2"), (90.0, "n*d"), (1e8, "1")],
}
SECONDS = unit_of("time_s")


def setting_of(table: pd.DataFrame, claim: str) -> Setting:
    cells = cells_of(table, {"n": "seq_len", "d": "d_model"}, "time_s")
    names = tuple(name for name in ("n", "d") if cells.distinct(name).size > 1)
    law = parse(claim).only(frozenset(names))
    return Setting(cells=cells, law=law, names=names, confidence=0.95, exact=False)


def ensemble_of(table: pd.DataFrame, claim: str = "n^2*d") -> Ensemble:
    setting = setting_of(table, claim)
    return draw(setting, fit_plain(setting))


@pytest.fixture
def ensemble(sweep: Sweep) -> Ensemble:
    return ensemble_of(sweep(TERMS, overhead=0, seed=3))


@pytest.mark.parametrize("sweeps", daily([24, 60]))
def test_new_cells_far_outside_cost_what_was_predicted(sweep: Sweep, sweeps: int) -> None:
    places = [(8192, 1024), (16384, 512), (32768, 64), (4096, 4096)]
    cells = [(n, d) for n in (128, 256, 512, 1024, 2048, 4096) for d in (64, 128, 256, 512)]
    rng = np.random.default_rng(11)
    held, off = [], []
    for seed in range(sweeps):
        claim = list(LAWS)[seed % 3]
        table = sweep(LAWS[claim], cells=cells, overhead=0, shared=0.02, seed=seed)
        found = ensemble_of(table, claim)
        n, d = places[seed % 4]
        true = sum(c * parse_monomial(t).evaluate({"n": n, "d": d}) for c, t in LAWS[claim])
        errors = rng.normal(0, 0.02, 3)
        cost = 1e-9 * float(true) * np.exp(rng.normal(0, 0.02) + float(np.median(errors)))
        made = predict(found, {"n": n, "d": d}, confidence=0.95)
        half = predict(found, {"n": n, "d": d}, confidence=0.5)
        held.append((made.low <= cost <= made.high, half.low <= cost <= half.high))
        off.append(abs(math.log(cost / made.estimate)))
    covered, halved = np.mean(held, axis=0)
    # 95 and 50 in 100 are promised; 60 sweeps stray from that by 3 and 6.5 in 100.
    assert covered >= 0.88
    assert 0.3 <= halved <= 0.75
    assert np.median(off) < 0.06


def test_the_interval_widens_the_further_it_extrapolates(ensemble: Ensemble) -> None:
    widths = []
    for n in (8192, 32768, 131072, 2**24, 2**30):
        made = predict(ensemble, {"n": n, "d": 1024}, confidence=0.95)
        widths.append(made.high / made.low)
    assert widths == sorted(widths)
    assert math.log(widths[-1]) > 3 * math.log(widths[0])


def test_among_the_cells_the_interval_is_the_error_of_one_cell(ensemble: Ensemble) -> None:
    made = predict(ensemble, {"n": 1021, "d": 251}, confidence=0.95)
    half = math.log(made.high / made.low) / 2
    assert 1.96 * ensemble.error < half < 1.3 * 1.96 * ensemble.error
    wider = predict(ensemble, {"n": 1021, "d": 251}, confidence=0.99)
    assert wider.low < made.low < made.estimate == wider.estimate < made.high < wider.high


def test_it_says_how_far_outside_each_size_lies(ensemble: Ensemble) -> None:
    made = predict(ensemble, {"n": 65536, "d": 32}, confidence=0.95, unit=SECONDS)
    assert made.beyond == {"n": 8.0, "d": 2.0}
    assert "n is 8 times the largest measured" in made.text
    assert "the smallest measured d is 2 times as large" in made.text
    assert "assumes that the law goes on so far" in made.text
    assert made.text.startswith("n = 65536, d = 32 would cost about ")
    assert " min (95 % of new cells: " in made.text
    inside = predict(ensemble, {"n": 4099, "d": 67}, confidence=0.95)
    assert inside.beyond == {}
    assert inside.text.endswith("this lies inside the measured range")


def test_sizes_that_were_measured_but_never_together_are_told(sweep: Sweep) -> None:
    cells = [(2**a, 2**b) for a in range(7, 14) for b in range(6, 11) if 2 * a + b <= 32]
    found = ensemble_of(sweep([(1.0, "n^2*d")], cells=cells, overhead=0))
    made = predict(found, {"n": 8192, "d": 1024}, confidence=0.95)
    assert made.beyond == {}
    assert "no measured cell was so large in every size, the nearest by a factor 4," in made.text


def test_sizes_before_a_jump_are_told_to_follow_another_law(sweep: Sweep) -> None:
    setting = setting_of(
        sweep(
            [(1.0, "n^2*d")],
            overhead=0,
            reading=0.01,
            shared=0,
            factor=lambda n, d: np.where(n * n * d > 2**27, 3.0, 1.0),
        ),
        "n^2*d",
    )
    found = draw(setting, choose(setting))
    assert "before a jump" in predict(found, {"n": 256, "d": 128}, confidence=0.95).text
    assert "before a jump" not in predict(found, {"n": 8192, "d": 512}, confidence=0.95).text


@pytest.mark.parametrize("n", [131, 5003, 65537, 10**6 + 3])
@pytest.mark.parametrize("end", ["low", "estimate", "high"])
def test_a_budget_is_the_inverse_of_a_prediction(ensemble: Ensemble, n: int, end: str) -> None:
    made = predict(ensemble, {"n": n, "d": 509}, confidence=0.9)
    budget = getattr(made, end) * (1 + 1e-6)
    found = largest(ensemble, budget, {"d": 509}, "n", confidence=0.9)
    assert found.low < (found.estimate or 0) < (found.high or 0)
    # What may cost as little as the budget is the most that the budget may allow.
    opposite = {"low": found.high, "estimate": found.estimate, "high": found.low}[end]
    assert opposite == n


def test_a_budget_says_what_it_assumes(ensemble: Ensemble) -> None:
    found = largest(ensemble, 7200.0, {"d": 1024}, "n", confidence=0.95, unit=SECONDS)
    assert found.estimate is not None
    assert found.beyond == {"n": pytest.approx(found.estimate / 8192)}
    assert found.text.startswith(f"n up to about {found.estimate:,} at d = 1024 stays within 2 h")
    assert "assumes that the law goes on so far" in found.text
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["at"] == {"d": 1024.0}


def test_a_budget_below_the_overhead_allows_nothing(ensemble: Ensemble) -> None:
    found = largest(ensemble, 1e-3, {"d": 1024}, "n", confidence=0.95, unit=SECONDS)
    assert (found.estimate, found.low, found.high) == (None, 0, 0)
    assert found.text == found.reason == "even n = 1 at d = 1024 exceeds 1 ms"


def test_a_cost_that_does_not_grow_bounds_no_size(sweep: Sweep) -> None:
    table = sweep(
        [(1e6, "d")], overhead=0, cells=[(n, d) for n in (3, 5, 7, 11, 13) for d in range(1, 9)]
    )
    found = largest(ensemble_of(table, "d"), 0.1, {"d": 3}, "n", confidence=0.95)
    assert found.estimate is None
    assert found.high is None
    assert found.reason == "0.1 at d = 3 is enough even for n = 2^60"
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_size_that_stood_still_may_be_named_but_not_changed(sweep: Sweep) -> None:
    found = ensemble_of(sweep(TERMS, cells=[(n, 67) for n in (131, 257, 521, 1031, 2053, 4099)]))
    assert predict(found, {"n": 8209, "d": 67}, confidence=0.95).sizes == {"n": 8209}
    with pytest.raises(
        PredictionError, match="d was 67 in every cell, so nothing is known of d = 71"
    ):
        predict(found, {"n": 8209, "d": 71}, confidence=0.95)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"n": 8209}, "depends on d, got n; give d=… as well"),
        (
            {"n": 8209, "d": 67, "h": 3},
            "'h' is no size that the fitted law depends on; those are n, d",
        ),
        ({"n": 0, "d": 67}, "n must be positive and at most 2\\^60, got 0"),
        ({"n": math.nan, "d": 67}, "n must be positive"),
        ({"n": 2.0**61, "d": 67}, "n must be positive and at most 2\\^60"),
    ],
)
def test_sizes_that_cannot_be_predicted_are_one_line(
    ensemble: Ensemble, sizes: Mapping[str, float], message: str
) -> None:
    with pytest.raises(PredictionError, match=message):
        predict(ensemble, sizes, confidence=0.95)


def test_a_logarithm_needs_sizes_of_one_or_more(sweep: Sweep) -> None:
    found = ensemble_of(sweep(LAWS["n*log(n)*d"], overhead=0), "n*log(n)*d")
    assert predict(found, {"n": 1, "d": 64}, confidence=0.95).estimate > 0
    with pytest.raises(PredictionError, match=r"log\(n\) needs n of at least 1, got 0.5"):
        predict(found, {"n": 0.5, "d": 64}, confidence=0.95)


def test_the_largest_sizes_there_are_stay_finite(ensemble: Ensemble) -> None:
    made = predict(ensemble, {"n": LARGEST_SIZE, "d": LARGEST_SIZE}, confidence=0.95)
    assert math.isfinite(made.high)
    json.dumps(made.to_dict(), allow_nan=False)


def test_a_budget_bounds_the_first_size_that_is_open(ensemble: Ensemble) -> None:
    assert open_size(ensemble, {}) == ("n", {"d": 1024.0})
    assert open_size(ensemble, {"n": 131.0}) == ("d", {"n": 131.0})
    with pytest.raises(PredictionError, match="n, d are all given; leave one out"):
        open_size(ensemble, {"n": 131.0, "d": 67.0})


def test_sizes_and_budgets_are_read() -> None:
    assert parse_sizes(" n = 65536, d=1e3 ", ("n", "d")) == {"n": 65536.0, "d": 1000.0}
    budget = parse_budget("24GiB,d=1024", ("n", "d"))
    assert budget.quantity.value == 24 * 2**30
    assert budget.at == {"d": 1024.0}
    assert parse_budget("90 s", ("n",)).at == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected sizes such as n=65536,d=1024, got ''"),
        ("n=131,", "expected sizes such as n=65536,d=1024, got ''"),
        ("131", "expected sizes such as n=65536,d=1024, got '131'"),
        ("m=131", "'m' is no size of this fit; its sizes are n, d"),
        ("n=131,n=137", "n is given twice in 'n=131,n=137'; give each size once"),
        ("n=64 kB", "n must be a number such as 65536 or 64K, got '64 kB'"),
        ("n=-3", "n must be positive and at most 2^60, got -3; correct it"),
        ("n=0", "n must be positive and at most 2^60, got 0; correct it"),
        ("n=1e999", "n must be positive and at most 2^60, got inf; correct it"),
        ("n=1\nx", "n must be a number such as 65536 or 64K, got '1 x'"),
    ],
)
def test_sizes_that_cannot_be_read_are_one_line(text: str, message: str) -> None:
    with pytest.raises(PredictionError) as caught:
        parse_sizes(text, ("n", "d"))
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["", "much", "-3GiB", "24GiB,", "1,5GiB", "24GiB,h=3", "0s"])
def test_budgets_that_cannot_be_read_are_one_line(text: str) -> None:
    with pytest.raises(PredictionError) as caught:
        parse_budget(text, ("n", "d"))
    assert "\n" not in str(caught.value)
