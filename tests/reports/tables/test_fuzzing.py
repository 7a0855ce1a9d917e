"""Whatever file `fit` and `report` are given, and whatever is asked: a verdict, or one line."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.daily import daily
from tests.reports.tables.odd_files import (
    OF_REPORT,
    SIZES,
    Input,
    Rows,
    inputs,
    plain_rows,
    written,
)

LONGEST_LINE = 2000
SIGNS = {0: ("confirmed", "confirms"), 1: ("refuted", "refutes"), 3: ("inconclusive",)}
ANSWERS = ("confirmed", "refuted", "inconclusive")
Run = Callable[..., Any]


def files_of(given_: Input, folder: Path) -> list[Path]:
    paths = [folder / f"table{number}" for number in range(len(given_.contents))]
    for path, content in zip(paths, given_.contents, strict=True):
        path.write_bytes(content)
    return paths if given_.folder is None else [*paths[1:], given_.folder]


def assert_one_line(said: Any) -> None:
    assert said.out == ""
    lines = [line for line in said.err.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1, said.err
    assert lines[0].startswith("attnscale: ")
    assert len(lines[0]) < LONGEST_LINE


def assert_judged(said: Any, as_json: bool) -> None:
    assert all(line.startswith("warning: ") for line in said.err.splitlines()), said.err
    if not as_json:
        assert any(sign in said.out for sign in SIGNS[said.code])
        return
    fits = json.loads(said.out, parse_constant=no_constant)["fits"]
    assert fits
    assert {fit["verdict"] for fit in fits} <= set(ANSWERS)


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def assert_fitted(run: Run, given_: Input, folder: Path, as_json: bool) -> int:
    paths = files_of(given_, folder)
    said = run("fit", *paths, *given_.asked, *["--json"] * as_json)
    assert said.code in (0, 1, 2, 3)
    assert "Traceback" not in said.err + said.out
    if said.code == 2:
        assert_one_line(said)
    else:
        assert_judged(said, as_json)
    return said.code


def assert_reported(run: Run, given_: Input, folder: Path) -> None:
    paths = files_of(given_, folder)
    said = run("report", *paths, *given_.asked, "--out", folder / "report")
    assert "Traceback" not in said.err + said.out
    if said.code == 2:
        assert_one_line(said)
    else:
        assert said.code == 0
        *warned, last = said.err.splitlines()
        assert all(line.startswith("warning: ") for line in warned)
        assert last == f"report: {folder / 'report' / 'index.html'}"
        assert (folder / "report" / "index.html").is_file()


def many(examples: int, batch: int) -> Callable[[Any], Any]:
    """So many examples, others in each batch."""
    chosen = settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    return lambda test: seed(batch)(chosen(test))


@many(12, batch=0)
@given(inputs(), st.booleans())
def test_any_file_gets_a_verdict_or_one_line(
    bounded: Run, tmp_path: Path, given_: Input, as_json: bool
) -> None:
    assert_fitted(bounded, given_, tmp_path, as_json)


@many(2, batch=0)
@given(inputs(OF_REPORT))
def test_any_file_gets_a_report_or_one_line(bounded: Run, tmp_path: Path, given_: Input) -> None:
    assert_reported(bounded, given_, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(1, 21))
def test_twenty_thousand_files_get_a_verdict_or_one_line(
    bounded: Run, tmp_path: Path, batch: int
) -> None:
    codes: Counter[int] = Counter()

    @many(1000, batch)
    @given(inputs(), st.booleans())
    def fitted(given_: Input, as_json: bool) -> None:
        codes[assert_fitted(bounded, given_, tmp_path, as_json)] += 1

    fitted()
    assert min(codes[code] for code in (0, 1, 2, 3)) > 0


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(1, 6))
def test_five_hundred_files_get_a_report_or_one_line(
    bounded: Run, tmp_path: Path, batch: int
) -> None:
    @many(100, batch)
    @given(inputs(OF_REPORT))
    def reported(given_: Input) -> None:
        assert_reported(bounded, given_, tmp_path)

    reported()


@pytest.mark.parametrize("examples", daily([4, 60]))
def test_a_law_is_confirmed_and_the_next_one_refuted_however_the_table_is_written(
    bounded: Run, tmp_path: Path, examples: int
) -> None:
    path = tmp_path / "table"

    @many(examples, batch=0)
    @given(
        plain_rows(),
        st.sampled_from((",", ";", "\t", "|", "  ")),
        st.sampled_from(("utf-8", "utf-8-sig", "utf-16")),
        st.sampled_from(("\n", "\r\n")),
        st.booleans(),
    )
    def judged_right(
        planted: tuple[int, Rows], delimiter: str, encoding: str, end: str, commas: bool
    ) -> None:
        power, table = planted
        mark = "," if commas and delimiter in ";\t|" else "."
        rows = [[n, cost.replace(".", mark)] for n, cost in table.rows]
        text = written(Rows(names=table.names, rows=rows), delimiter)
        path.write_bytes(text.replace("\n", end).encode(encoding))
        assert bounded("fit", path, "--claim", f"n^{power}").code == 0
        assert bounded("fit", path, "--claim", f"n^{power + 1}").code == 1

    judged_right()


QUADRATIC = [(n, 1e-9 * n**2) for n in SIZES]


def test_rows_without_a_device_are_judged_with_the_others(bounded: Run, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    lines = [f"{n},{time_s:g},{'gpu' if n > 64 else ''}" for n, time_s in QUADRATIC]
    path.write_text("\n".join(["n,time_s,device", *lines]))
    assert bounded("fit", path, "--claim", "n^2").code == 0


def test_a_report_takes_text_in_a_column_where_ours_have_numbers(
    bounded: Run, tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    lines = [f"{n},{time_s:g},{kind}" for kind in ("a", "1", "2") for n, time_s in QUADRATIC]
    path.write_text("\n".join(["n,time_s,batch", *lines]))
    assert_reported(bounded, Input(contents=(path.read_bytes(),)), tmp_path)


def test_a_report_leaves_out_a_size_that_no_axis_can_show(bounded: Run, tmp_path: Path) -> None:
    lines = [f"{n},{time_s:g}" for n, time_s in [*QUADRATIC, ("1e-310", 1.0)]]
    content = "\n".join(["n,time_s", *lines]).encode()
    assert_reported(bounded, Input(contents=(content,), asked=("--claim", "n^2")), tmp_path)
