"""Rulings on claims for people."""

import csv

import pytest
from rich.console import Console

from reports.articles.rulings import (
    ruling_words,
    rulings_markdown,
    rulings_table,
    tally,
    write_rulings,
)
from reports.tables.columns import TableError


def claim(ruling: str, condition: str | None = None, **changed: object) -> dict[str, object]:
    return {
        "article": "007",
        "claim": "it grows | as n",
        "test": "by counting",
        "ruling": ruling,
        "condition": condition,
        "evidence": "2·n",
        "values": {"law": "2·n"},
        **changed,
    }


FOUR = [
    claim("true"),
    claim("false"),
    claim("true on a condition", "n > 3"),
    claim("undecided"),
]


def test_the_tally_names_the_rulings_that_there_are():
    assert tally(FOUR) == "4 claims: 1 true, 1 false, 1 true on a condition and 1 undecided"
    assert tally(FOUR[:1] * 2) == "2 claims: 2 true"


def test_a_condition_stands_behind_its_ruling():
    assert [ruling_words(one) for one in FOUR[1:3]] == ["false", "true on a condition: n > 3"]


def test_the_table_has_claim_ruling_test_and_evidence():
    console = Console(width=80)
    with console.capture() as captured:
        console.print(rulings_table(FOUR))

    text = captured.get()
    assert text.count("it grows | as n") == text.count("Test: by counting.") == 4
    assert "True on a condition: n > 3." in text
    assert [sign in text for sign in "✓✗±?"] == [True] * 4


def test_markdown_has_a_row_each_and_nothing_in_it_acts_as_markup():
    lines = rulings_markdown(FOUR).splitlines()

    assert lines[0].startswith("4 claims: 1 true, ")
    assert len(lines) == 4 + len(FOUR)
    assert lines[4] == "| 007 | it grows \\| as n | ✓ true | by counting | 2·n |"
    assert "± true on a condition: n &gt; 3" in lines[6]


def test_files_hold_the_page_and_the_table(tmp_path):
    page, table = write_rulings(FOUR, tmp_path / "new")

    assert page.read_text(encoding="utf-8").startswith("# Claims of the articles\n\n4 claims")
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["ruling"] for row in rows] == [one["ruling"] for one in FOUR]
    assert list(rows[0]) == ["article", "claim", "ruling", "condition", "test", "evidence"]
    assert rows[2]["condition"] == "n > 3"


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(TableError, match=r"cannot write the claims to .*file.*--out"):
        write_rulings(FOUR, tmp_path / "file" / "out")


@pytest.mark.parametrize("one", FOUR, ids=lambda one: str(one["ruling"]))
def test_every_ruling_can_be_shown(one):
    assert rulings_table([one]).row_count == 1
