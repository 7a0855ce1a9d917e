"""Draw README's pictures: `python docs/pictures.py` makes them anew from the recorded run.

`terminal.svg` is what `attnscale run` answered, and `page.png` the top of the page. It needs
`pip install .[browser]` and a Chromium, whose path is in CHROMIUM if it is no usual one.
"""

import os
import re
import shutil
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.text import Text

from reports.judge.every_cost import fit_every_cost
from reports.page.page import report
from reports.ranking.printed import print_answer
from reports.tables.read import read_tables

HOME = Path(__file__).parent
RUN = HOME.parent / "reports" / "gallery" / "quick"
WIDTH, HEIGHT = 1280, 1260


def draw_terminal(run: Path, out: Path) -> None:
    """The answer in a terminal of 80 columns, as text in an SVG that asks for no font."""
    console = Console(record=True, width=80, file=StringIO(), force_terminal=True)
    console.print(Text("$ attnscale run", style="bold"))
    table = read_tables([run])
    print_answer(table, fit_every_cost(table), console)
    svg = console.export_svg(title="attnscale", unique_id="attnscale")
    out.write_text(re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL), encoding="utf-8")


def draw_page(run: Path, out: Path) -> None:
    """The first screen of the page."""
    found = [os.environ.get("CHROMIUM"), shutil.which("chromium"), shutil.which("google-chrome")]
    with TemporaryDirectory() as folder, sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=next(filter(None, found), None))
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(report([run], Path(folder)).index.as_uri())
        page.screenshot(path=out)
        browser.close()


if __name__ == "__main__":
    pictures = HOME / "pictures"
    pictures.mkdir(exist_ok=True)
    draw_terminal(RUN, pictures / "terminal.svg")
    draw_page(RUN, pictures / "page.png")
