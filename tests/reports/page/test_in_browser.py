"""The page as a browser shows it, on a large and a small screen, light, dark and on paper.

Needs the extra `browser` (playwright) and a Chromium of the system; else the tests are skipped.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from reports.page.page import Report

playwright = pytest.importorskip(
    "playwright.sync_api", reason='needs playwright: pip install "attnscale[browser]"'
)
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs a Chromium, such as apt's chromium")
WIDE, NARROW, PAPER = (1280, 900), (390, 844), (688, 1000)


@dataclass
class Opened:
    """A page in the browser, with what it asked for and what it complained of."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def evaluate(self, script: str) -> Any:
        return self.page.evaluate(script)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM)
        yield found
        found.close()


def opened(browser: Any, made: Report, size: tuple[int, int], scheme: str = "light") -> Opened:
    width, height = size
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    found = Opened(page)
    page.on("request", lambda request: found.requests.append(request.url))
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on("console", lambda line: found.complaints.append(f"{line.type}: {line.text}"))
    page.on("dialog", lambda dialog: found.complaints.append(dialog.message))
    page.goto(made.index.resolve().as_uri())
    return found


@pytest.fixture
def wide(browser: Any, made: Report) -> Iterator[Opened]:
    found = opened(browser, made, WIDE)
    yield found
    found.page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_nothing_is_cut_asked_for_or_complained_of(
    browser: Any, made: Report, size: tuple[int, int], scheme: str
) -> None:
    found = opened(browser, made, size, scheme)
    found.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")

    assert found.evaluate("document.documentElement.scrollWidth") == size[0]
    assert [url for url in found.requests if not url.startswith("data:")] == [
        made.index.resolve().as_uri()
    ]
    assert found.complaints == []
    assert _is_dark(found.page.screenshot()) is (scheme == "dark")
    assert _is_dark(found.page.locator("figure img").first.screenshot()) is (scheme == "dark")
    found.page.close()


def test_a_click_on_a_heading_sorts_by_the_number_and_a_second_one_turns_it(wide: Opened) -> None:
    table = wide.page.locator("table.every")
    wide.evaluate("document.querySelector('#cells').parentElement.open = true")
    heading = table.get_by_role("button", name="time a call")
    at = heading.evaluate("button => button.parentElement.cellIndex")
    column = f"[...document.querySelectorAll('table.every tbody tr')].map(row => row.cells[{at}])"
    values = f"{column}.map(cell => Number(cell.dataset.value)).filter(Boolean)"

    heading.click()
    texts = wide.evaluate(f"{column}.map(cell => cell.textContent)")
    upwards = wide.evaluate(values)
    heading.click()
    downwards = wide.evaluate(values)

    assert len(upwards) == 38
    assert upwards == sorted(upwards)
    assert downwards == upwards[::-1]
    assert texts[-2:] == ["–", "–"]
    assert table.locator("th[aria-sort=descending]").inner_text().startswith("time a call")


def test_a_filter_shows_the_rows_that_have_every_word(wide: Opened) -> None:
    wide.evaluate("document.querySelector('#cells').parentElement.open = true")
    rows = wide.page.locator("table.every tbody tr:visible")
    assert rows.count() == 40

    wide.page.locator("#cells .filter input").first.fill("ALPHA skipped")

    assert rows.count() == 1
    assert "1 of 40 rows" in wide.page.locator("#cells .filter").first.inner_text()


def test_what_is_closed_opens_by_a_click_and_by_its_link(wide: Opened) -> None:
    environment, bounds = wide.page.locator("#environment"), wide.page.locator("#bounds")
    assert not environment.is_visible()
    assert not bounds.is_visible()

    wide.page.get_by_text("What bounds it").last.click()
    wide.page.locator("nav a[href='#environment']").click()

    assert environment.is_visible()
    assert bounds.is_visible()


def test_a_printed_page_shows_what_is_closed_on_the_screen(browser: Any, made: Report) -> None:
    found = opened(browser, made, PAPER, "dark")
    found.page.emulate_media(media="print", color_scheme="light")

    assert found.page.locator("#environment").is_visible()
    assert found.evaluate("document.documentElement.scrollWidth") == PAPER[0]
    assert not _is_dark(found.page.screenshot())
    assert found.page.pdf(format="A4").startswith(b"%PDF")
    found.page.close()


def _is_dark(screenshot: bytes) -> bool:
    from PIL import Image, ImageStat

    with Image.open(io.BytesIO(screenshot)) as picture:
        return bool(ImageStat.Stat(picture.convert("L")).mean[0] < 128)
