"""What a measuring command says of a run that had too little time."""

from pathlib import Path

import pytest

from attnscale.measuring import tell_longer
from bench.records import write_info
from reports.judge.result import Fit, Verdict

OPEN = ("noisy_measurements",)


def fit(*reasons: str, value: str = "time_s") -> Fit:
    return Fit(
        group={},
        claim="n^2*d",
        verdict=Verdict.INCONCLUSIVE if reasons else Verdict.CONFIRMED,
        reasons=reasons,
        cells=3,
        confidence=0.95,
        tolerance=0.1,
        value=value,
    )


@pytest.mark.parametrize(
    ("budget_s", "longer"), [(240, "8min"), (90, "3min"), (20, "40s"), (0.25, "0.5s")]
)
def test_what_more_readings_may_settle_names_the_command_with_twice_the_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], budget_s: float, longer: str
):
    write_info(tmp_path, {"schedule": {"ended": "the time was spent", "time_budget_s": budget_s}})
    tell_longer(tmp_path, [fit(), fit(*OPEN)], "run")
    again = f"attnscale run --resume --out {tmp_path} --time-budget {longer}"
    assert capsys.readouterr().out == f"to measure longer: {again}\n"


@pytest.mark.parametrize(
    ("ended", "of_run"),
    [
        ("the exponents are known to ± 0.03, or no better with more time", fit(*OPEN)),
        ("the time was spent", fit()),
        ("the time was spent", fit("too_few_sizes")),
        ("the time was spent", fit(*OPEN, value="workspace_bytes")),
    ],
)
def test_what_time_does_not_settle_asks_for_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ended: str, of_run: Fit
):
    write_info(tmp_path, {"schedule": {"ended": ended, "time_budget_s": 240}})
    tell_longer(tmp_path, [of_run], "run")
    assert capsys.readouterr().out == ""
