"""What `run --against` says at its end, and the code that it gives."""

from attnscale.comparing import compare_with_revision
from attnscale.exit_codes import DONE, FAILED, INCONCLUSIVE
from tests.reports.comparison.some_runs import square, times, write_run

AGAINST = {"against": {"rev": "main", "commit": "0123", "suffix": "@main"}}


def test_a_kernel_that_is_slower_than_the_revision_fails_if_that_was_asked(tmp_path, capsys):
    laws = {"mine": times(1.2), "mine@main": square}
    run = write_run(tmp_path / "run", laws, info=AGAINST)

    assert compare_with_revision(run, 0.05) == FAILED
    told = capsys.readouterr()
    assert told.out.startswith("\nSlower: mine (1.")
    assert "slower by more than 5%: mine" in told.err
    assert compare_with_revision(run, 0.4) == DONE
    assert compare_with_revision(run, None) == DONE


def test_too_few_turns_for_a_comparison_are_said(tmp_path, capsys):
    run = write_run(tmp_path / "run", {"mine@main": square}, info=AGAINST, turns=1)

    assert compare_with_revision(run, 0.05) == INCONCLUSIVE
    assert "no comparison: " in capsys.readouterr().err
    assert compare_with_revision(run, None) == DONE


def test_a_run_of_two_turns_tells_nothing(tmp_path, capsys):
    laws = {"mine": times(1.2), "mine@main": square}
    run = write_run(tmp_path / "run", laws, info=AGAINST, turns=2, scatter=0.3)

    assert compare_with_revision(run, 0.05) == DONE
    assert "cannot tell" in capsys.readouterr().out


def test_a_run_without_a_revision_is_compared_with_nothing(tmp_path, capsys):
    assert compare_with_revision(write_run(tmp_path / "run"), 0.05) == DONE
    assert capsys.readouterr().out == ""
