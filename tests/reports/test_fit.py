import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.fit import ClaimWarning, fit, fit_groups
from reports.judgement import Verdict
from reports.laws import LawError, parse
from reports.tables import TableError

Sweep = Callable[..., pd.DataFrame]

SDPA = [(1.0, "n^2*d"), (3.0, "n^2"), (20.0, "n*d")]
LENGTHS = [(n, 64) for n in (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)]


def test_fit_recovers_exponent_two_despite_constant_overhead(sweep: Sweep) -> None:
    found = fit(sweep([(1.0, "n^2*d")], overhead=0.3))
    assert found.verdict is Verdict.CONFIRMED
    assert found.reasons == ()
    assert found.exponents["n"].estimate == pytest.approx(2, abs=0.05)
    assert found.exponents["d"].estimate == pytest.approx(1, abs=0.05)
    assert found.cells == 35
    assert found.ranges == {"n": (128, 8192), "d": (64, 1024)}


@pytest.mark.parametrize("seed", range(8))
def test_timings_like_those_of_sdpa_confirm_n_squared_d_closely(sweep: Sweep, seed: int) -> None:
    cells = [(n, d) for n in (128, 256, 512, 1024, 2048, 4096) for d in (64, 128, 256, 512, 1024)]
    found = fit(sweep(SDPA, seed=seed, cells=cells, overhead=0.2, shared=0.012))
    assert found.verdict is Verdict.CONFIRMED
    assert found.exponents["n"].estimate == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize(
    ("terms", "claim", "reason"),
    [
        ([(1.0, "n*d^2")], "n^2*d", "exponent_outside_tolerance"),
        ([(1.0, "n^1.5*d")], "n^2*d", "exponent_outside_tolerance"),
        ([(1.0, "n^2*d^2")], "n^2*d", "exponent_outside_tolerance"),
        ([(1.0, "n^3*d")], "n^2*d", "exponent_outside_tolerance"),
        ([(1.0, "n^2*d")], "n*d", "exponent_outside_tolerance"),
        ([(1.0, "n*d")], "n^2*d", "claimed_term_absent"),
        ([(1.0, "n^2")], "n^2*d", "claimed_term_absent"),
        ([(1.0, "n^2*d"), (2.0, "n*d^2")], "n^2*d", "faster_growing_term"),
        ([(1.0, "n^2*d"), (2.0, "n*d^2")], "n*d^2", "faster_growing_term"),
        ([(1.0, "n^2*d")], "n^2*d + n*d^2", "claimed_term_absent"),
        ([(1.0, "n^2*d")], "1", "faster_growing_term"),
    ],
)
def test_a_wrong_law_is_refuted_for_the_right_reason(
    sweep: Sweep, terms: list[tuple[float, str]], claim: str, reason: str
) -> None:
    found = fit(sweep(terms, reading=0.01), claim=claim)
    assert found.verdict is Verdict.REFUTED
    assert reason in found.reasons


@pytest.mark.parametrize(
    ("terms", "claim"),
    [
        ([(1.0, "n*d^2")], "n*d^2"),
        ([(1.0, "n*d")], "n*d"),
        ([(1.0, "n^2")], "n^2"),
        ([(1.0, "n^1.5*d")], "n^1.5*d"),
        ([(1.0, "n^2*d^2")], "n^2*d^2"),
        ([(1.0, "1")], "1"),
        ([(1.0, "n^2*log(n)*d")], "n^2*log(n)*d"),
    ],
)
def test_a_true_law_is_confirmed(sweep: Sweep, terms: list[tuple[float, str]], claim: str) -> None:
    found = fit(sweep(terms, reading=0.01, shared=0.005), claim=claim)
    assert found.verdict is Verdict.CONFIRMED


def test_a_law_of_two_leading_terms_gives_each_variable_its_own_leading_power(
    sweep: Sweep,
) -> None:
    cells = [(n, d) for n in (128, 256, 512, 1024, 2048, 4096) for d in (64, 128, 256, 512, 2048)]
    layer = sweep([(4.0, "n^2*d"), (8.0, "n*d^2")], cells=cells, reading=0.005, shared=0.003)
    found = fit(layer, claim="n^2*d + n*d^2")
    assert found.verdict is Verdict.CONFIRMED
    assert found.exponents["n"].estimate == pytest.approx(2, abs=0.05)
    assert found.exponents["d"].estimate == pytest.approx(2, abs=0.05)
    assert {"n^2*d", "n*d^2"} <= {term.term for term in found.terms}


