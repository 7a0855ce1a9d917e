"""Who failed somewhere has a mark, and a sentence on what is timed all the same."""

from pathlib import Path

import pandas as pd
import pytest

from reports.judge.result import Fit, Verdict
from reports.tables.read import Table
from reports.verdicts.doubts import MARK, doubts, marked_fits, marked_table


def rows(name: str, *cells: tuple[int, str, str | None]) -> list[dict[str, object]]:
    return [
        {"implementation": name, "seq_len": n, "status": status, "reason": reason}
        for n, status, reason in cells
    ]


def checks(name: str, area: str = "causal", fail: int = 0) -> dict[str, object]:
    return {
        "implementation": name,
        "dtype": "float32",
        "area": area,
        "check": "output",
        "fail": fail,
    }


RIGHT = rows("right", (4, "measured", None), (8, "measured", None))


def info(*matrix: dict[str, object]) -> dict[str, object]:
    return {"verification": {"matrix": list(matrix)}}


def test_who_failed_nowhere_is_not_mentioned_whatever_was_not_measured():
    frame = pd.DataFrame(RIGHT + rows("other", (4, "out_of_memory", "too large")))

    assert doubts(frame, info(checks("right"))) == {}
    assert doubts(frame, {}) == {}


def test_failed_checks_are_told_with_what_is_timed_all_the_same():
    frame = pd.DataFrame(
        RIGHT + rows("mine", (4, "measured", None), (8, "incorrect", "output in case causal: off"))
    )

    found = doubts(frame, info(checks("mine", fail=2), checks("mine", "masks", 1), checks("right")))

    assert found == {
        "mine": "mine † failed 3 checks (causal and masks): 1 of its 2 cells has no time "
        "(1 incorrect, such as: output in case causal: off); the others are timed."
    }


def test_a_cell_that_is_wrong_in_a_later_round_has_no_time():
    frame = pd.DataFrame(
        rows("mine", (4, "measured", None), (4, "implausible", "too fast"), (8, "measured", None))
    )

    (told,) = doubts(frame, {}).values()

    assert told.startswith(
        "mine † passed the checks before timing, but 1 of its 2 cells has no time"
    )
    assert "1 implausible, such as: too fast" in told


def test_none_or_all_of_the_cells_may_be_timed():
    frame = pd.DataFrame(rows("a", (4, "incorrect", "off")) + rows("b", (4, "measured", None)))

    found = doubts(frame, info(checks("a", fail=1), checks("b", fail=1)))

    assert found["a"].endswith("none of its 1 cell is timed (1 incorrect, such as: off).")
    assert found["b"].endswith("all 1 cell of other conditions are timed.")


@pytest.fixture
def table() -> Table:
    frame = pd.DataFrame(
        [row | {"run": "one"} for row in RIGHT + rows("mine", (4, "incorrect", "off"))]
        + [row | {"run": "two"} for row in rows("mine", (4, "measured", None))]
    )
    laws = {"workspace_laws": [{"implementation": "mine", "text": "n^2"}]}
    runs = {"one": info(checks("mine", fail=1)) | laws, "two": info(checks("mine"))}
    return Table(frame=frame, info=runs["one"], path=Path("one"), runs=runs)


def test_names_are_marked_in_the_run_where_they_failed_and_wherever_its_info_names_them(table):
    marked = marked_table(table)

    named = marked.frame.groupby("run")["implementation"].unique().map(set).to_dict()
    assert named == {"one": {"right", "mine" + MARK}, "two": {"mine"}}
    assert marked.runs["one"]["verification"]["matrix"][0]["implementation"] == "mine" + MARK
    assert marked.runs["one"]["workspace_laws"][0]["implementation"] == "mine" + MARK
    assert marked.runs["two"] == table.runs["two"]
    assert table.runs["one"]["workspace_laws"][0]["implementation"] == "mine"
    assert marked_table(marked).frame.equals(marked.frame)


def test_fits_are_marked_by_the_names_of_their_groups(table):
    fits = [
        Fit(group={"implementation": name}, claim="n", verdict=Verdict.REFUTED)
        for name in ("right", "mine")
    ]

    names = [fit.group["implementation"] for fit in marked_fits(fits, table)]

    assert names == ["right", "mine" + MARK]


def test_a_foreign_table_has_nobody_to_doubt():
    frame = pd.DataFrame({"n": [1, 2], "implementation": ["a", "b"]})
    table = Table(frame=frame, info={}, path=Path("a.csv"), runs={"a": {}})

    assert marked_table(table).frame["implementation"].tolist() == ["a", "b"]
    assert marked_table(Table(frame=frame[["n"]], info={}, path=Path("a"), runs={"a": {}}))
