from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.judge.judge import judge
from reports.judge.result import Verdict
from reports.laws.grammar import LawError, parse, parse_monomial
from tests.daily import daily
from tests.reports.judge.once import fit

Sweep = Callable[..., pd.DataFrame]

SDPA = [(1.0, "n^2*d"), (3.0, "n^2"), (20.0, "n*d")]
D_MODELS = (64, 128, 256, 512, 1024)
LENGTHS = [(n, 64) for n in (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)]


def test_fit_recovers_exponent_two_despite_constant_overhead(sweep: Sweep) -> None:
    found = fit(sweep([(1.0, "n^2*d")], overhead=0.3))
    assert found.verdict is Verdict.CONFIRMED
    assert found.reasons == ()
    assert found.exponents["n"].estimate == pytest.approx(2, abs=0.05)
    assert found.exponents["d"].estimate == pytest.approx(1, abs=0.05)
    assert found.cells == 35
    assert found.ranges == {"n": (128, 8192), "d": (64, 1024)}


@pytest.mark.parametrize("seed", daily(range(3)))
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
    assert found.verdict is Verdict.REFUTED
    assert "claimed_term_absent" in found.reasons
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


@pytest.mark.parametrize("seed", daily(range(2)))
@pytest.mark.parametrize("overhead", daily([400.0, 1e7, 3000.0, 1e4], most=2))
@pytest.mark.parametrize("claim", ["n^2*d", "n*d"])
def test_overhead_that_hides_the_law_is_said_and_refutes_nothing(
    sweep: Sweep, seed: int, overhead: float, claim: str
) -> None:
    found = fit(sweep([(1.0, claim)], seed=seed, overhead=overhead), claim=claim)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reasons[0] == "overhead_dominates"
    assert (found.overhead or 0) > 0.5


@pytest.mark.parametrize("window", daily([512, 128]))
def test_a_window_that_fills_up_is_linear_from_there_on(sweep: Sweep, window: int) -> None:
    cells = [(n, d) for n in (64, 128, 256, 512, 1024, 2048, 4096, 8192) for d in D_MODELS]
    table = sweep(
        [(1.0, "n^2*d")], cells=cells, overhead=0.02, factor=lambda n, _: np.minimum(n, window) / n
    )
    found = fit(table, claim="n*d")
    assert found.verdict is Verdict.CONFIRMED
    assert found.reasons == ("regime_change",)
    assert found.exponents["n"].estimate == pytest.approx(1, abs=0.05)
    before, last = found.regimes
    assert before.end < window == last.start
    assert last.end == 8192


@pytest.mark.parametrize(
    "case",
    daily(
        [(1e7, True), (6e7, False), (1e6, True), (1e6, False), (1e7, False), (6e7, True)], most=2
    ),
)
def test_a_threefold_jump_at_some_workspace_refutes_nothing_and_moves_no_exponent(
    sweep: Sweep, case: tuple[float, bool]
) -> None:
    threshold, recorded = case
    table = sweep(SDPA, factor=lambda n, _: np.where(4 * n**2 > threshold, 3.0, 1.0))
    if recorded:
        table["workspace_bytes"] = 4 * table["seq_len"] ** 2
    found = fit(table)
    assert found.verdict is not Verdict.REFUTED
    assert "regime_change" in found.reasons
    for name, true in (("n", 2), ("d", 1)):
        assert found.exponents[name].estimate == pytest.approx(true, abs=0.05)
    assert "3 times what the first regime's" in found.regimes[-1].evidence
    assert ("bytes for the caches" in found.regimes[-1].evidence) is recorded


def test_scatter_beyond_use_is_inconclusive_because_of_noise(sweep: Sweep) -> None:
    found = fit(sweep(SDPA, reading=0.6))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "noisy_measurements" in found.reasons


def test_cells_that_ran_out_of_memory_are_mentioned_and_the_rest_is_judged(sweep: Sweep) -> None:
    table = sweep(SDPA, cells=LENGTHS)
    table.loc[table["seq_len"] == 32768, ["status", "time_s"]] = ["out_of_memory", np.nan]
    found = fit(table, claim="n^2")
    assert found.verdict is Verdict.CONFIRMED
    assert found.reasons == ("censored_cells",)
    assert found.cells == 9


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
        ("counted range", 256, 4096),
    ]
    assert found.ranges["n"] == (256, 4096)


def test_regimes_are_ranges_of_the_first_size_whatever_was_left_out() -> None:
    table = pd.DataFrame(
        [
            {"seq_len": n, "d_model": d, "workspace_bytes": 4096 * max(d, 128)}
            for n in (100, 200, 400, 800)
            for d in (32, 64, 128, 256, 512, 1024, 2048)
        ]
    )
    found = fit(table, value="workspace_bytes", claim="d")
    assert (found.verdict, found.ranges["d"]) == (Verdict.CONFIRMED, (128, 2048))
    assert [(regime.start, regime.end) for regime in found.regimes] == [(100, 800), (100, 800)]
    assert found.regimes[0].evidence.endswith("fits below d = 128")


