"""The picture of the rooms cannot drift from the imports that it is drawn from."""

import runpy
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"


def test_the_committed_picture_is_what_the_imports_draw():
    drawn = runpy.run_path(str(DOCS / "rooms.py"))["picture"]()

    assert (DOCS / "rooms.svg").read_text(encoding="utf-8") == drawn, "run python docs/rooms.py"
