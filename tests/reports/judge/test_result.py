import json
import math
import pickle
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from reports.judge.fit import fit as fit_by_both
from reports.judge.result import Fit, Regime, Term, Verdict
from reports.text.interval import Interval
from reports.verdicts.reasons import remark
from tests.daily import daily
from tests.reports.judge.once import fit

Sweep = Callable[..., pd.DataFrame]

SDPA = [(1.0, "n^2*d"), (3.0, "n^2"), (20.0, "n*d")]
CELLS = [(n, d) for n in (128, 256, 512, 1024, 2048) for d in (64, 128, 256, 512)]


def document_of(found: Fit) -> dict[str, object]:
    document = found.to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    return document


def test_predict_sums_the_terms_whatever_their_exponents() -> None:
    fit = Fit(
        group={},
        claim="n^2*d",
        verdict=Verdict.INCONCLUSIVE,
        terms=(
            Term(term="n^1.5*d", coefficient=2.0, share_at_largest=0.9),
            Term(term="1", coefficient=3.0, share_at_largest=0.1),
        ),
    )
    np.testing.assert_allclose(fit.predict({"n": [4.0, 9.0], "d": [5.0, 7.0]}), [83.0, 381.0])


def test_predict_without_terms_says_why_not() -> None:
    fit = Fit(group={}, claim="n", verdict=Verdict.INCONCLUSIVE)
    with pytest.raises(ValueError, match="nothing was fitted"):
        fit.predict({"n": [1.0]})


def test_a_fit_is_json_without_nan() -> None:
    fit = Fit(
        group={"implementation": "sdpa"},
        claim="n^2*d",
        verdict=Verdict.REFUTED,
        reasons=("claimed_term_absent",),
        exponents={"n": Interval(estimate=math.nan, low=None, high=math.inf)},
        regimes=(Regime(name="regime 1", start=128, end=512, evidence="few cells"),),
        rms_residual=math.nan,
    )
    document = json.loads(json.dumps(fit.to_dict(), allow_nan=False))
    assert document["exponents"]["n"] == {"estimate": None, "low": None, "high": None}
    assert document["regimes"] == [
        {"name": "regime 1", "from": 128, "to": 512, "evidence": "few cells"}
    ]
    assert document["rms_residual"] is None


@pytest.mark.parametrize("rounds", [1, 3])
def test_a_document_has_all_that_is_known_of_a_fit(sweep: Sweep, rounds: int) -> None:
    found = fit(sweep(SDPA, cells=CELLS, rounds=rounds), group={"implementation": "sdpa"})
    document = document_of(found)
    assert document["group"] == {"implementation": "sdpa"}
    assert (document["value"], document["cells"]) == ("time_s", 20)
    assert document["sizes"] == {"n": "seq_len", "d": "d_model"}
    assert document["readings"] == 20 * rounds
    scatter = document["scatter"]
    assert isinstance(scatter, dict)
    assert (scatter["reading"] is None) is (rounds == 1)
    assert scatter["between_workers"] is None
    assert document["overhead_share_at_largest"] == found.overhead


def test_a_document_of_what_could_not_be_judged_has_the_same_keys(sweep: Sweep) -> None:
    judged = document_of(fit(sweep(SDPA, cells=CELLS)))
    assert list(document_of(fit(sweep(SDPA, cells=CELLS[:3])))) == list(judged)


def test_a_fit_that_was_pickled_still_predicts(sweep: Sweep) -> None:
    found = fit(sweep([(1.0, "n^2*d")], cells=CELLS, overhead=100.0))
    again = pickle.loads(pickle.dumps(found))
    assert again == found
    assert again.crossovers == found.crossovers
    assert len(found.crossovers) > 0
    at = {"n": 65536, "d": 1024}
    np.testing.assert_array_equal(again.ensemble.costs(at), found.ensemble.costs(at))


