"""What refutes nothing: too short a range, and a jump beside two claimed terms."""

from pathlib import Path

import pandas as pd
import pytest

from reports.judge.fit import fit
from reports.judge.result import Fit, Verdict

TABLES = Path(__file__).parent


def judged(name: str, claim: str) -> Fit:
    return fit(pd.read_csv(TABLES / name), sizes={"n": "n", "d": "d"}, claim=claim)


@pytest.mark.parametrize(
    ("table", "claim", "reason"),
    [
        # n·d² + n²·d, six sizes by four, with overhead and one jump by 1.3: the claim is true.
        ("jump_beside_two_terms.csv", "n*d^2 + n^2*d", "models_undecided"),
        # A cost with a term in n, but d takes three values over two doublings.
        ("two_doublings.csv", "1", "range_too_short"),
    ],
)
def test_a_small_grid_leaves_the_claim_open_and_says_why(
    table: str, claim: str, reason: str
) -> None:
    found = judged(table, claim)

    assert found.verdict is Verdict.INCONCLUSIVE
    assert reason in found.reasons
