"""Switching rules off: that each stands where its row says, and comes back."""

from pkgutil import resolve_name

import pytest

from reports.judge.result import Verdict
from tests.calibration.ablation import switched_off, watched
from tests.calibration.rules import RULES, Rule
from tests.calibration.scenarios import GRIDS, NOISES, TRUTHS
from tests.calibration.tally import trials, tried

TRUE, FALSE = trials([one for one in TRUTHS if one.name == "n^3*d"], [GRIDS["6x5"]], NOISES[:1], 1)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_stands_where_its_row_says(rule: Rule) -> None:
    assert resolve_name(rule.target) is not None
    assert rule.asked is None or callable(resolve_name(rule.asked))


def test_a_rule_is_off_within_the_block_only_and_has_a_say_where_it_decides() -> None:
    never = Rule(
        name="outside",
        target="reports.judge.judge.refutation",
        without=lambda answer, *_: (Verdict.INCONCLUSIVE, []),
    )

    with switched_off(never):
        assert tried(FALSE).verdict is Verdict.INCONCLUSIVE
    with watched([never]) as told:
        assert tried(FALSE).verdict is Verdict.REFUTED
    assert told == {"outside"}
    with watched([never]) as told:
        assert tried(TRUE).verdict is Verdict.CONFIRMED
    assert told == set()