def test_readings_are_counted_and_their_scatter_is_told_in_parts(sweep: Sweep) -> None:
    table = sweep(SDPA, rounds=5, reading=0.02, shared=0.0)
    table["time_s"] *= np.array([1.0, 1.04, 0.97, 1.02, 0.99])[table["round"]]
    table.loc[[3, 40, 41], "time_s"] *= 3
    found = fit(table)
    assert (found.cells, found.readings, found.set_aside) == (35, 175, 3)
    assert found.scatter.reading == pytest.approx(0.02, rel=0.15)
    assert found.scatter.rounds == pytest.approx(
        np.std([1, 1.04, 0.97, 1.02, 0.99], ddof=1), rel=0.2
    )
    assert found.scatter.workers is None


def test_readings_of_sizes_that_are_left_out_are_not_counted(sweep: Sweep) -> None:
    lengths, widths = [64 * 2**k for k in range(8)], (64, 128, 256, 512, 1024)
    cells = [(n, d) for n in lengths for d in widths]
    full = {"overhead": 0.02, "factor": lambda n, _: np.minimum(n, 512) / n}
    table = sweep([(1.0, "n^2*d")], cells=cells, rounds=4, **full)
    table.loc[(table["seq_len"] < 512) & (table["round"] == 0), "time_s"] *= 2
    found = fit(table, claim="n*d")
    assert found.ranges["n"] == (512, 8192)
    assert (found.cells, found.readings, found.set_aside) == (25, 100, 0)


@pytest.mark.parametrize("seed", daily(range(3)))
def test_outliers_are_counted_and_move_no_exponent(sweep: Sweep, seed: int) -> None:
    rng = np.random.default_rng(seed)
    clean = sweep(SDPA, seed=seed, rounds=5)
    hit = rng.random(len(clean)) < 0.05
    disturbed = clean.assign(
        time_s=clean["time_s"] * np.where(hit, rng.uniform(1.3, 4, len(clean)), 1)
    )
    before, after = fit(clean), fit(disturbed)
    assert after.verdict is before.verdict is Verdict.CONFIRMED
    assert (before.set_aside, after.set_aside) == (0, hit.sum())
    assert after.readings == 175
    for name in ("n", "d"):
        estimates = [found.exponents[name].estimate for found in (before, after)]
        assert estimates[0] == pytest.approx(estimates[1], abs=0.01)


def test_readings_whose_minimum_tells_another_story_are_a_dispute() -> None:
    """Four quick readings of nine grow as n²·d, the others, and so the median, faster."""
    rng = np.random.default_rng(0)
    n, d = np.array(
        [(n, d) for n in (128, 256, 512, 1024, 2048, 4096, 8192) for d in (64, 256, 1024, 4096)]
    ).T
    readings = [
        n**2.0
        * d
        * 1e-9
        * (1.0 if visit < 4 else (n / 128) ** 0.13)
        * rng.lognormal(0, 0.003, n.size)
        for visit in range(9)
    ]
    table = pd.concat([pd.DataFrame({"seq_len": n, "d_model": d, "time_s": t}) for t in readings])
    usual, quick = fit_by_both(table), fit_by_both(table, statistic="min")
    # What medians refute and minima confirm is left open.
    assert (usual.statistic, usual.verdict) == ("median", Verdict.INCONCLUSIVE)
    assert (quick.statistic, quick.verdict) == ("min", Verdict.CONFIRMED)
    assert (usual.other_verdict, quick.other_verdict) == (quick.verdict, Verdict.REFUTED)
    assert remark(usual).endswith("By the minimum of readings it would be confirmed.")
    assert remark(quick).endswith("By the median of readings it would be refuted.")
    assert document_of(usual)["other_verdict"] == "confirmed"
    assert fit(table, other=False).other_verdict is Verdict.CONFIRMED  # asked before refuting
    single = table.groupby(["seq_len", "d_model"], as_index=False).min()
    assert fit_by_both(single).other_verdict is None


def test_readings_that_agree_are_no_dispute(sweep: Sweep) -> None:
    found = fit_by_both(sweep(SDPA))
    assert found.other_verdict is None
    assert "readings" not in remark(found)


