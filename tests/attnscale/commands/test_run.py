"""The command `run` where nothing could be measured."""

import pytest

from attnscale.commands import run
from attnscale.exit_codes import FAILED, INCONCLUSIVE
from tests.attnscale.commands.test_crossovers import write_run


@pytest.mark.parametrize("code", [FAILED, INCONCLUSIVE])
def test_a_measurement_of_nothing_keeps_its_code(attnscale_, tmp_path, monkeypatch, code):
    nothing = write_run(tmp_path / "run", status="timeout")
    monkeypatch.setattr(run, "measure", lambda **_: (nothing, code))

    outcome = attnscale_("run")

    assert outcome.code == code
    assert "no report: " in outcome.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["5%"], "--fail-on-regression needs --against REV"),
        (["five", "--against", "main"], "expected a percentage such as 5%"),
    ],
)
def test_a_regression_needs_a_limit_and_a_revision(attnscale_, words, told):
    attnscale_("run", "--fail-on-regression", *words).assert_refused(told)
