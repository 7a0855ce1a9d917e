"""What a person sees of a sweep, on a terminal and elsewhere."""

import io

import pytest
from rich.console import Console

from bench.progress import LiveProgress, PlainProgress, progress
from bench.records import Record

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
        shown.visits(done=10, total=50, rounds=2)
        for number in range(40):
            clock.now = 1.0 + number
            shown.visit(f"cell {number}", RECORD)

    lines = output.getvalue().splitlines()
    assert lines[0] == "measuring 40 visits in 2 rounds"
    assert lines[1] == "11/50 visits, 1 s elapsed, ? remaining; last: cell 0"
    assert lines[2] == "21/50 visits, 11 s elapsed, about 29 s remaining; last: cell 10"
    assert lines[-1] == "50/50 visits, 40 s elapsed, about 0 s remaining; last: cell 39"
    assert len(lines) == 6


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
        shown.visits(done=3, total=5, rounds=1)
        shown.visit("matmul [n=5]", RECORD)
        shown._bar.refresh()

    assert "matmul [n=5]" in output.getvalue()
    assert "4/5" in output.getvalue()