def test_the_minimum_is_the_quickest_reading(sweep: Sweep) -> None:
    table = sweep([(1.0, "n^2*d")], cells=CELLS, overhead=0.0, reading=0.0, shared=0.0)
    table["time_s"] *= np.array([1.06, 1.0, 1.03])[table["round"]]
    terms = {name: fit(table, statistic=name).terms[0] for name in ("min", "median")}
    assert {term.term for term in terms.values()} == {"n^2*d"}
    assert terms["min"].coefficient == pytest.approx(1.0e-9, rel=1e-3)
    assert terms["median"].coefficient == pytest.approx(1.03e-9, rel=1e-3)


def test_terms_add_up_to_the_fitted_cost_and_to_one(sweep: Sweep) -> None:
    table = sweep([(1.0, "n^1.7*d")], reading=0.0, shared=0.0)
    found = fit(table)
    assert sum(term.share_at_largest for term in found.terms) == pytest.approx(1)
    predicted = found.predict({"n": table["seq_len"], "d": table["d_model"]})
    np.testing.assert_allclose(predicted, table["time_s"], rtol=0.01)


def test_the_unit_of_the_cost_changes_no_verdict(sweep: Sweep) -> None:
    table = sweep(SDPA, cells=CELLS)
    found = fit(table)
    scaled = fit(table.assign(time_s=table["time_s"] * 1e9))
    assert scaled.verdict is found.verdict
    assert scaled.exponents["n"].estimate == pytest.approx(found.exponents["n"].estimate, abs=0.01)


def test_the_order_of_rows_changes_nothing(sweep: Sweep) -> None:
    table = sweep(SDPA, cells=CELLS)
    shuffled = table.sample(frac=1, random_state=3)
    assert fit(shuffled).to_dict() == fit(table).to_dict()


def test_one_leading_term_has_every_exponent_and_its_share(sweep: Sweep) -> None:
    found = fit(sweep(SDPA, overhead=0.5, reading=0.01))
    (only,) = found.leading
    assert only.term == "n^2*d"
    assert only.exponents == found.exponents
    true = 8192**2 * 1024 / (8192**2 * 1024 + 3 * 8192**2 + 20 * 8192 * 1024)
    assert only.share == pytest.approx(true, abs=0.02)
    assert only.share <= only.most <= 1
    assert found.overhead == pytest.approx(0, abs=0.01)


def test_two_leading_terms_have_the_exponents_that_they_carry(sweep: Sweep) -> None:
    cells = [(n, d) for n in (128, 256, 512, 1024, 2048, 4096) for d in (64, 128, 256, 512, 2048)]
    terms = [(4.0, "n^2*d"), (8.0, "n*d^2")]
    found = fit(sweep(terms, cells=cells, reading=0.005, shared=0.003), claim="n^2*d + n*d^2")
    first, second = found.leading
    assert (first.term, second.term) == ("n^2*d", "n*d^2")
    assert first.exponents == {"n": found.exponents["n"], "d": None}
    assert second.exponents == {"n": None, "d": found.exponents["d"]}
    assert first.share == pytest.approx(0.5, abs=0.05)
    assert second.share == pytest.approx(0.5, abs=0.05)
    assert first.most == pytest.approx(4096 / (4096 + 2 * 64), abs=0.05)
    assert second.most == pytest.approx(2 * 2048 / (128 + 2 * 2048), abs=0.05)


def test_a_size_of_few_values_over_a_long_range_has_too_few_of_them_and_no_short_range(
    sweep: Sweep,
) -> None:
    table = sweep([(1.0, "n^2*d")])
    found = fit(table[table["d_model"].isin([64, 1024])])
    assert "too_few_sizes" in found.reasons
    assert "range_too_short" not in found.reasons


def test_overhead_that_is_little_at_the_largest_size_is_not_said_to_dominate() -> None:
    rng = np.random.default_rng(5)
    rows = [
        {"n": 2.0**k, "time_s": (1 + 0.1 * 4.0 ** (k - 10)) * np.exp(rng.normal(0, 0.05))}
        for k in range(6, 15)
        for _ in range(3)
    ]
    found = fit(pd.DataFrame(rows), sizes={"n": "n"}, claim="n^2")
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.overhead is not None
    assert found.overhead < 0.05
    assert found.reasons == ("models_undecided",)