def test_where_the_claimed_term_is_absent_the_growth_that_is_there_is_stated(
    sweep: Sweep,
) -> None:
    found = fit(sweep([(1.0, "n*d")], reading=0.01), claim="n^2*d")
    assert found.exponents["n"].estimate == pytest.approx(1, abs=0.05)
    assert found.exponents["d"].estimate == pytest.approx(1, abs=0.05)


def test_a_size_that_varies_unclaimed_is_tested_against_nought(sweep: Sweep) -> None:
    found = fit(sweep(SDPA), claim="n^2")
    assert found.verdict is Verdict.REFUTED
    assert found.exponents["d"].estimate == pytest.approx(1, abs=0.05)


def test_ten_lengths_alone_judge_a_law_in_n(sweep: Sweep) -> None:
    table = sweep(SDPA, cells=LENGTHS)
    assert fit(table, claim="n^2").verdict is Verdict.CONFIRMED
    assert fit(table, claim="n").verdict is Verdict.REFUTED


def test_a_claimed_size_that_stands_still_cannot_be_confirmed_but_the_other_is_stated(
    sweep: Sweep,
) -> None:
    found = fit(sweep(SDPA, cells=LENGTHS), claim="n^2*d")
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reasons == ("too_few_sizes",)
    assert found.exponents["n"].estimate == pytest.approx(2, abs=0.05)
    assert found.exponents["d"].estimate is None


