"""What is made of anybody's columns before they are judged: units, rates, losses, wide tables."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.cells.asked import Asked, asked
from reports.judge.fit_groups import fit_groups
from reports.judge.result import Verdict
from reports.tables.columns import FILES, TableError, TableWarning
from reports.tables.read import read_table
from tests.daily import daily

N = [2**k for k in range(5, 15)]
SECONDS = [3e-9 * n * n + 1e-6 for n in N]


def table(costs: Sequence[object], cost: str = "time_s", **more: Any) -> pd.DataFrame:
    frame = pd.DataFrame(
        {"n": N, cost: pd.Series(list(costs), dtype=object).infer_objects()} | more
    )
    frame.attrs[FILES] = [(0, "a.csv")]
    return frame


def ask(frame: pd.DataFrame, *values: str, **options: Any) -> tuple[Asked, list[str]]:
    """What is asked, and what was said about it."""
    options = {"sizes": {"n": "n"}} | options
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = asked(frame, values=values or ("time_s",), **options)
    assert all(one.category is TableWarning for one in caught)
    return found, [str(one.message) for one in caught]


def verdicts(found: Asked, claim: str = "n^2") -> list[tuple[Verdict, tuple[str, ...]]]:
    fits = fit_groups(found.frame, sizes=found.sizes, value=found.value, by=found.by, claim=claim)
    return [(fit.verdict, fit.reasons) for fit in fits]


CONFIRMED = (Verdict.CONFIRMED, ())
BUT_ONE = (Verdict.CONFIRMED, ("censored_cells",))


@pytest.mark.parametrize(
    ("lost", "told", "status"),
    [
        (None, "an empty cell", "skipped"),
        ("", "an empty cell", "skipped"),
        (float("inf"), "inf", "skipped"),
        ("-", "'-'", "skipped"),
        ("OOM", "'OOM'", "out_of_memory"),
        ("CUDA out of memory", "'CUDA out of memory'", "out_of_memory"),
        ("timeout", "'timeout'", "timeout"),
        ("timed out", "'timed out'", "timeout"),
        ("error", "'error'", "crashed"),
        ("n/a", "'n/a'", "skipped"),
        ("fast", "'fast'", "crashed"),
        (0.0, "0.0", "skipped"),
        (-3.0, "-3.0", "skipped"),
        (1e300, "1e+300", "skipped"),
        (1e-61, "1e-61", "skipped"),
    ],
)
def test_a_row_without_a_cost_is_left_out_and_said(lost: object, told: str, status: str) -> None:
    found, said = ask(table([*SECONDS[:-1], lost]))
    assert said == [
        f"a.csv: 1 row has no usable time_s and is left out, such as {told} in row {len(N)}"
    ]
    assert list(found.frame["status"]) == ["measured"] * 9 + [status]
    assert verdicts(found) == [BUT_ONE]


@pytest.mark.parametrize("lost", [None, 0, -5, "?", "all", 1e80])
def test_a_row_without_a_size_is_left_out_and_said(lost: object) -> None:
    frame = table(SECONDS).assign(n=[*N[:-1], lost])
    found, (said,) = ask(frame)
    assert said.startswith("a.csv: 1 row has no usable n and is left out, such as ")
    assert verdicts(found) == [BUT_ONE]


def test_a_cell_with_another_reading_is_not_censored() -> None:
    frame = pd.concat([table(SECONDS), table(["OOM", *SECONDS[1:]])], ignore_index=True)
    frame["time_s"] = [
        t if t == "OOM" else t * (1 + i / 1e4) for i, t in enumerate(frame["time_s"])
    ]
    found, (said,) = ask(frame)
    assert "1 row has no usable time_s" in said
    assert verdicts(found) == [CONFIRMED]


def test_a_workspace_of_nothing_is_no_loss() -> None:
    found, said = ask(table([0, *(4 * n * n for n in N[1:])], "peak_bytes"), "peak_bytes")
    assert said == []
    assert verdicts(found) == [CONFIRMED]


@pytest.mark.parametrize("words", [["fast"] * 5, ["abc", "b"] * 5])
def test_a_column_of_words_is_refused(words: list[str]) -> None:
    with pytest.raises(TableError, match=r'a.csv: column "time_s" must hold numbers, got .* row 1'):
        ask(table([*words, *SECONDS][: len(N)]))


def test_a_table_that_failed_throughout_is_refused() -> None:
    with pytest.raises(TableError, match="no row is left that has its sizes and a cost"):
        ask(table(["OOM"] * len(N)))


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        ("status", "ok", "failed"),
        ("Status", "PASS", "OOM"),
        ("status", "ok", "timeout"),
        ("status", "done", "skipped"),
        ("finite_output", True, False),
        ("success", "True", "False"),
        ("success", 1, 0),
    ],
)
def test_a_row_that_says_it_failed_is_left_out_and_said(
    column: str, good: object, bad: object
) -> None:
    frame = table([*SECONDS[:-1], 1e-9], **{column: [good] * 9 + [bad]})
    found, (said,) = ask(frame)
    assert said == (
        f"a.csv: 1 row has no measurement by their {column} and is left out, such as {bad!r} "
        f"in row {len(N)}"
    )
    assert verdicts(found) == [BUT_ONE]


def test_a_word_that_nobody_knows_is_told() -> None:
    found, (said,) = ask(table(SECONDS, status=["ok"] * 9 + ["late"]))
    assert said.startswith("status varies and says 'late', whose rows are judged with the others")
    assert verdicts(found) == [CONFIRMED]


@pytest.mark.parametrize("column", ["state", "result", "outcome"])
@pytest.mark.parametrize("nothing", daily(["none", "", "x", "-", "n/a"], most=2))
def test_a_word_for_nothing_is_no_failure_beside_words_that_are_none(
    column: str, nothing: str
) -> None:
    found, said = ask(table(SECONDS, **{column: [nothing, "warm"] * 5}))
    assert said == []
    assert list(found.frame[column]) == [nothing, "warm"] * 5
    assert verdicts(found) == [CONFIRMED]


@pytest.mark.parametrize("plain", ["ok", "crashed", "out of memory", "skipped"])
def test_a_word_for_nothing_is_a_failure_beside_a_word_that_is_plain(plain: str) -> None:
    found, _ = ask(table(SECONDS, state=["-", *[plain] * 4, *["ok"] * 5]))
    assert found.frame["status"].iloc[0] == "skipped"


def test_a_status_may_make_groups() -> None:
    frame = table(SECONDS, status=["a", "b"] * 5)
    frame = pd.concat([frame, frame.assign(status="failed")], ignore_index=True)
    found, _ = ask(frame, by=["status"])
    assert set(found.frame["status"]) == {"a", "b"}
    assert len(verdicts(found)) == 2


def test_a_number_called_status_says_nothing() -> None:
    _, said = ask(table(SECONDS, status=[0] * 9 + [1]))
    assert said == []


def test_records_of_ours_are_left_as_they_are() -> None:
    frame = table([*SECONDS[:-1], None], schema=3, status=["measured"] * 9 + ["timeout"])
    found, said = ask(frame)
    assert said == []
    pd.testing.assert_frame_equal(found.frame, frame)


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("TFLOPS", [4 * n * n / t / 1e12 for n, t in zip(N, SECONDS, strict=True)]),
        ("bandwidth (GB/s)", [4 * n / t / 1e9 for n, t in zip(N, SECONDS, strict=True)]),
        ("tokens_per_second", [n / t for n, t in zip(N, SECONDS, strict=True)]),
        ("throughput", [1 / t for t in SECONDS]),
        ("speed", [f"{4 * n / t / 1e9} GB/s" for n, t in zip(N, SECONDS, strict=True)]),
    ],
)
def test_a_rate_is_never_fitted_as_a_cost(name: str, rates: list[float]) -> None:
    with pytest.raises(TableError) as refused:
        ask(table(rates, name), name)
    assert str(refused.value).startswith(f'column "{name}" is a rate')
    assert "divide the work of a call by its rate" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "unit", "scale"),
    [
        ("throughput (ops/s)", None, 1.0),
        ("Score", {"Unit": "ops/ms"}, 1e-3),
        ("Score", {"Unit": "ops/ms", "Mode": "thrpt"}, 1e-3),
        ("Score", {"Mode": "thrpt"}, 1.0),
        ("throughput", {"unit": "it/s"}, 1.0),
    ],
)
def test_calls_in_a_second_are_judged_as_the_seconds_of_a_call(
    name: str, unit: dict[str, str] | None, scale: float
) -> None:
    found, said = ask(table([scale / t for t in SECONDS], name, **(unit or {})), name)
    assert found.value == f"1/{name} (s)"
    assert found.frame[found.value].to_numpy() == pytest.approx(SECONDS)
    assert [one for one in said if "the cost is judged as its inverse" in one] == said != []
    assert verdicts(found) == [CONFIRMED]


def test_a_count_of_operations_is_a_cost() -> None:
    found, said = ask(table([4 * n * n for n in N], "flops"), "flops")
    assert (found.value, said) == ("flops", [])
    assert verdicts(found) == [CONFIRMED]


MIXED = [("us", 1e-6) if t < 1e-3 else ("ms", 1e-3) for t in SECONDS]


@pytest.mark.parametrize(
    ("frame", "name", "expected"),
    [
        (table([t / 1e-3 for t in SECONDS], "time", unit="ms"), "time (ms)", 1e-3),
        (table([t / 1e-6 for t in SECONDS], "time", Units="us/op"), "time (µs)", 1e-6),
        (table([t / 1e-9 for t in SECONDS], "time", time_unit="nanoseconds"), "time (ns)", 1e-9),
        (table([f"{t / 1e-3} ms" for t in SECONDS], "time"), "time (ms)", 1e-3),
        (table([t / 1e-3 for t in SECONDS], "time", unit="of length"), "time", 1e-3),
        (
            table(
                [t / f for t, (_, f) in zip(SECONDS, MIXED, strict=True)],
                "time",
                unit=[u for u, _ in MIXED],
            ),
            "time (s)",
            1,
        ),
        (
            table([f"{t / f} {u}" for t, (u, f) in zip(SECONDS, MIXED, strict=True)], "time"),
            "time (s)",
            1,
        ),
    ],
)
def test_a_unit_is_read_wherever_it_stands(frame: pd.DataFrame, name: str, expected: float) -> None:
    found, _ = ask(frame, "time")
    assert found.value == name
    assert found.frame[name].to_numpy() * expected == pytest.approx(SECONDS)


def test_a_unit_in_a_cell_is_converted_into_that_of_the_column() -> None:
    found, _ = ask(
        table([*(t * 1e3 for t in SECONDS[:-1]), f"{SECONDS[-1] * 1e6} us"], "t_ms"), "t_ms"
    )
    assert found.value == "t_ms"
    assert found.frame["t_ms"].to_numpy() * 1e-3 == pytest.approx(SECONDS)


def test_amounts_of_two_kinds_are_no_cost() -> None:
    frame = table(SECONDS, "amount", unit=["ms", "MB"] * 5)
    with pytest.raises(TableError, match="in ms and in MB; choose rows with --where unit=ms"):
        ask(frame, "amount")
    found, _ = ask(frame, "amount", where=["unit=MB"])
    assert found.value == "amount (MB)"


def test_a_number_without_a_unit_among_others_that_have_one_is_left_out() -> None:
    found, (said,) = ask(table([*(f"{t * 1e3} ms" for t in SECONDS[:-1]), "7"], "time"), "time")
    assert "1 row has no usable time and is left out, such as '7' in row 10" in said
    assert verdicts(found) == [BUT_ONE]


def test_sizes_are_read_as_they_are_spelled_and_a_k_is_told() -> None:
    sizes = [f"{n // 1024}K" if n >= 1024 else str(n) for n in N]
    found, said = ask(table(SECONDS).assign(n=sizes))
    assert found.frame["n"].tolist() == N
    assert said == ['a K in column "n" is read as 1024, since its numbers are powers of two']


def test_a_size_with_a_unit_is_read_and_one_with_another_word_is_left_out() -> None:
    sizes = [f"{n} KiB" if n < 1024 else f"{n // 1024}MiB" for n in N]
    found, said = ask(table(SECONDS).assign(n=sizes))
    assert (found.frame["n"].tolist(), said) == ([n * 1024 for n in N], [])
    found, (said,) = ask(table(SECONDS).assign(n=[*N[:-1], "16384 apples"]))
    assert "1 row has no usable n" in said


def test_sizes_that_may_have_points_between_thousands_are_refused_and_never_guessed() -> None:
    sizes = [f"{n:,}".replace(",", ".") for n in N]
    with pytest.raises(TableError) as refused:
        ask(table(SECONDS).assign(n=sizes))
    assert str(refused.value) == (
        "column \"n\" holds '1.024', which may have decimals or thousands; write 1024 if it is "
        "that many, else 1.0240"
    )


def test_commas_that_a_file_does_not_explain_are_never_guessed(tmp_path: Path) -> None:
    path = tmp_path / "german.csv"
    path.write_text("n;time_ms\n128;1,024\n256;4,096\n512;16,384\n")
    with pytest.raises(TableError, match="holds '1,024', which may have decimals or thousands"):
        ask(read_table(path).frame, "time_ms")


def wide(**more: Any) -> pd.DataFrame:
    return table(
        [t * 1e3 for t in SECONDS],
        "time_a_ms",
        time_b_us=[n * 7 for n in N],
        other=1.0,
        **more,
    )


@pytest.mark.parametrize("values", [["time_*"], ["time_a_ms", "time_b_us"], ["TIME_?_*s"]])
def test_a_column_for_each_implementation_is_a_group_for_each(values: list[str]) -> None:
    found, said = ask(wide(), *values)
    assert (said, found.value) == ([], "time (s)")
    fits = fit_groups(found.frame, sizes=found.sizes, value=found.value, by=found.by, claim="n^2")
    assert {fit.group["implementation"]: fit.verdict for fit in fits} == {
        "time_a_ms": Verdict.CONFIRMED,
        "time_b_us": Verdict.REFUTED,
    }
    assert fits[0].exponents["n"].estimate == pytest.approx(2, abs=0.01)


def test_a_column_of_a_wide_table_is_never_written_over() -> None:
    frame = table(SECONDS, "a_s", b_s=SECONDS, value=N, **{"time (s)": 1.0})
    found, _ = ask(frame, "?_s")
    assert found.value == "cost, time (s)"
    assert set(found.frame["time (s)"]) == {1.0}


def test_a_wide_table_that_is_long_too_is_refused_before_it_fills_the_memory() -> None:
    frame = table(SECONDS).loc[list(range(len(N))) * 2000].reset_index(drop=True)
    more = [f"x{i}" for i in range(20)] + [f"t{i}" for i in range(99)]
    frame = pd.concat([frame, pd.DataFrame(1.0, index=frame.index, columns=more)], axis=1)
    with pytest.raises(TableError, match="99 columns beside 22 others in 20000 rows"):
        ask(frame, "t?", "t??")


def test_a_wide_table_keeps_its_own_groups() -> None:
    frame = pd.concat([wide(implementation=name, dtype=t) for name, t in ("xh", "xf", "yh")])
    found, _ = ask(frame.reset_index(drop=True), "time_*")
    assert found.by == ["implementation", "dtype", "column"]
    assert len(verdicts(found)) == 6
    found, _ = ask(frame.reset_index(drop=True), "time_*", by=["Implementation"])
    assert found.by == ["implementation", "column"]


def test_a_cost_that_one_implementation_lacks_is_its_own_loss() -> None:
    frame = wide().assign(time_b_us=["OOM", *(n * n for n in N[1:])])
    found, (said,) = ask(frame, "time_*")
    assert "1 row has no usable time_b_us" in said
    assert verdicts(found) == [CONFIRMED, BUT_ONE]


def test_columns_of_different_kinds_are_no_wide_table() -> None:
    with pytest.raises(TableError, match=r"different kinds, time in .time_a_ms. and no unit in"):
        ask(wide(), "time_a_ms", "other")


@pytest.mark.parametrize(
    ("names", "sizes"),
    [
        ({"n": "N", "time_s": "Time_S"}, None),
        ({"n": "Seq_Len", "time_s": "TIME_S"}, None),
        ({"n": "Length"}, {"n": "length"}),
    ],
)
def test_names_are_found_in_another_case(
    names: dict[str, str], sizes: dict[str, str] | None
) -> None:
    found, said = ask(table(SECONDS).rename(columns=names), sizes=sizes)
    assert said == []
    assert verdicts(found, "N^2") == [CONFIRMED]


def test_conditions_in_another_case_still_make_groups() -> None:
    frame = pd.concat([table(SECONDS, Dtype="half"), table([t * 7 for t in SECONDS], Dtype="full")])
    found, _ = ask(frame.reset_index(drop=True))
    assert verdicts(found) == [CONFIRMED, CONFIRMED]


def test_two_columns_that_differ_in_case_alone_have_to_be_named() -> None:
    frame = table(SECONDS).assign(N=N)
    assert ask(frame, sizes={"n": "N"})[0].sizes == {"n": "N"}
    with pytest.raises(TableError, match='there is no column "TIME"'):
        ask(frame.assign(time=1, Time=1), "TIME")


def test_the_index_of_rows_stays_that_of_the_file() -> None:
    frame = table(["fast", *SECONDS[1:-1], "OOM"], heads=[4, 16] * 5)
    _, (said,) = ask(frame, where=["heads=16"])
    assert said.endswith("such as 'OOM' in row 10")


def test_a_workspace_in_words_does_not_stop_a_judgement_of_time() -> None:
    found, said = ask(table(SECONDS, workspace_bytes=["OOM", *N[1:]]))
    assert said == []
    assert np.isnan(found.frame["workspace_bytes"][0])
    assert verdicts(found) == [CONFIRMED]


def test_rows_without_a_name_have_one_word_beside_others_that_have_a_name() -> None:
    names = ["sdpa", None] * 5
    found, _ = ask(table(SECONDS, Implementation=names))
    assert found.frame["implementation"].tolist() == ["sdpa", "unnamed"] * 5
    nobody, _ = ask(table(SECONDS, implementation=None))
    assert nobody.frame["implementation"].isna().all()
