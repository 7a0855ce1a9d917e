"""The section of the page that says whether what was timed is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from reports.page.page import Report, report
from tests.reports.page.some_run import INFO, MARKED, Page, few_rows, write_run


def test_the_matrix_names_the_failing_dtype_and_what_is_allowed(html: str, summary: str) -> None:
    for text in (Page(html).words, summary):
        assert "fail 1 (bfloat16)" in text
        assert "13 times (bfloat16 causal)" in text
        assert "50 % (float32 causal)" in text
        assert "twice the error that the plain formula itself makes in that dtype" in text
    assert "exceeds its allowance in causal and masks by up to a factor of 13" in html


def test_the_matrix_is_a_table_that_can_be_read_aloud(html: str) -> None:
    page = Page(html)
    start = next(
        i for i, (tag, a) in enumerate(page.elements) if a.get("class") == "sortable matrix"
    )
    end = next(i for i, (tag, _) in enumerate(page.elements) if i > start and tag == "figure")
    inside = page.elements[start:end]
    scopes = [a.get("scope") for tag, a in inside if tag == "th"]
    assert scopes == ["col"] * 12 + ["row"] * 2
    kinds = [a.get("class") for tag, a in inside if tag == "td"]
    assert kinds.count("fail") == 2
    assert kinds.count("pass") == 2
    assert kinds.count("unasked") == 16
    # What fails comes first.
    assert kinds.index("fail") < kinds.index("pass")


def test_the_table_of_checks_keeps_every_number(made: Report) -> None:
    table = pd.read_csv(made.path / "tables" / "checks.csv")
    assert len(table) == 8
    assert set(table["implementation"]) == {"alpha", MARKED}
    assert table["share"].max() == pytest.approx(13)
    assert list(table["fail"]) == [0] * 6 + [1] * 2


@pytest.mark.parametrize(
    ("verification", "reason"),
    [
        ({"pass": 31, "fail": 0, "unsupported": 2, "error": 0, "failures": []}, "kept no errors"),
        ({"pass": 31, "matrix": "odd"}, "kept no errors"),
        ({"pass": 31, "matrix": [{}, None, 3]}, "no check recorded both an error and"),
    ],
)
def test_an_older_run_shows_its_counts_and_why_there_is_no_figure(
    verification: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    info = INFO | {"verification": verification}
    found = report([write_run(tmp_path / "old", few_rows("alpha")[:2], info)])
    assert "31 pass" in Page(found.index.read_text(encoding="utf-8")).words
    (line,) = (one for one in found.left_out if one.startswith("Error against allowed: "))
    assert reason in line


def _section(summary: Path, heading: str) -> str:
    rest = summary.read_text(encoding="utf-8").partition(f"## {heading}\n")[2]
    return rest.partition("\n## ")[0]


def test_what_is_unsupported_throughout_is_said_in_the_matrix(tmp_path: Path) -> None:
    one = {"implementation": "alpha", "dtype": "float32", "area": "dropout", "unsupported": 7}
    info = INFO | {"verification": {"unsupported": 7, "matrix": [one]}}
    found = report([write_run(tmp_path / "run", few_rows("alpha")[:2], info)])
    (line,) = [
        line
        for line in _section(found.summary, "Is it right?").splitlines()
        if line.startswith("| alpha |")
    ]
    assert line.count("unsupported") == 1
    assert line.count("–") == 10


@pytest.mark.usefixtures("one_figure")
def test_a_table_without_a_run_says_only_that_nothing_is_known_of_checks(tmp_path: Path) -> None:
    frame = pd.DataFrame(few_rows("alpha"))
    frame.to_csv(tmp_path / "mine.csv", index=False)
    found = report([tmp_path / "mine.csv"])
    text = Page(found.index.read_text(encoding="utf-8")).words
    start = text.rindex("Is it right?")
    assert " ".join(text[start : text.index("What bounds it", start)].split()) == (
        "Is it right? The records do not say whether the implementations were checked before "
        "timing."
    )
    assert not (found.path / "tables" / "checks.csv").exists()
    assert not any("Error against allowed" in line for line in found.left_out)


def test_a_kernel_wrong_throughout_does_not_flood_the_page(tmp_path: Path) -> None:
    failures = [f"alpha: output in case {number}" for number in range(97)]
    info = INFO | {"verification": {"pass": 0, "fail": 97, "failures": failures}}
    found = report([write_run(tmp_path / "run", few_rows("alpha")[:2], info)])
    for text in (
        Page(found.index.read_text(encoding="utf-8")).words,
        found.summary.read_text(encoding="utf-8"),
    ):
        assert text.count("alpha: output in case") == 10
        assert "87 more are in run.json, under verification." in text