def test_a_size_that_stands_still_does_not_save_a_wrong_exponent_of_the_other(
    sweep: Sweep,
) -> None:
    found = fit(sweep([(1.0, "n^1.5*d")], cells=LENGTHS, reading=0.01), claim="n^2*d")
    assert found.verdict is Verdict.REFUTED


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ([(n, 64) for n in (128, 256, 512)], "too_few_sizes"),
        ([(n, d) for n in (128, 512, 2048, 8192) for d in (64, 96, 128, 192)], "range_too_short"),
        ([(2**k, 2**k // 2) for k in range(5, 18)], "sizes_collinear"),
    ],
)
def test_sizes_that_cannot_tell_are_inconclusive_and_say_so(
    sweep: Sweep, cells: list[tuple[int, int]], reason: str
) -> None:
    found = fit(sweep(SDPA, cells=cells))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert reason in found.reasons


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("overhead", [1e4, 1e7])
def test_all_overhead_is_inconclusive_because_overhead_dominates(
    sweep: Sweep, seed: int, overhead: float
) -> None:
    found = fit(sweep([(1.0, "n^2*d")], seed=seed, overhead=overhead))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reasons[0] == "overhead_dominates"


def test_scatter_beyond_use_is_inconclusive_because_of_noise(sweep: Sweep) -> None:
    found = fit(sweep(SDPA, reading=0.6))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "noisy_measurements" in found.reasons


def test_cells_that_ran_out_of_memory_are_mentioned_and_the_rest_is_judged(sweep: Sweep) -> None:
    table = sweep(SDPA)
    largest = (table["seq_len"] == 8192) & (table["d_model"] == 1024)
    table.loc[largest, ["status", "time_s"]] = ["out_of_memory", np.nan]
    found = fit(table)
    assert found.verdict is Verdict.CONFIRMED
    assert found.reasons == ("censored_cells",)
    assert found.cells == 34


def test_terms_add_up_to_the_fitted_cost_and_to_one(sweep: Sweep) -> None:
    table = sweep([(1.0, "n^1.7*d")], reading=0.0, shared=0.0)
    found = fit(table)
    assert sum(term.share_at_largest for term in found.terms) == pytest.approx(1)
    predicted = found.predict({"n": table["seq_len"], "d": table["d_model"]})
    np.testing.assert_allclose(predicted, table["time_s"], rtol=0.01)


def test_the_unit_of_the_cost_changes_no_verdict(sweep: Sweep) -> None:
    table = sweep(SDPA)
    found = fit(table)
    scaled = fit(table.assign(time_s=table["time_s"] * 1e9))
    assert scaled.verdict is found.verdict
    assert scaled.exponents["n"].estimate == pytest.approx(found.exponents["n"].estimate, abs=0.01)


def test_the_order_of_rows_changes_nothing(sweep: Sweep) -> None:
    table = sweep(SDPA)
    shuffled = table.sample(frac=1, random_state=3)
    assert fit(shuffled).to_dict() == fit(table).to_dict()


def test_counted_workspace_is_judged_exactly() -> None:
    cells = [(n, h) for n in (128, 256, 512, 1024, 2048) for h in (1, 2, 4, 8, 16)]
    table = pd.DataFrame(
        [
            {"seq_len": n, "num_heads": h, "d_model": 64 * h, "workspace_bytes": 8 * n * n * h + 64}
            for n, h in cells
        ]
    )
    found = fit(table, value="workspace_bytes", claim="n^2*h")
    assert found.verdict is Verdict.CONFIRMED
    assert found.exponents["h"].estimate == pytest.approx(1, abs=0.01)
    linear = fit(table, value="workspace_bytes", claim="n*h")
    assert linear.verdict is Verdict.REFUTED


def test_a_workspace_that_stops_growing_at_a_block_is_constant_from_there_on() -> None:
    table = pd.DataFrame(
        [
            {"seq_len": n, "d_model": d, "workspace_bytes": 4 * min(n, 256) ** 2}
            for n in (64, 128, 256, 512, 1024, 2048, 4096)
            for d in (64, 128, 256, 512)
        ]
    )
    found = fit(table, value="workspace_bytes", claim="1")
    assert found.verdict is Verdict.CONFIRMED
    assert "regime_change" in found.reasons
    assert [(r.name, r.start, r.end) for r in found.regimes] == [
        ("regime 1", 64, 128),
        ("regime 2", 256, 4096),
    ]
    assert found.ranges["n"] == (256, 4096)


def test_three_sizes_are_judged_together(sweep: Sweep) -> None:
    parts = []
    for batch in (1, 2, 4, 8):
        cells = [(n, d) for n in (128, 256, 512, 1024, 2048) for d in (64, 128, 256, 512)]
        part = sweep([(float(batch), "n^2*d")], seed=batch, cells=cells, overhead=0.01)
        parts.append(part.assign(batch=batch))
    sizes = {"n": "seq_len", "d": "d_model", "b": "batch"}
    found = fit(pd.concat(parts), sizes=sizes, claim="b*n^2*d")
    assert found.verdict is Verdict.CONFIRMED
    assert found.exponents["b"].estimate == pytest.approx(1, abs=0.05)


def test_a_fit_is_json_without_nan(sweep: Sweep) -> None:
    for table in (sweep(SDPA), sweep(SDPA, cells=LENGTHS[:2]), sweep(SDPA, rounds=1)):
        document = fit(table).to_dict()
        assert json.loads(json.dumps(document, allow_nan=False)) == document


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"confidence": 95}, "confidence must be"),
        ({"tolerance": 0.0}, "tolerance must lie"),
        ({"value": "elapsed"}, 'no column "elapsed"'),
        ({"claim": "n^2*w", "sizes": {"n": "seq_len", "w": "window"}}, 'no column "window"'),
        ({"claim": "n^2*h"}, 'no column "num_heads"'),
    ],
)
def test_bad_requests_are_one_clear_line(
    sweep: Sweep, arguments: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ValueError, match=expected) as refused:
        fit(sweep(SDPA), **arguments)
    assert "\n" not in str(refused.value)


def test_a_claim_that_is_no_law_shows_where(sweep: Sweep) -> None:
    with pytest.raises(LawError, match="column 4"):
        fit(sweep(SDPA), claim="n^2@d")


def test_every_group_is_judged_by_the_claim_that_it_declares(sweep: Sweep) -> None:
    table = pd.concat(
        [
            sweep(SDPA, implementation="sdpa", claim="n^2*d", workspace_claim="n"),
            sweep([(1.0, "n*d")], implementation="linear", claim="n*d", workspace_claim="n"),
        ]
    )
    found = fit_groups(table)
    assert [f.group for f in found] == [{"implementation": "sdpa"}, {"implementation": "linear"}]
    assert [f.claim for f in found] == ["n^2*d", "n*d"]
    assert {f.verdict for f in found} == {Verdict.CONFIRMED}
    assert {f.claim for f in fit_groups(table, claim="n^3")} == {"n^3"}


def test_workspace_is_judged_by_the_claim_about_workspace(sweep: Sweep) -> None:
    table = sweep(SDPA, implementation="sdpa", claim="n^2*d", workspace_claim="n*d")
    table["workspace_bytes"] = table["seq_len"] * table["d_model"] * 4
    (found,) = fit_groups(table, value="workspace_bytes")
    assert (found.claim, found.verdict) == ("n*d", Verdict.CONFIRMED)


