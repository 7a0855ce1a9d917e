"""What a person sees of a sweep, on a terminal and elsewhere."""

import io

import pytest
from rich.console import Console

from bench.sweep.progress import LiveProgress, PlainProgress, progress


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


def plain(output, *times: float) -> PlainProgress:
    return PlainProgress(Console(file=output, width=200), iter(times).__next__)


def live(output) -> LiveProgress:
    return LiveProgress(Console(file=output, force_terminal=True, width=160))


def test_elsewhere_lines_come_now_and_then_with_what_is_spent_of_the_time(output):
    with plain(output, 0, *range(40)) as shown:
        for second in range(40):
            shown.measuring(second // 10, 5.0 + second, 200.0)

    assert output.getvalue().splitlines() == [
        "measuring: round 1, 5 s of at most 200 s",
        "measuring: round 2, 15 s of at most 200 s",
        "measuring: round 3, 25 s of at most 200 s",
        "measuring: round 4, 35 s of at most 200 s",
    ]


def test_elsewhere_what_takes_long_is_counted_every_two_seconds_and_short_work_is_not(output):
    with plain(output, 0.0, 0.5, 1.0, 1.9, 2.1, 3.0, 4.2, 5.0) as shown:
        for done in range(1, 8):
            shown.counting("drawing figures", done, 7)

    assert output.getvalue().splitlines() == ["drawing figures: 4 of 7", "drawing figures: 6 of 7"]


def test_elsewhere_phases_are_lines_and_names_with_brackets_are_shown_as_they_are(output):
    plain(output, 0.0).phase("verifying [red]x[/red]")

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
    assert "70 s of at most 200 s" in text
    assert (shown.tasks[0].completed, shown.tasks[0].total) == (70.0, 200.0)


def test_the_bar_counts_what_is_done_of_all(output):
    with live(output) as shown:
        for done in range(13):
            shown.counting("drawing figures", done, 12)

    assert "12 of 12" in output.getvalue()
    assert (shown.tasks[0].completed, shown.tasks[0].total) == (12, 12)


def test_no_thread_draws_the_bar_while_a_call_is_timed(output):
    assert not live(output).live.auto_refresh
