"""The verdicts in few lines."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from reports.judge.result import Fit, Verdict
from reports.verdicts.brief import ONE_SIZE, open_lines, print_laws
from reports.verdicts.verdict_rows import verdict_rows
from tests.reports.verdicts.some_fits import judged

LEVELS = {"n": 7, "d": 5}


def lines_of(*fits: Fit) -> list[str]:
    return [line.plain for line in open_lines(verdict_rows(fits), "attnscale fit run --explain")]


def shown(*fits: Fit) -> list[str]:
    page = io.StringIO()
    print_laws(fits, Console(file=page, width=80))
    return [line.rstrip() for line in page.getvalue().splitlines()]


def an_open(name: str, reason: str, **changes) -> Fit:
    return judged(name, Verdict.INCONCLUSIVE, reasons=(reason,), levels=LEVELS, **changes)


def test_what_is_refuted_comes_first_with_what_to_do() -> None:
    refuted = judged("mine", Verdict.REFUTED, reasons=("faster_growing_term", "censored_cells"))

    first, second = lines_of(an_open("a", "overhead_dominates"), refuted)

    assert first == "✗ mine: faster growing term. Look for what in the code costs so much."
    assert second == (
        "? a: overhead dominates. Measure larger sizes. (why: attnscale fit run --explain)"
    )


def test_three_lines_are_the_most_and_the_last_counts_the_rest() -> None:
    codes = ("overhead_dominates", "too_few_sizes", "lack_of_fit", "noisy_measurements")
    fits = [an_open(name, code) for code in codes for name in "abcd"]

    lines = lines_of(*fits)

    assert len(lines) == 3
    assert lines[0].startswith("? a, b and 2 more: overhead dominates. ")
    assert lines[-1].endswith("(1 more, and why: attnscale fit run --explain)")


def test_an_open_workspace_is_told_after_the_times() -> None:
    workspace = an_open("a", "lack_of_fit", value="workspace_bytes")

    lines = lines_of(workspace, an_open("b", "lack_of_fit"))

    assert [line.partition(":")[0] for line in lines] == ["? b", "? a, workspace"]


def test_nothing_is_said_of_what_is_confirmed() -> None:
    assert lines_of(judged("a", Verdict.CONFIRMED, reasons=("regime_change",))) == []


def test_a_law_is_one_line_with_the_verdict_on_its_workspace_beside() -> None:
    time = judged("a", Verdict.CONFIRMED, levels=LEVELS)
    workspace = judged("a", Verdict.REFUTED, value="workspace_bytes", claim="n", levels=LEVELS)

    heading, line, meaning = shown(time, workspace)

    assert heading.split() == ["law", "of", "time", "claim", "n", "exponent", "workspace"]
    assert line.split() == ["✓", "a", "n^2*d", "1.50", "[1.40,", "1.60]", "✗", "n"]
    assert meaning == "✓ confirmed, ✗ refuted; exponents with 95% intervals"


def test_one_size_tells_no_law() -> None:
    fits = [an_open(name, "too_few_sizes") for name in "ab"]
    assert shown(*[replace(fit, levels={"n": 1, "d": 1}) for fit in fits]) == [ONE_SIZE]
