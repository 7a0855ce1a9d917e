"""The table of claims: every one, in its order, decided by running subjects that may change."""

import inspect

import pytest

from bench.claims.article_claims import CLAIMS, decided
from bench.claims.claim import Claim, Decision, Ruling

# Of the table that the project started from, in its order.
ARTICLES = (
    *("000", "000", "000", "001", "001", "001", "001", "002"),
    *("003", "003", "003", "003", "003, 004", "003", "003", "004"),
)


def test_the_table_has_every_claim_in_order():
    assert tuple(claim.article for claim in CLAIMS) == ARTICLES
    assert len({claim.text for claim in CLAIMS}) == len(CLAIMS)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.test.__name__)
def test_every_test_has_a_subject_that_may_be_changed(claim):
    parameters = inspect.signature(claim.test).parameters.values()

    assert parameters
    assert all(one.default is not inspect.Parameter.empty for one in parameters)


def test_an_entry_has_exactly_the_keys_of_the_contract():
    claim = Claim(
        article="007",
        text="it grows",
        how="by counting",
        test=lambda: Decision(
            ruling=Ruling.CONDITIONAL, evidence="2·n", values={"law": "2·n"}, condition="n > 3"
        ),
    )

    assert decided(claim) == {
        "article": "007",
        "claim": "it grows",
        "test": "by counting",
        "ruling": "true on a condition",
        "condition": "n > 3",
        "evidence": "2·n",
        "values": {"law": "2·n"},
    }
