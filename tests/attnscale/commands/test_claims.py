"""`attnscale claims`: every claim is decided; few claims stand for all where only words matter."""

import json

import pytest

from attnscale.exit_codes import DONE, INCONCLUSIVE, WRONG_REQUEST
from bench.claims import article_claims, by_resources
from bench.claims.claim import Claim, Decision, Ruling
from bench.machine.nvml import Unavailable


def claim(test) -> Claim:
    return Claim(article="007", text="it grows", how="by counting", test=test)


@pytest.fixture
def few(monkeypatch):
    """Two claims that are decided at once."""
    right = Decision(ruling=Ruling.TRUE, evidence="2·n", values={"slope": 2})
    wrong = Decision(ruling=Ruling.FALSE, evidence="3·n")
    monkeypatch.setattr(article_claims, "CLAIMS", (claim(lambda: right), claim(lambda: wrong)))


def test_every_claim_of_the_articles_is_decided_as_the_facts_have_it(attnscale_, monkeypatch):
    monkeypatch.setattr(by_resources, "find_meter", lambda device: Unavailable("no counter here"))

    shown = attnscale_("claims", "--json")

    claims = json.loads(shown.out)["claims"]
    assert shown.code == DONE, [one for one in claims if one["ruling"] == "undecided"]
    assert [one["ruling"] for one in claims] == [
        *("true", "false", "true on a condition"),
        *("false", "true", "false", "true"),
        "false",
        *("false", "false", "true on a condition", "true on a condition"),
        "false",
        *("true on a condition", "true on a condition"),
        "false",
    ]
    assert all(one["evidence"] and one["values"] for one in claims)
    assert all((one["condition"] is None) != ("condition" in one["ruling"]) for one in claims)


def test_the_claims_are_a_table_for_people(attnscale_, few):
    shown = attnscale_("claims")

    assert shown.code == DONE
    assert "2 claims: 1 true and 1 false" in shown.out
    assert "deciding: it grows" in shown.err


def test_markdown_is_a_table_on_stdout(attnscale_, few):
    out = attnscale_("claims", "--markdown").out

    assert out.splitlines()[-1] == "| 007 | it grows | ✗ false | by counting | 3·n |"


def test_out_writes_the_page_and_the_table(attnscale_, few, tmp_path):
    shown = attnscale_("claims", "--out", tmp_path / "new")

    assert {path.name for path in (tmp_path / "new").iterdir()} == {"claims.md", "claims.csv"}
    assert f"claims: {tmp_path / 'new' / 'claims.md'}" in shown.err


def test_a_place_that_cannot_be_written_is_one_line(attnscale_, few, tmp_path):
    (tmp_path / "file").write_text("in the way")

    shown = attnscale_("claims", "--out", tmp_path / "file" / "out")

    assert shown.code == WRONG_REQUEST
    assert "cannot write there" in shown.err.splitlines()[-1]


def test_a_claim_that_could_not_be_decided_makes_the_answer_inconclusive(attnscale_, monkeypatch):
    def broken() -> Decision:
        raise ValueError("nothing to count")

    monkeypatch.setattr(article_claims, "CLAIMS", (claim(broken),))

    shown = attnscale_("claims")

    assert shown.code == INCONCLUSIVE
    assert "the test raised ValueError: nothing to count" in shown.out
