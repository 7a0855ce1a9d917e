"""Words into pages: HTML, where every text is escaped, and Markdown, where filters do it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reports.text import wording
from reports.verdicts.table import MOST_COLUMNS

_TEMPLATES = Path(__file__).with_name("templates")
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=\w)|(?<==) | (?==)")


def write_pages(index: Path, summary: Path, words: dict[str, object]) -> None:
    """Write the HTML page and the Markdown summary of the same words."""
    script = _text("page.js")
    digest = hashlib.sha256(f"\n{script}".encode()).digest()
    own = {
        "css": _text("page.css"),
        "script": script,
        # The browser runs this script and no other, whatever a name in the records contains.
        "script_hash": f"sha256-{base64.b64encode(digest).decode('ascii')}",
    }
    _write_text(index, _render("index.html.j2", words | own))
    _write_text(summary, _render("summary.md.j2", words))


def _text(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _render(template: str, words: Mapping[str, object]) -> str:
    pages = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    pages.globals["most_columns"] = MOST_COLUMNS
    filters: dict[str, Callable[..., str]] = {
        "md": wording.markdown,
        "percent": wording.percent,
        "capital": wording.capital,
        "shortened": wording.shortened,
        # A number stays beside its unit.
        "unbroken": lambda text: _BEFORE_UNIT.sub("\u00a0", text),
    }
    pages.filters.update(filters)
    return pages.get_template(template).render(words)


def _write_text(path: Path, text: str) -> None:
    # Bytes, so that every platform writes the same line ends.
    path.write_bytes(text.encode("utf-8"))