def three_sizes(terms: list[tuple[float, str]], seed: int) -> pd.DataFrame:
    """Batch, length and width, each cell read once, with 1 % of noise."""
    rng = np.random.default_rng(seed)
    batches, lengths, widths = (1, 2, 4, 8), (128, 256, 512, 1024, 2048), (64, 128, 256, 512)
    grid = np.array(list(product(batches, lengths, widths)), dtype=float)
    sizes = dict(zip("bnd", grid.T, strict=True))
    cost = sum(c * parse_monomial(term).evaluate(sizes) for c, term in terms)
    cost = (cost + 0.1 * np.median(cost)) * rng.lognormal(sigma=0.01, size=len(grid))
    return pd.DataFrame({"batch": sizes["b"], "seq_len": sizes["n"], "d_model": sizes["d"]}).assign(
        time_s=1e-9 * cost
    )


@pytest.mark.parametrize(
    "case",
    daily(
        [
            ([(1.0, "b*n^2*d"), (50.0, "b*n^2"), (100.0, "b*n*d")], Verdict.CONFIRMED, (2, 1, 1)),
            ([(1.0, "b*n*d^2")], Verdict.REFUTED, (1, 2, 1)),
            ([(1.0, "b*n^2*d")], Verdict.CONFIRMED, (2, 1, 1)),
        ],
        most=2,
    ),
)
def test_three_sizes_are_judged_together(
    case: tuple[list[tuple[float, str]], Verdict, tuple[float, ...]],
) -> None:
    terms, verdict, exponents = case
    sizes = {"n": "seq_len", "d": "d_model", "b": "batch"}
    found = fit(three_sizes(terms, seed=2), sizes=sizes, claim="b*n^2*d")
    assert found.verdict is verdict
    assert [i.estimate for i in found.exponents.values()] == pytest.approx(exponents, abs=0.05)
    assert list(found.exponents) == ["n", "d", "b"]


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


@pytest.mark.parametrize("term", daily(["n^4.5*d", "n^2*d^4", "n^7*d"], most=2))
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
    daily(
        [
            {32: 20_320, 64: 20_640, 128: 27_664, 256: 180_480},
            {32: 25_088, 64: 33_280, 128: 49_664, 256: 164_864},
            {32: 20_320, 64: 20_640, 128: 27_664, 256: 451_200},
        ]
    ),
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


@pytest.mark.parametrize(
    ("statistic", "second", "verdict"),
    [
        ("median", Verdict.CONFIRMED, Verdict.INCONCLUSIVE),
        ("median", Verdict.INCONCLUSIVE, Verdict.REFUTED),
        ("quiet", Verdict.CONFIRMED, Verdict.INCONCLUSIVE),
        ("quiet", Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE),
    ],
)
@pytest.mark.parametrize("other", [True, False])
def test_a_claim_that_one_statistic_refutes_and_another_does_not_is_left_open(
    sweep: Sweep,
    monkeypatch: pytest.MonkeyPatch,
    other: bool,
    statistic: str,
    second: Verdict,
    verdict: Verdict,
) -> None:
    grounds = ("exponent_outside_tolerance", "censored_cells")
    judged = [(Verdict.REFUTED, grounds), (second, ())]

    def judge_in_turn(*cells: Any, **options: Any) -> Any:
        verdict, reasons = judged.pop(0)
        return replace(judge(*cells, **options), verdict=verdict, reasons=reasons)

    monkeypatch.setattr("reports.judge.fit.judge", judge_in_turn)

    table = sweep(SDPA, cells=LENGTHS, reading=0.02)
    found = fit(table, claim="n^2", other=other, statistic=statistic)

    assert found.verdict is verdict
    assert found.other_verdict == (None if second is verdict else second)
    left_open = verdict is Verdict.INCONCLUSIVE
    assert found.reasons == (("models_undecided", "censored_cells") if left_open else grounds)


def test_a_claim_that_both_statistics_refute_is_refuted(sweep: Sweep) -> None:
    found = fit(sweep([(1.0, "n^2.3*d")], reading=0.02))

    assert (found.verdict, found.other_verdict) == (Verdict.REFUTED, None)


@pytest.mark.parametrize(
    ("lengths", "value", "verdict"),
    [
        ((32, 64, 128, 256), "time_s", Verdict.INCONCLUSIVE),
        ((32, 64, 128, 256, 512), "time_s", Verdict.REFUTED),
        ((32, 64, 128, 256), "workspace_bytes", Verdict.REFUTED),
    ],
)
def test_four_sizes_beside_three_of_another_refute_nothing_that_a_clock_said(
    sweep: Sweep, lengths: tuple[int, ...], value: str, verdict: Verdict
) -> None:
    cells = tuple(product(lengths, (64, 128, 256)))
    table = sweep([(1.0, "n^3*d")], cells=cells, rounds=1, overhead=0.0)
    n, d = table["seq_len"], table["d_model"]
    table["workspace_bytes"] = n**3 * d

    found = fit(table, claim="n^2*d", value=value)

    assert found.verdict is verdict
    assert ("too_few_sizes" in found.reasons) is (verdict is Verdict.INCONCLUSIVE)
