"""Columns that the claim does not name: settings among rows of the same sizes, and moving sizes."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.cells.moving_sizes import moving_sizes
from reports.judge.fit import fit
from reports.judge.fit_groups import ClaimWarning, fit_groups
from reports.judge.result import Fit, Verdict
from reports.laws.grammar import parse
from reports.verdicts.advice import advice
from tests.daily import daily

LENGTHS = tuple(2**k for k in range(8, 16))
SIZES = {"n": "n"}
SETTINGS: Mapping[str, Mapping[Any, float]] = {
    "heads": {4: 4.0, 16: 16.0},
    "dtype": {"float16": 1.0, "float32": 2.6},
    "is_causal": {False: 2.0, True: 1.0},
    "batch": {1: 1.0, 2: 2.0, 8: 8.0},
    "block": {32: 1.3, 64: 1.0, 128: 1.15},
}
"""What each value of a setting multiplies the growing cost by."""
EACH = pytest.mark.parametrize("column", SETTINGS)


def mixed_rows(
    column: str, *, seed: int | None = None, readings: int = 1, overhead: float = 0.02
) -> pd.DataFrame:
    """t = 0.02 + n²·factor·1e-7 for every value of a setting; with a seed, 1 % of noise."""
    rng = np.random.default_rng(seed or 0)
    rows = []
    for value in SETTINGS[column]:
        for n in LENGTHS:
            for _ in range(readings):
                cost = overhead + 1e-7 * n**2 * SETTINGS[column][value]
                noise = 1.0 if seed is None else np.exp(rng.normal(0, 0.01))
                rows.append({"n": n, column: value, "time_s": cost * noise})
    return pd.DataFrame(rows)


def plain_rows(seed: int = 0, readings: int = 3) -> pd.DataFrame:
    """t = 0.02 + n²·1e-7 with 2 % of noise, several readings a cell."""
    rng = np.random.default_rng(seed)
    n = np.repeat(LENGTHS, readings)
    cost = (0.02 + 1e-7 * n.astype(float) ** 2) * np.exp(rng.normal(0, 0.02, n.size))
    return pd.DataFrame({"n": n, "time_s": cost})


def judged(table: pd.DataFrame, claim: str = "n^2", **options: Any) -> Fit:
    return fit(table, sizes=options.pop("sizes", SIZES), claim=claim, **options)


@cache
def plain_fit(seed: int = 0) -> Fit:
    return judged(plain_rows(seed))


@EACH
@pytest.mark.parametrize("seed", daily([0, None, 1]))
@pytest.mark.parametrize("claim", daily(["n^2", "n^3", "n"], most=2))
def test_a_setting_that_changes_the_cost_leaves_every_claim_open(
    column: str, seed: int | None, claim: str
) -> None:
    found = judged(mixed_rows(column, seed=seed), claim)

    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reasons[0] == "mixed_readings"
    assert [one.column for one in found.mixed] == [column]
    assert set(found.mixed[0].values) == {str(value) for value in SETTINGS[column]}
    ratio = max(SETTINGS[column].values()) / min(SETTINGS[column].values())
    assert 1.1 < found.mixed[0].factor <= 1.02 * ratio


@EACH
def test_what_to_do_about_a_setting_is_told_by_its_name(column: str) -> None:
    told = advice(judged(mixed_rows(column)), "mixed_readings")

    assert told is not None
    assert told.startswith(f"{column} (")
    assert (f"={column}, " in told) == (column in ("heads", "batch", "block"))
    assert f"--by {column}, or " in told
    assert f"--average {column}" in told


def test_a_factor_of_thousands_is_told_in_digits() -> None:
    rows = mixed_rows("heads", overhead=0.0)
    rows.loc[rows["heads"] == 16, "time_s"] *= 725
    told = advice(judged(rows), "mixed_readings")

    assert told is not None
    assert "cost up to 2,900 times as much: name it with --size h=heads, " in told


@EACH
@pytest.mark.parametrize("seed", daily([0, None, 1]))
def test_averaged_over_on_request_the_true_claim_is_confirmed_and_a_false_one_refuted(
    column: str, seed: int | None
) -> None:
    table = mixed_rows(column, seed=seed)
    true = judged(table, average=[column])

    assert (true.verdict, true.reasons) == (Verdict.CONFIRMED, ())
    assert [(one.column, one.averaged) for one in true.mixed] == [(column, True)]
    assert judged(table, "n^3", average=[column]).verdict is Verdict.REFUTED


@EACH
def test_the_average_is_the_mean_cost_of_the_values(column: str) -> None:
    found = judged(mixed_rows(column), average=[column])

    mean = np.mean(list(SETTINGS[column].values()))
    expected = 0.02 + 1e-7 * np.array(LENGTHS, dtype=float) ** 2 * mean
    assert found.predict({"n": LENGTHS}) == pytest.approx(expected, rel=0.01)


@EACH
def test_in_groups_each_value_is_judged_by_itself(column: str) -> None:
    found = fit_groups(mixed_rows(column), sizes=SIZES, claim="n^2", by=[column])

    assert len(found) == len(SETTINGS[column])
    assert {one.verdict for one in found} == {Verdict.CONFIRMED}
    assert not any(one.mixed for one in found)


@pytest.mark.parametrize("column", ["heads", "batch"])
def test_named_as_a_size_it_is_no_setting(column: str) -> None:
    found = judged(mixed_rows(column), "n^2*h", sizes={"n": "n", "h": column})

    assert found.mixed == ()
    assert "mixed_readings" not in found.reasons
    assert found.verdict is not Verdict.REFUTED
    assert found.exponents["n"].estimate == pytest.approx(2, abs=0.02)


def test_a_setting_of_five_values_named_as_a_size_is_confirmed() -> None:
    rows = [
        {"n": n, "heads": h, "time_s": 0.02 + 1e-7 * n**2 * h}
        for n in LENGTHS
        for h in (2, 4, 8, 16, 32)
    ]
    found = judged(pd.DataFrame(rows), "n^2*h", sizes={"n": "n", "h": "heads"})

    assert (found.verdict, found.mixed) == (Verdict.CONFIRMED, ())


def test_readings_of_each_value_stay_readings() -> None:
    table = mixed_rows("dtype", seed=3, readings=4)
    found = judged(table, average=["dtype"])

    assert found.verdict is Verdict.CONFIRMED
    assert found.scatter.reading is not None
    assert found.scatter.reading < 0.02


def test_a_value_that_is_not_there_at_all_sizes_refutes_no_true_claim() -> None:
    table = mixed_rows("dtype", seed=5, readings=2)
    table = table[(table["dtype"] == "float16") | (table["n"] <= 8192)]
    # Overhead has no part in a factor: what is left of it may only cost decisiveness.
    assert judged(table, average=["dtype"]).verdict is not Verdict.REFUTED


def test_where_the_effect_is_a_factor_of_all_the_cost_nothing_is_left_of_it() -> None:
    table = mixed_rows("dtype", seed=5, readings=2, overhead=0.0)
    table = table[(table["dtype"] == "float16") | (table["n"] <= 8192)]

    assert judged(table, "n^3").reasons[0] == "mixed_readings"
    found = judged(table, average=["dtype"])
    assert (found.verdict, found.cells) == (Verdict.CONFIRMED, len(LENGTHS))
    assert judged(table, "n^3", average=["dtype"]).verdict is Verdict.REFUTED


def test_two_settings_are_both_named_and_both_to_be_decided() -> None:
    parts = [
        mixed_rows("dtype").assign(is_causal=causal, time_s=lambda part, by=by: part["time_s"] * by)
        for causal, by in ((False, 2.0), (True, 1.0))
    ]
    table = pd.concat(parts, ignore_index=True)

    assert {one.column for one in judged(table).mixed if one.factor > 1} == {"dtype", "is_causal"}
    assert judged(table, average=["dtype"]).verdict is Verdict.INCONCLUSIVE
    assert judged(table, average=["dtype", "is_causal"]).verdict is Verdict.CONFIRMED


@pytest.mark.parametrize("name", ["rep", "seed", "iteration", "trial_id", "fold"])
@pytest.mark.parametrize("seed", daily(range(2)))
def test_a_column_that_numbers_readings_is_no_setting(name: str, seed: int) -> None:
    found = judged(plain_rows(seed).assign(**{name: np.tile([1, 2, 3], len(LENGTHS))}))

    assert (found.mixed, found.moving) == ((), ())
    assert (found.verdict, found.exponents) == (Verdict.CONFIRMED, plain_fit(seed).exponents)


def test_a_first_reading_that_is_dearer_every_time_is_no_setting() -> None:
    table = plain_rows().assign(rep=np.tile([0, 1, 2], len(LENGTHS)))
    table.loc[table["rep"] == 0, "time_s"] *= 1.08

    assert judged(table).mixed == ()


@pytest.mark.parametrize("name", ["stddev", "cpu_s", "clock_mhz"])
def test_a_column_that_is_measured_itself_is_no_setting(name: str) -> None:
    table = plain_rows()
    rng = np.random.default_rng(2)
    table[name] = table["time_s"] * rng.uniform(0.01, 0.1, len(table))

    found = judged(table)
    assert (found.verdict, found.mixed, found.moving) == (Verdict.CONFIRMED, (), ())


@pytest.mark.parametrize("values", [("a", "b", "c"), (7, 11, 13), (True, False, True)])
@pytest.mark.parametrize("seed", daily(range(3)))
def test_a_column_without_an_effect_leaves_the_verdict_alone(
    values: Sequence[Any], seed: int
) -> None:
    found = judged(plain_rows(seed).assign(colour=list(values) * len(LENGTHS)))

    assert (found.verdict, found.reasons) == (Verdict.CONFIRMED, ())
    assert found.exponents == plain_fit(seed).exponents
    assert [one.factor for one in found.mixed] == [1.0]


def test_a_column_without_an_effect_is_said_to_count_as_readings() -> None:
    table = plain_rows().assign(colour=["red", "green", "blue"] * len(LENGTHS))

    with pytest.warns(ClaimWarning, match=r"colour \(red, green, blue\) varies .* --by colour"):
        fit_groups(table, sizes=SIZES, claim="n^2")


def test_a_setting_that_varies_between_the_sizes_only_cannot_be_told_from_them() -> None:
    table = plain_rows()
    table["block"] = np.where(table["n"] < 2048, 32, 64)

    found = judged(table)
    assert (found.verdict, found.mixed) == (Verdict.CONFIRMED, ())


def test_lists_and_gaps_in_a_column_are_no_obstacle() -> None:
    table = plain_rows()
    table["tags"] = [["a"], ["b"], ["a", "b"]] * len(LENGTHS)
    table["note"] = [None, "x", "y"] * len(LENGTHS)

    assert judged(table).verdict is Verdict.CONFIRMED


def constant_tokens(
    *, widths: Sequence[int] = (64, 128, 256, 512, 1024), seed: int | None = 0
) -> pd.DataFrame:
    """The usual table of attention kernels: batch = 16384 / n, t ∝ batch·n²·d."""
    rng = np.random.default_rng(seed or 0)
    rows = []
    for n in (128, 256, 512, 1024, 2048, 4096, 8192, 16384):
        for d in widths:
            batch = 16384 // n
            cost = 0.01 + 1e-9 * batch * n**2 * d
            noise = 1.0 if seed is None else np.exp(rng.normal(0, 0.01))
            rows.append({"n": n, "d": d, "batch": batch, "time_s": cost * noise})
    return pd.DataFrame(rows)


TWO = {"n": "n", "d": "d"}
FEW_WIDTHS = (64, 256)  # where what is told of the batch does not depend on the verdict


@pytest.mark.parametrize("seed", daily([0, None, 1, 2]))
@pytest.mark.parametrize("claim", ["n^2*d", "n*d", "n^3*d"])
def test_a_batch_that_falls_as_n_rises_is_told_and_decides_nothing(
    seed: int | None, claim: str
) -> None:
    found = judged(constant_tokens(seed=seed), claim, sizes=TWO)

    assert [(one.column, one.against) for one in found.moving] == [("batch", "n")]
    assert (found.verdict, found.reasons[0]) == (Verdict.INCONCLUSIVE, "sizes_collinear")
    told = advice(found, "sizes_collinear")
    assert told is not None
    assert told.lower().startswith("batch falls as n grows")
    assert f'--size b=batch --claim "b*{claim}"' in told


def test_each_term_of_a_claim_is_given_the_moving_size() -> None:
    told = advice(
        judged(constant_tokens(widths=FEW_WIDTHS), "n^2*d + n*d^2", sizes=TWO), "sizes_collinear"
    )

    assert told is not None
    assert '--claim "b*n^2*d + b*n*d^2"' in told


def test_each_term_of_a_declared_claim_is_given_the_moving_size_however_it_is_written() -> None:
    table = constant_tokens(widths=FEW_WIDTHS).assign(claim="O(n^2*d+n*d^2)")
    (found,) = fit_groups(table, sizes=TWO)

    assert found.claim == "O(n^2*d+n*d^2)"
    assert '--claim "b*n^2*d + b*n*d^2"' in (advice(found, "sizes_collinear") or "")


@pytest.mark.parametrize(
    ("column", "letter"), [("état", "t"), ("größe", "g"), ("大小", "x"), ("nd", "x"), ("µ_b", "b")]
)
def test_the_letter_of_a_moving_size_is_one_that_a_claim_may_have(column: str, letter: str) -> None:
    table = constant_tokens(widths=(64,)).rename(columns={"batch": column})
    told = advice(judged(table, "n^2", sizes=TWO), "sizes_collinear") or ""
    (claim,) = re.findall('--claim "(.*)"', told)

    assert f"--size {letter}={column} " in told
    named = judged(table, claim, sizes={**TWO, letter: column})
    assert (named.verdict, named.claim) == (Verdict.CONFIRMED, str(parse(claim)))


@pytest.mark.parametrize("seed", daily([0, None, 1, 2]))
def test_judged_with_the_batch_the_true_law_is_confirmed_and_a_false_one_refuted(
    seed: int | None,
) -> None:
    table, sizes = constant_tokens(seed=seed), {**TWO, "b": "batch"}

    true = judged(table, "b*n^2*d", sizes=sizes)
    assert (true.verdict, true.moving, true.held) == (Verdict.CONFIRMED, (), ("b",))
    assert judged(table, "b*n^3*d", sizes=sizes).verdict is Verdict.REFUTED
    assert judged(table, "b*n*d", sizes=sizes).verdict is Verdict.REFUTED


def test_one_width_is_enough_for_a_claim_without_it() -> None:
    table = constant_tokens(widths=(64,))

    assert judged(table, "n^2").verdict is Verdict.INCONCLUSIVE
    assert judged(table, "b*n^2", sizes={"n": "n", "b": "batch"}).verdict is Verdict.CONFIRMED


@pytest.mark.parametrize("sizes", [TWO, None])
def test_a_moving_batch_makes_no_groups_of_single_cells(sizes: Mapping[str, str] | None) -> None:
    (found,) = fit_groups(constant_tokens(widths=FEW_WIDTHS), sizes=sizes, claim="n^2*d")

    assert [one.column for one in found.moving] == ["batch"]
    assert found.cells == 16


def test_a_size_that_rises_with_n_moves_nothing() -> None:
    table = plain_rows().assign(tiles=lambda rows: rows["n"] // 64)

    found = judged(table)
    assert (found.verdict, found.moving) == (Verdict.CONFIRMED, ())


def moving(**columns: Sequence[float]) -> list[tuple[str, str]]:
    table = pd.DataFrame(columns)
    return [(one.column, one.against) for one in moving_sizes(table, ["n"], ())]


@pytest.mark.parametrize(
    ("values", "moves"),
    [
        ([16, 8, 4, 2], True),
        ([16, 16, 4, 2], True),
        ([16, 8, 8, 8], False),  # one step down may be anything
        ([16, 8, 4, 8], False),
        ([2, 4, 8, 16], False),
        ([1.5, 0.7, 0.4, 0.2], False),  # no size
        ([16, 8, 4, 0], False),
        ([True, True, False, False], False),
    ],
)
def test_only_whole_numbers_that_fall_and_never_rise_are_a_moving_size(
    values: list[float], moves: bool
) -> None:
    assert moving(n=[1, 2, 3, 4], tiles=values) == [("tiles", "n")] * moves


@pytest.mark.parametrize("column", ["heads", "num_heads", "batch", "batch_size"])
def test_heads_and_batches_that_rise_with_a_length_are_told(column: str) -> None:
    (found,) = moving_sizes(pd.DataFrame({"n": [1, 2, 3, 4], column: [2, 2, 8, 8]}), ["n"], ())
    assert (found.column, found.against, found.rises) == (column, "n", True)


def test_heads_that_rise_with_the_width_are_in_the_law_already() -> None:
    rows = [{"n": n, "d_model": 64 * h, "num_heads": h} for n in (1, 2, 4) for h in (1, 2, 4)]
    assert moving_sizes(pd.DataFrame(rows), ["n", "d_model"], ()) == ()


@pytest.mark.parametrize("column", ["tokens_per_s", "ops/s", "clock_mhz"])
def test_what_is_measured_beside_the_time_moves_nothing(column: str) -> None:
    assert moving(n=[1, 2, 3, 4], **{column: [1980, 1960, 1940, 1905]}) == []
    if column != "clock_mhz":
        assert moving(n=[1, 2, 3, 4], **{column: [8000, 4000, 2000, 1000]}) == []


def test_the_order_of_rows_does_not_matter() -> None:
    assert moving(n=[3, 1, 4, 2], batch=[4, 16, 2, 8]) == [("batch", "n")]


def test_a_column_that_the_sizes_do_not_fix_is_no_size() -> None:
    assert moving(n=[1, 1, 2, 3, 4], batch=[32, 16, 8, 4, 2]) == []


def test_a_size_may_fall_with_one_size_while_others_stand_still() -> None:
    rows = [{"n": n, "d": d, "batch": 64 * d // n} for n in (1, 2, 4) for d in (1, 2, 4)]
    found = moving_sizes(pd.DataFrame(rows), ["d", "n"], ())

    assert [(one.column, one.against) for one in found] == [("batch", "n")]


@pytest.mark.parametrize("kind", ["text", "number", "falling"])
def test_hundreds_of_columns_are_grouped_no_more_often_than_ten(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    makers: dict[str, Callable[[], Sequence[Any]]] = {
        "text": lambda: ["a", "b", "c"] * len(LENGTHS),
        "number": lambda: np.linspace(0, 1, 3 * len(LENGTHS)),
        "falling": lambda: np.repeat(range(len(LENGTHS), 0, -1), 3),
    }
    counted: list[int] = []
    original = pd.DataFrame.groupby

    def groupby(self: pd.DataFrame, *arguments: Any, **options: Any) -> Any:
        counted.append(self.shape[1])
        return original(self, *arguments, **options)

    monkeypatch.setattr(pd.DataFrame, "groupby", groupby)

    def judged_with(columns: int) -> Fit:
        counted.clear()
        more = pd.DataFrame({f"column {k}": makers[kind]() for k in range(columns)})
        return judged(pd.concat([plain_rows(), more], axis=1))

    judged_with(10)
    few = len(counted)
    found = judged_with(300)

    assert len(counted) <= few
    assert sum(width > 100 for width in counted) <= 3
    assert len(found.moving) == (300 if kind == "falling" else 0)
    assert len(found.mixed) == (300 if kind == "text" else 0)
