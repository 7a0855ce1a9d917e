"""The command `compare`: formats, exit codes and refusals."""

import json

import pytest

from attnscale.commands.options import share_of
from attnscale.exit_codes import DONE, FAILED, WRONG_REQUEST
from attnscale.terminal import RequestError
from tests.reports.comparison.some_runs import times, write_run


@pytest.fixture
def base(tmp_path):
    return write_run(tmp_path / "base")


@pytest.fixture
def slower(tmp_path):
    return write_run(tmp_path / "new", {"mine": times(1.2)}, sources={"mine": "bb"})


def test_the_answer_is_the_first_line(attnscale_, base, slower):
    outcome = attnscale_("compare", base, slower)

    assert outcome.code == DONE
    assert outcome.out.splitlines()[0] == "Slower: mine (1.20 times as long)."


def test_a_regression_beyond_the_limit_fails(attnscale_, base, slower):
    failed = attnscale_("compare", base, slower, "--fail-on-regression", "5%")
    passed = attnscale_("compare", base, slower, "--fail-on-regression", "40 %")

    assert failed.code == FAILED
    assert "slower by more than 5%: mine" in failed.err
    assert passed.code == DONE


def test_markdown_and_json_are_written_to_a_file(attnscale_, base, slower, tmp_path):
    file = tmp_path / "there" / "comment.md"

    assert attnscale_("compare", base, slower, "--format", "markdown", "--out", file).code == DONE
    outcome = attnscale_("compare", base, slower, "--format", "json")

    assert file.read_text().startswith("**Slower: mine")
    assert json.loads(outcome.out)["series"][2]["finding"] == "slower"


def test_implementations_of_one_run(attnscale_, slower):
    outcome = attnscale_("compare", slower, "--implementations", "sdpa,mine")

    assert "Slower: mine against sdpa" in outcome.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--fail-on-regression", "five"], "expected a percentage such as 5%"),
        (["--format", "html"], "expected text, markdown or json"),
        (["--implementations", "sdpa,mine"], "for one run"),
        (["--across-machines", "--fail-on-regression", "5%"], "calls nothing slower"),
    ],
)
def test_a_wrong_request_is_one_line(attnscale_, tmp_path, words, told):
    outcome = attnscale_("compare", tmp_path / "a", tmp_path / "b", *words)

    assert outcome.code == WRONG_REQUEST
    assert told in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_folder_that_is_no_run_is_one_line(attnscale_, base, tmp_path):
    outcome = attnscale_("compare", base, tmp_path / "nowhere")

    assert outcome.code == WRONG_REQUEST
    assert "is not a run directory" in outcome.err


@pytest.mark.parametrize("text", ["5", "%", "-1%", "5%%", "nan%", "2000%"])
def test_what_is_no_percentage_is_refused(text):
    with pytest.raises(RequestError, match="expected a percentage"):
        share_of(text)
    assert share_of("2.5 %") == pytest.approx(0.025)
