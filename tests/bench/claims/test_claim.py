"""A claim becomes a decision: true, false, on a condition, or undecided with its reason."""

from bench.claims.claim import Claim, Decision, Ruling, all_hold


def test_all_checks_must_hold_for_true_and_all_are_told():
    right = all_hold([(True, "one"), (True, "two")], size=3)
    wrong = all_hold([(True, "one"), (False, "no two")])

    assert (right.ruling, right.evidence, right.values) == (Ruling.TRUE, "one; two", {"size": 3})
    assert (wrong.ruling, wrong.evidence) == (Ruling.FALSE, "one; no two")


def test_a_test_that_raises_leaves_its_claim_undecided():
    def broken() -> Decision:
        raise ValueError("no polynomial")

    claim = Claim(article="000", text="it grows", how="by counting", test=broken)

    decision = claim.decide()
    assert decision.ruling is Ruling.UNDECIDED
    assert decision.evidence == "the test raised ValueError: no polynomial"
