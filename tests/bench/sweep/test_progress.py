"""What a person sees of a sweep, on a terminal and elsewhere."""

import io

import pytest
from rich.console import Console

from bench.sweep.progress import LiveProgress, PlainProgress, progress, remaining


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


def plain(output, *times: float) -> PlainProgress:
    return PlainProgress(Console(file=output, width=200), iter(times).__next__)


def live(output) -> LiveProgress:
    return LiveProgress(Console(file=output, force_terminal=True, width=160))


def test_elsewhere_lines_come_now_and_then_with_what_is_spent_and_left(output):
    with plain(output, *range(40)) as shown:
        for second in range(40):
            shown.measuring(second // 10, 5.0 + second, 200.0)

    assert output.getvalue().splitlines() == [
        "measuring: round 1, 5 s spent, at most 3 min left",
        "measuring: round 2, 15 s spent, at most 3 min left",
        "measuring: round 3, 25 s spent, at most 3 min left",
        "measuring: round 4, 35 s spent, at most 3 min left",
    ]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-7.0, "at most 0 s left"),
        (0.0, "at most 0 s left"),
        (89.4, "at most 89 s left"),
        (90.0, "at most 2 min left"),
        (5400.0, "at most 90 min left"),
    ],
)
def test_what_is_left_is_told_no_finer_than_it_is_known(seconds, shown):
    assert remaining(seconds) == shown


def test_elsewhere_phases_are_lines_and_names_with_brackets_are_shown_as_they_are(output):
    plain(output).phase("verifying [red]x[/red]")

    assert output.getvalue() == "verifying [red]x[/red]\n"


def test_a_terminal_gets_the_bar_and_anything_else_lines(output):
    assert isinstance(progress(Console(file=output, force_terminal=True)), LiveProgress)
    assert isinstance(progress(Console(file=output)), PlainProgress)


def test_the_bar_is_that_of_the_time_and_names_what_is_done(output):
    with live(output) as shown:
        shown.phase("verifying [matmul]")
        assert shown.tasks[0].total is None
        shown.measuring(4, 70.0, 200.0)

    text = output.getvalue()
    assert "verifying [matmul]" in text
    assert "measuring, round 5" in text
    assert "at most 2 min left" in text
    assert (shown.tasks[0].completed, shown.tasks[0].total) == (70.0, 200.0)


def test_no_thread_draws_the_bar_while_a_call_is_timed(output):
    assert not live(output).live.auto_refresh
