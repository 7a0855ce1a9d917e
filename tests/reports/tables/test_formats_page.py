"""Every command on docs/formats.md is run on a sample, and gives the verdicts that stand there."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest

from attnscale.__main__ import main

PAGE = Path(__file__).parents[3] / "docs" / "formats.md"
SAMPLES = Path(__file__).with_name("samples")
ROW = re.compile(r"^\| (?P<what>.*?) \|.*\| `attnscale (?P<command>[^`]*)` \| (?P<verdicts>.*) \|$")

ROWS = [
    found for line in PAGE.read_text(encoding="utf-8").splitlines() if (found := ROW.match(line))
]
CODES = {"refuted": 1, "inconclusive": 3, "confirmed": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The samples, where a command can be run; a binary one is made here."""
    copied = tmp_path_factory.mktemp("page") / "samples"
    shutil.copytree(SAMPLES, copied)
    pd.read_json(copied / "list.json").to_parquet(copied / "times.parquet")
    return copied


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["what"])
def test_a_command_of_the_page_gives_the_verdicts_beside_it(
    row: re.Match[str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as ended:
        main([*shlex.split(row["command"]), "--json"])
    verdicts = row["verdicts"].split(", ")
    fits = json.loads(capsys.readouterr().out)["fits"]
    assert [fit["verdict"] for fit in fits] == verdicts
    assert ended.value.code == CODES[next(one for one in CODES if one in verdicts)]


def test_the_page_has_every_sample_and_every_sample_is_on_the_page() -> None:
    files = {shlex.split(row["command"])[1].split("/")[0] for row in ROWS}
    assert files - {"times.parquet"} == {path.name for path in SAMPLES.iterdir()}
    assert len(ROWS) > 20
