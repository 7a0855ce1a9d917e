"""`sweep --against REV`: a kernel of the working tree and that of a revision in one run."""

import tempfile
from pathlib import Path

import pytest

from attnscale.exit_codes import DONE, FAILED
from bench.records import read_run

pytestmark = pytest.mark.usefixtures("without_answer")

PLAN = """
    rounds = 2
    turn_s = 1e-9
    time_budget_s = 86400  # a command's time begins with its process, here that of all tests
    threads = 1

    [[series]]
    implementations = ["sdpa"]
    seq_lens = [5, 7]
    d_models = [22]
    head_dim = 11
"""
KERNEL = """
    from implementations.attention.matmul import matmul

    def mine(query, key, value):
        '''The {0} one.'''
        return matmul(query, key, value){1}
"""
OLD, NEW, WRONG = KERNEL.format("old", ""), KERNEL.format("new", ""), KERNEL.format("old", " * 2")


@pytest.fixture
def folders(monkeypatch, tmp_path) -> Path:
    """Where checkouts are made."""
    made = tmp_path / "temporary"
    made.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    return made


@pytest.fixture
def sweep(attnscale_, checking, write, folders):
    def run(*options, impl="mine.py:mine"):
        config = write("plan.toml", PLAN)
        own = ("--impl", impl) if impl else ()
        outcome = attnscale_("sweep", "--config", config, *own, "--out", "run", *options)
        assert list(folders.glob("attnscale-*")) == []  # nothing is left of a checkout
        return outcome

    return run


def test_both_versions_are_measured_in_every_pass_of_one_run(sweep, repository, checking):
    commit = repository(mine_of_two=OLD)
    repository(mine_of_two=NEW)

    outcome = sweep("--against", commit, impl="mine=mine_of_two.py:mine")

    assert outcome.code == DONE, outcome.err
    run = read_run(Path("run"))
    suffix = f"@{commit[:12]}"
    assert run.info["against"] == {"rev": commit, "commit": commit, "suffix": suffix}
    old = f"mine{suffix}"
    titles = {name: one["title"] for name, one in run.info["implementations"].items()}
    assert (titles["mine"], titles[old]) == ("The new one.", "The old one.")
    measured = {(one.implementation, one.seq_len, one.round) for one in run.records}
    names = ("sdpa", "mine", old)
    assert measured == {(name, n, turn) for name in names for n in (5, 7) for turn in (0, 1)}
    assert {one.status for one in run.records} == {"measured"}
    # A pass has its own order of all cells, whatever version they are of.
    visits = [one["spec"].partition("=")[0] for one in checking.operations("visit")]
    passes = [visits[start : start + 6] for start in range(0, len(visits), 6)]
    assert all(sorted(one) == sorted(2 * names) for one in passes)
    assert len({tuple(one) for one in passes}) > 1


def test_a_revision_that_fails_its_checks_is_said_and_fails_nothing(sweep, repository, write):
    repository(mine=WRONG)
    write("repository/mine.py", NEW)

    outcome = sweep("--against", "main")

    assert outcome.code == DONE
    assert "mine@main: output in case plain" in outcome.err
    statuses = {(one.implementation, one.status) for one in read_run(Path("run")).records}
    assert statuses == {("sdpa", "measured"), ("mine", "measured"), ("mine@main", "incorrect")}

    repository(other=NEW)
    write("repository/other.py", WRONG)
    assert sweep("--against", "main", "--out", "again", impl="other.py:mine").code == FAILED


def test_a_run_is_resumed_with_the_commit_that_it_began_with(sweep, repository, attnscale_, write):
    repository(mine=OLD)
    assert sweep("--against", "main").code == DONE
    repository(mine=NEW)
    write("repository/mine.py", OLD)

    resumed = attnscale_("sweep", "--resume", "--out", "run")
    other = attnscale_("sweep", "--resume", "--out", "run", "--against", "HEAD~1")

    assert resumed.code == DONE, resumed.err
    assert "nothing is left to measure" in resumed.err
    other.assert_refused("run was begun --against main, not HEAD~1; attnscale sweep --resume")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"impl": None}, "--against needs --impl, your kernel in a git repository: attnscale run"),
        ({"impl": "new.py:mine"}, "new.py is not in main; choose a revision that has it"),
        ({"rev": "nosuch"}, "there is no revision nosuch in"),
        ({"impl": "mine.py:nosuch"}, "mine.py has no function 'nosuch'"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(sweep, repository, options, words):
    repository(mine=OLD)
    Path("new.py").write_text(Path("mine.py").read_text())

    outcome = sweep(
        "--against", options.get("rev", "main"), impl=options.get("impl", "mine.py:mine")
    )

    outcome.assert_refused(words)
    assert not Path("run").exists()
