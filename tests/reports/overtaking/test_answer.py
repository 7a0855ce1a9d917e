"""What a run says of who overtakes whom, under each of its conditions."""

import pandas as pd
import pytest
from rich.console import Console

from reports.overtaking.answer import Overtaking, overtaking_in, print_overtaking
from reports.tables.columns import TableError
from tests.reports.overtaking.some_run import LENGTHS, WIDTHS, answered, records


def found_in(*parts: pd.DataFrame) -> Overtaking:
    return overtaking_in(pd.concat(parts, ignore_index=True), {})


@pytest.fixture(scope="module")
def of_two_passes() -> Overtaking:
    """Backward, `square` takes three times as long, and three times as many operations."""
    backward = records(slower=3.0, **{"pass": "forward+backward"})
    backward.loc[backward["implementation"] == "square", "flops_executed"] *= 3
    return found_in(records(), backward)


def test_one_sort_of_cells_needs_no_conditions():
    found = answered()

    assert [one.conditions for one in found.implementations] == [""] * len(WIDTHS)
    assert [one.d_model for one in found.implementations] == list(WIDTHS)
    assert [one.predicted for one in found.implementations] == [
        pytest.approx(2 * d, rel=0.1) for d in WIDTHS
    ]


def test_each_pass_has_crossings_of_its_own(of_two_passes):
    assert {one.conditions for one in of_two_passes.implementations} == {"pass forward"}
    backward = [one for one in of_two_passes.terms if "backward" in one.conditions]
    forward = [one for one in of_two_passes.terms if one.conditions == "pass forward"]
    assert len(forward) == len(backward) > 0
    assert {one.implementation for one in forward} == {"square"}


def test_operations_of_a_term_are_those_of_its_own_cells(of_two_passes):
    """Over all cells of both passes no polynomial gives the counts."""
    counted = {
        (one.faster, one.slower): one.counted
        for one in of_two_passes.terms
        if one.conditions == "pass forward"
    }

    assert counted["n^2*d", "n*d^2"] == pytest.approx(3.0)


def test_what_shares_no_condition_is_not_compared():
    def compared(**conditions: int) -> int:
        square, line = records("square", lengths=few, **conditions), records("line", lengths=few)
        return len(found_in(square, line).implementations)

    few = LENGTHS[:3]
    assert compared() > 0
    assert compared(batch=32) == 0


def test_a_table_without_our_columns_or_without_times_is_one_line():
    with pytest.raises(TableError, match="no implementation"):
        overtaking_in(pd.DataFrame({"n": [1], "time_s": [1.0]}), {})
    with pytest.raises(TableError, match="no cell has a time"):
        overtaking_in(records().assign(status="timeout", time_s=None), {})


def printed(found: Overtaking) -> str:
    console = Console(width=200)
    with console.capture() as shown:
        print_overtaking(found, console)
    return shown.get()


def test_the_tables_say_where_a_crossing_holds_if_there_are_several_sorts(of_two_passes):
    text = printed(of_two_passes)

    assert "Within a law" in text
    assert "Between implementations" in text
    assert text.count("where") == 2
    assert "pass forward+backward" in text
    assert "where" not in printed(answered())


def test_the_document_holds_every_field(of_two_passes):
    document = of_two_passes.to_dict()

    assert set(document) == {"terms", "implementations"}
    assert document["implementations"][0]["conditions"] == "pass forward"
    assert {one["conditions"] for one in document["terms"]} == {
        "pass forward",
        "pass forward+backward",
    }