@pytest.mark.parametrize(
    ("status", "reason"),
    [("out_of_memory", "censored_cells"), ("unsupported", "censored_cells")],
)
def test_a_group_without_any_measurement_is_inconclusive_and_says_why(
    sweep: Sweep, status: str, reason: str
) -> None:
    table = pd.concat(
        [
            sweep(SDPA, implementation="sdpa"),
            pd.DataFrame(
                [{"implementation": "cudnn", "seq_len": 128, "d_model": 64, "status": status}]
            ),
        ]
    )
    found = fit_groups(table)[1]
    assert (found.verdict, found.reasons[0]) == (Verdict.INCONCLUSIVE, reason)
    assert found.cells == 0


def test_two_claims_in_one_group_are_refused(sweep: Sweep) -> None:
    table = pd.concat([sweep(SDPA, claim="n^2*d"), sweep(SDPA, claim="n*d")])
    with pytest.raises(TableError, match="declares 2 claims"):
        fit_groups(table)


def test_a_table_of_lengths_alone_needs_no_d_column() -> None:
    table = pd.DataFrame({"length": [2**k for k in range(5, 15)]})
    table["elapsed"] = 3e-9 * table["length"] ** 2.0 + 1e-6
    (found,) = fit_groups(table, sizes={"n": "length"}, value="elapsed", claim="n^2")
    assert found.verdict is Verdict.CONFIRMED


def test_a_constant_in_a_declared_claim_is_no_size(sweep: Sweep) -> None:
    table = pd.concat(
        [
            sweep([(1.0, "n*d")], implementation="window", claim="n*w*d"),
            sweep(SDPA, implementation="sdpa", claim="n^2*d"),
        ]
    )
    found = fit_groups(table)
    assert [f.claim for f in found] == ["n*w*d", "n^2*d"]
    assert {f.verdict for f in found} == {Verdict.CONFIRMED}
    assert set(found[0].exponents) == {"n", "d"}
    with pytest.raises(LawError, match='unknown size "w"'):
        fit_groups(table, claim="n*w*d")


@pytest.mark.parametrize(
    ("claim", "warning", "reasons"),
    [
        ("n^2@d", "odd is not judged on time_s: unexpected", ()),
        ("n^2*h", 'needs h, but there is no column "num_heads"', ("too_few_sizes",)),
    ],
)
def test_a_declared_claim_that_cannot_be_judged_leaves_the_other_groups_alone(
    sweep: Sweep, claim: str, warning: str, reasons: tuple[str, ...]
) -> None:
    table = pd.concat(
        [
            sweep(SDPA, implementation="odd", claim=claim),
            sweep(SDPA, implementation="sdpa", claim="n^2*d"),
        ]
    )
    with pytest.warns(ClaimWarning, match=warning):
        odd, sdpa = fit_groups(table)
    assert (odd.claim, odd.verdict, odd.reasons) == (claim, Verdict.INCONCLUSIVE, reasons)
    assert odd.cells == 35
    assert sdpa.verdict is Verdict.CONFIRMED


@pytest.mark.parametrize("term", ["n^4.5*d", "n^2*d^4", "n^7*d"])
def test_growth_far_steeper_than_the_claim_is_refuted_with_its_exponent(
    sweep: Sweep, term: str
) -> None:
    found = fit(sweep([(1.0, term)]), claim="n^2*d")
    assert (found.verdict, found.reasons) == (Verdict.REFUTED, ("exponent_outside_tolerance",))
    for name in ("n", "d"):
        true = float(parse(term).terms[0].power(name))
        assert found.exponents[name].estimate == pytest.approx(true, abs=0.05)


@pytest.mark.parametrize(
    "blocks",
    [
        {32: 25_088, 64: 33_280, 128: 49_664, 256: 164_864},
        {32: 20_320, 64: 20_640, 128: 27_664, 256: 180_480},
        {32: 20_320, 64: 20_640, 128: 27_664, 256: 451_200},
    ],
)
def test_a_jump_at_the_last_sizes_is_not_taken_for_steep_growth(blocks: dict[int, int]) -> None:
    table = pd.DataFrame(
        [
            {"seq_len": n, "d_model": d, "workspace_bytes": held + n * d // 16}
            for n, held in blocks.items()
            for d in (64, 128, 256, 512)
        ]
    )
    found = fit(table, value="workspace_bytes", claim="n*d")
    assert found.verdict is Verdict.INCONCLUSIVE
