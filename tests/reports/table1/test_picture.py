"""The figure of the table."""

import pytest

from reports.figures.mechanisms_against_n import PANELS, mechanisms_against_n
from reports.table1.picture import figure_data, finding
from tests.reports.table1.counts import LENGTHS, MECHANISMS
from tests.reports.table1.measured import LAWS, judged_rows, times


@pytest.fixture(scope="module")
def rows():
    return judged_rows()


@pytest.fixture(scope="module")
def table(rows):
    return figure_data(rows, MECHANISMS, times())


def points(table, quantity, title):
    rows = table[(table["quantity"] == quantity) & table["layer"].str.startswith(title)]
    return dict(zip(rows["n"], rows["value"], strict=True))


def test_counts_are_drawn_at_the_lengths_that_were_counted(table):
    assert points(table, "sequential", "Recurrent") == {n: 3 * n + 2 for n in LENGTHS}
    assert points(table, "path", "Self-attention (") == {8: 2, 16: 4, 32: 8, 64: 16, 128: 32}


def test_times_are_drawn_at_one_width_that_all_share(table):
    timed = table[table["quantity"] == "time_s"]

    assert timed["d"].nunique() == 1
    assert timed["layer"].nunique() == len(LAWS)


def test_times_are_those_of_one_sequence_of_a_batch(rows, table):
    records = times()
    batched = records["implementation"] == "rnn"
    many = records.assign(batch=batched.map({True: 32, False: 1}))

    one, other = (
        points(drawn, "time_s", "Recurrent")
        for drawn in (table, figure_data(rows, MECHANISMS, many))
    )

    assert other == pytest.approx({n: value / 32 for n, value in one.items()})


def test_the_title_is_what_was_found(rows):
    assert finding(rows).startswith("Any position is 1 operator away in self-attention")
    assert "3·n + 1" in finding(rows)


def test_each_quantity_has_a_panel_with_a_line_for_every_mechanism(table):
    figure = mechanisms_against_n(table, title="A finding", subtitle="")

    assert [axes.get_title(loc="left") for axes in figure.axes] == list(PANELS.values())
    assert [len(axes.lines) for axes in figure.axes] == [len(LAWS)] * 3


def test_a_quantity_without_points_has_no_panel(table):
    counted = table[table["quantity"] != "time_s"]

    assert len(mechanisms_against_n(counted, title="A finding", subtitle="").axes) == 2
