"""How an implementation looks: its colour and marker, the same in every figure of every page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from reports.verdicts.doubts import MARK

Line = Literal["-", "--", "-.", ":"]

# Okabe & Ito (2008), without the yellow that vanishes on white; ordered so that neighbours also
# differ in lightness, since a printed page is grey. No pure black: an SVG leaves that out, and the
# dark variant could not replace it.
_VERMILION, _BLACK, _SKY, _PINK = "#D55E00", "#111111", "#56B4E9", "#CC79A7"
_GREEN, _ORANGE, _BLUE = "#009E73", "#E69F00", "#0072B2"
COLOURS = (_BLUE, _ORANGE, _GREEN, _PINK, _SKY, _BLACK, _VERMILION)
"""Implementations that are not ours get the last ones first."""
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_LINES: tuple[Line, ...] = ("-", "--", "-.", ":")

# Those that a preset measures differ in colour, but for the eight of `cuda`. Vermilion is mostly
# left for other people's. Who joins stands last: the others keep their markers.
_OURS: Mapping[str, tuple[str, ...]] = {
    _BLUE: ("sdpa", "multi_head"),
    _ORANGE: (
        "matmul",
        "multi_head_matmul",
        "matmul_compiled",
        "rnn",
        "additive",
        "sliding_window_layer",
        "matmul_widened",
        "additive_layer",
    ),
    _GREEN: (
        *("query_chunked", "single_head", "flex", "query_chunked_compiled", "convolution"),
        *("additive_chunked", "unscaled"),
    ),
    _PINK: (
        *("online_softmax", "multi_head_online_softmax", "online_softmax_compiled", "lstm"),
        "cross_attention",
    ),
    _SKY: (
        *("sdpa_flash", "torch_multi_head", "row_loop", "linear", "gru", "linear_layer"),
        *("sdpa_cudnn", "torch_multi_head_fast_path"),
    ),
    _BLACK: (
        *("sdpa_efficient", "loop", "triton_flash", "sliding_window", "multi_head_wide"),
        "feed_forward",
    ),
    _VERMILION: ("convolution_dilated", "sdpa_math"),
}


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a series is drawn; the same in every figure of a report."""

    colour: str
    marker: str
    line: Line = "-"

    @property
    def style(self) -> dict[str, Any]:
        """What matplotlib is told of it."""
        return {"color": self.colour, "marker": self.marker, "linestyle": self.line}


def _look(colour: str, place: int) -> Look:
    """One of many looks in a colour; neighbouring colours begin with other markers."""
    marker = _MARKERS[(COLOURS.index(colour) + 2 * place) % len(_MARKERS)]
    return Look(colour=colour, marker=marker, line=_LINES[place // len(_MARKERS) % len(_LINES)])


_OUR_LOOKS: Mapping[str, Look] = {
    name: _look(colour, place)
    for colour, names in _OURS.items()
    for place, name in enumerate(names)
}


def looks_for(
    implementations: Iterable[str], taken: Mapping[str, Look] | None = None
) -> dict[str, Look]:
    """The look of each implementation: that of `taken`, else our own, else what is left.

    Ours have the same look on every page. All others have, in the order of their names, the first
    free look of the colour that is used least on the page.
    """
    names = sorted(set(implementations))
    ours = {name: _OUR_LOOKS.get(name.removesuffix(MARK)) for name in names}
    looks = {name: look for name, look in ours.items() if look} | dict(taken or {})
    used = Counter(look.colour for look in looks.values())
    for name in names:
        if name not in looks:
            colour = min(reversed(COLOURS), key=lambda one: used[one])
            used[colour] += 1
            offered = [_look(colour, place) for place in range(len(_MARKERS) * len(_LINES))]
            free = (look for look in offered if look not in looks.values())
            looks[name] = next(free, offered[0])
    return {name: looks[name] for name in names}


def looks_of_series(
    implementation_of: Mapping[str, str], looks: Mapping[str, Look]
) -> dict[str, Look]:
    """The look of each series, by its label: that of its implementation, and a line of its own.

    Series of one implementation, such as those of two runs, differ in the line, then in the marker.
    """
    found, seen = {}, Counter[str]()
    for label in sorted(implementation_of):
        implementation = implementation_of[label]
        place = seen[implementation]
        seen[implementation] += 1
        look = looks[implementation]
        at = _MARKERS.index(look.marker) + place // len(_LINES)
        marker, line = _MARKERS[at % len(_MARKERS)], _LINES[place % len(_LINES)]
        found[label] = replace(look, marker=marker, line=line)
    return found
