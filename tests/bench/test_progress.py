"""What a person sees of a sweep, on a terminal and elsewhere."""

import io

import pytest
from rich.console import Console

from bench.records import Record
from bench.sweep.progress import LiveProgress, PlainProgress, progress, remaining

RECORD = Record(
    implementation="matmul",
    kind="core",
    pass_="forward",
    device="cpu",
    dtype="float32",
    batch=1,
    num_heads=1,
    seq_len=5,
    key_len=5,
    head_dim=11,
    d_model=11,
    is_causal=False,
    mask="none",
    status="measured",
)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


def test_elsewhere_lines_come_now_and_then_with_elapsed_and_remaining(output):
    clock = Clock()
    shown = PlainProgress(Console(file=output, width=200), clock)

    with shown:
        shown.visits(done=10, total=50, left_s=200.0)
        for number in range(40):
            clock.now = 1.0 + number
            shown.visit(f"cell {number}", RECORD, left_s=156.0 - 4.0 * number)

    lines = output.getvalue().splitlines()
    assert lines[0] == "measuring: 40 visits, about 3 min left"
    assert lines[1] == "11/50 visits, 1 s elapsed, about 3 min left; last: cell 0"
    assert lines[2] == "21/50 visits, 11 s elapsed, about 2 min left; last: cell 10"
    assert lines[3] == "31/50 visits, 21 s elapsed, about 76 s left; last: cell 20"
    assert lines[-1] == "50/50 visits, 40 s elapsed, about 0 s left; last: cell 39"
    assert len(lines) == 6


def test_under_a_time_budget_nobody_says_how_many_visits_there_will_be(output):
    clock = Clock()
    shown = PlainProgress(Console(file=output, width=200), clock)

    shown.visits(done=3, total=None, left_s=80.0)
    clock.now = 13.0
    shown.visit("cell", RECORD, left_s=67.0)

    assert output.getvalue().splitlines() == [
        "measuring: about 80 s left",
        "4 visits, 13 s elapsed, about 67 s left; last: cell",
    ]


def test_further_visits_go_on_counting_the_time(output):
    clock = Clock()
    shown = PlainProgress(Console(file=output, width=200), clock)

    clock.now = 100.0
    shown.visits(done=0, total=1, left_s=9.0)
    clock.now = 109.0
    shown.visit("cell", RECORD, left_s=0.0)
    shown.visits(done=1, total=2, left_s=5.0)
    clock.now = 114.0
    shown.visit("cell", RECORD, left_s=0.0)

    assert output.getvalue().splitlines()[-1].startswith("2/2 visits, 14 s elapsed")


def test_the_bar_counts_the_time_of_all_visits_and_none_before(output):
    shown = LiveProgress(Console(file=output, force_terminal=True, width=160))
    preparing = shown._task

    with shown:
        shown.visits(done=0, total=1, left_s=9.0)
        measuring = shown._task
        shown.visits(done=1, total=2, left_s=5.0)

    assert preparing != measuring == shown._task
    assert shown._bar.tasks[0].total == 2


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "about 0 s left"),
        (89.4, "about 89 s left"),
        (90.0, "about 2 min left"),
        (5400.0, "about 90 min left"),
    ],
)
def test_what_is_left_is_told_no_finer_than_it_is_known(seconds, shown):
    assert remaining(seconds) == shown


def test_elsewhere_phases_are_lines_but_pilots_are_not(output):
    shown = PlainProgress(Console(file=output, width=200), Clock())

    shown.phase("verifying matmul")
    shown.phase("trying matmul: n=5")

    assert output.getvalue() == "verifying matmul\n"


def test_names_with_brackets_are_shown_as_they_are(output):
    PlainProgress(Console(file=output, width=200), Clock()).phase("verifying [red]x[/red]")

    assert output.getvalue() == "verifying [red]x[/red]\n"


def test_a_terminal_gets_the_bar_and_anything_else_lines(output):
    assert isinstance(progress(Console(file=output, force_terminal=True)), LiveProgress)
    assert isinstance(progress(Console(file=output)), PlainProgress)


def test_the_bar_counts_visits_and_names_the_cell(output):
    shown = LiveProgress(Console(file=output, force_terminal=True, width=160))

    with shown:
        shown.phase("verifying matmul")
        shown.visits(done=3, total=5, left_s=70.0)
        shown.visit("matmul [n=5]", RECORD, left_s=67.0)
        shown._bar.refresh()

    assert "matmul [n=5]" in output.getvalue()
    assert "4/5" in output.getvalue()
    assert "about 67 s left" in output.getvalue()


def test_the_bar_counts_visits_although_their_number_is_not_known(output):
    shown = LiveProgress(Console(file=output, force_terminal=True, width=160))

    with shown:
        shown.visits(done=3, total=None, left_s=70.0)
        shown.visit("matmul", RECORD, left_s=67.0)
        shown._bar.refresh()

    assert "4/?" in output.getvalue()
