"""The ranking on a terminal of 80 columns."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from reports.judge.every_cost import fit_every_cost
from reports.ranking.printed import print_answer, print_rankings
from reports.ranking.ranking import rankings
from tests.reports.ranking.some_run import frame, rows, table

SIZES = ["n", "=", "128", "n", "=", "512", "n", "=", "2048"]


def shown(found, named=()) -> list[str]:
    page = io.StringIO()
    whole = table(found)
    fits = fit_every_cost(whole)
    print_answer(whole, fits, Console(file=page, width=80), named=named)
    lines = [line.rstrip() for line in page.getvalue().splitlines()]
    assert all(len(line) <= 80 for line in lines)
    return lines


def test_the_answer_comes_first_then_the_table_then_the_laws() -> None:
    lines = shown(frame())

    assert lines[0].startswith(
        "fastest at n = 2048, d = 1024: sdpa, 4.29 s; quick is as fast (1.01"
    )
    assert lines[2] == "cpu, float32, forward, 1 thread"
    assert lines[3].split() == ["time,", "ratio", "to", "sdpa", *SIZES]
    (slow,) = [line for line in lines if line.startswith("slow")]
    assert " ".join(slow.split()) == "slow 2.09 ms 2.00× 134 ms 2.00× 8.59 s 2.00×"
    assert lines[lines.index(slow) + 1].split() == ["16", "KiB", "256", "KiB", "4", "MiB"]
    (law,) = [line for line in lines if line.startswith("✓ slow")]
    assert law.split()[2] == "n^2*d"
    assert law.endswith("✓ n^2")
    assert lines[-1] == "✓ confirmed; exponents with 95% intervals"


def test_one_size_is_ranked_and_tells_no_law() -> None:
    lines = shown(frame(rows(lengths=(4096,), widths=(512,))), named=["slow"])

    assert lines[0].startswith("fastest at n = 4096, d = 512: sdpa, 8.59 s; quick")
    assert "ratio to slow" in lines[3]
    assert lines[-1] == "one size tells no law; name several with --seq-lens"
    assert len(lines) == 9


def test_a_second_condition_has_a_table_of_its_own_and_many_are_counted() -> None:
    dtypes = ("float32", "float64", "bfloat16", "float16", "float8")
    parts = [rows(lengths=(512,), widths=(64,), dtype=one) for one in dtypes]

    console = Console(file=io.StringIO(), width=80, record=True)
    print_rankings(rankings(frame(*parts)), console)

    lines = console.export_text().splitlines()
    assert sum(line.startswith("fastest at") for line in lines) == 3
    assert "and 2 more conditions, which the report shows" in lines


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>", "[red]n[/red]", "mine[/b]"])
def test_names_are_no_markup(name: str) -> None:
    for lengths in ((512,), (512, 1024)):
        lines = shown(frame(rows({name: 1.0, "sdpa": 2.0}, lengths=lengths, widths=(64,))), [name])

        (shown_name, *_) = [line for line in lines if "1×" in line]
        assert shown_name.startswith(name)
