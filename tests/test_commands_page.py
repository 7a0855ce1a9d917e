"""The reference of the commands cannot drift from the options that it is written from."""

import runpy
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"


def test_the_committed_reference_is_what_the_commands_say():
    written = runpy.run_path(str(DOCS / "commands.py"))["page"]()

    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert page == written, "run python docs/commands.py"
