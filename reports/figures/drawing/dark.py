"""The dark variant of a figure: other colours in the same SVG, where the reader prefers them.

One file serves both, since a picture in a page hears of the reader's preference too. On paper, and
in programs that know no media queries, the figure is light.
"""

from __future__ import annotations

from collections.abc import Mapping

DARK: Mapping[str, str] = {
    "#ffffff": "#14171b",
    "#222222": "#e6e8ea",
    "#444444": "#aab0b6",
    "#555555": "#aab0b6",
    "#888888": "#8a9097",
    "#dddddd": "#33383e",
    "#111111": "#f5f5f5",
    "#0072b2": "#4fa8dc",
    "#d55e00": "#f2803a",
    "#009e73": "#2fc298",
    "#cc79a7": "#dd96bd",
}
"""The dark colour for each light one of the style sheet and of the looks; the others do for both.

The ground is that of the page (reports/page/templates/page.css).
"""
_RULE = "[style*='{kind}: {light}']{{{kind}:{dark}!important}}"


def with_dark_variant(svg: str) -> str:
    """The SVG of matplotlib with a style that replaces its colours in a dark page."""
    rules = "".join(
        _RULE.format(kind=kind, light=light, dark=dark)
        for light, dark in DARK.items()
        for kind in ("fill", "stroke")
    )
    query = f"@media screen and (prefers-color-scheme:dark){{{rules}}}"
    return svg.replace("</style>", f"{query}</style>", 1)
