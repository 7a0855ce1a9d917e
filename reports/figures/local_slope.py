"""The local exponent of n, between each size and the next, with the claimed exponent as a line.

A power law is level here; overhead bends the left end down, and a change of regime is a bump.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from reports.cells.slopes import local_slopes
from reports.figures import canvas
from reports.figures.panels import Panel, choose, not_shown
from reports.figures.size_names import OUR_SIZES
from reports.figures.view import Series, View
from reports.laws.grammar import LawError, parse_declared
from reports.text import wording

STEM = "local_slope_against_n"
_ROOM = 0.1  # exponents above and below the slopes
_REACH = 0.6  # exponents that bars may add to the axis
_MOST = 4.0  # the axis ends here; wilder slopes are noise, and are in the table
_LEAST = -1.0


def missing(view: View) -> str | None:
    """Why the figure cannot be drawn; None where it can."""
    cells = view.cells
    if "seq_len" not in cells or cells["seq_len"].isna().all():
        return "the records have no seq_len column"
    if not _panels(view):
        length, width = (
            view.sizes.get(name, OUR_SIZES[name]).column for name in ("seq_len", "d_model")
        )
        fixed = f" and one {width}" if "d_model" in view.sizes else ""
        return f"no implementation was measured at three or more values of {length}{fixed}"
    return None


def data(view: View) -> pd.DataFrame:
    """One row for each pair of neighbouring sizes of a series (see `reports.cells.slopes`).

    `seq_len` is their geometric mean, `slope` the change of log(time) over that of log(seq_len),
    `slope_low` and `slope_high` its 95 % interval by the spread between rounds or processes, empty
    where there is one; `claimed` the claimed exponent of n, where the claim could be read.
    """
    return _table(view).copy()


@lru_cache(maxsize=4)
def _table(view: View) -> pd.DataFrame:
    parts = []
    for panel in _panels(view):
        for series, _ in panel.members:
            part = _slopes(series, panel)
            part.insert(0, "d_model", panel.value)
            part.insert(0, "series", series.label)
            part["claimed"] = claimed_exponent(series, view.sizes["seq_len"].letter)
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def claimed_exponent(series: Series, letter: str = "n") -> float | None:
    """The greatest exponent of a size in the leading terms of the claim; None without a claim."""
    text = series.fit.claim if series.fit else _own_claim(series)
    if text is None:
        return None
    try:
        law = parse_declared(text, series.fit.sizes if series.fit else ())
        return max(float(term.power(letter)) for term in law.leading)
    except LawError:
        return None


def title(view: View) -> str:
    """The slope at the largest sizes of each implementation."""
    last = pd.DataFrame([rows.iloc[-1] for _, rows in _widest(data(view))])
    slopes = [
        f"{slope:.2f} ({wording.shortened(name)})"
        for name, slope in zip(last["series"], last["slope"], strict=True)
    ]
    claims = sorted({f"{value:g}" for value in last["claimed"].dropna()})
    claimed = f"; claimed {wording.listed(claims)}" if claims else ""
    letter = view.sizes["seq_len"].letter
    return f"Local exponent of {letter} at the largest sizes: {wording.listed(slopes)}{claimed}"


def caption(view: View) -> str:
    """What is plotted, and the conditions."""
    table = data(view)
    parts = [
        f"Change of log(time) over change of log({view.sizes['seq_len'].letter}) between "
        "neighbouring sizes, at their geometric mean. Overhead bends the left end down; a change "
        "of regime is a bump.",
        *view.stated(),
    ]
    if (table["slope_low"] < table["slope_high"]).any():
        parts.append("Bars are 95 % intervals by the spread between rounds or processes.")
    if table["claimed"].notna().any():
        parts.append("The dashed grey line is the claimed exponent.")
    beyond = int((~table["slope"].between(_LEAST, _MOST)).sum())
    if beyond:
        parts.append(f"{wording.count(beyond, 'slope')} beyond the axis: see the table.")
    hidden = not_shown(view.series, _panels(view))
    if hidden:
        parts.append(f"Too few sizes to be shown: {wording.listed(hidden)}.")
    return " ".join(parts)


def alt(view: View) -> str:
    """The figure in words."""
    ends = []
    for label, one in _widest(data(view)):
        fixed = view.sizes.get("d_model", OUR_SIZES["d_model"]).letter
        at = "" if one["d_model"].isna().any() else f" at {fixed} = {one['d_model'].iloc[0]:g}"
        ends.append(
            f"{label}{at}: {one['slope'].iloc[0]:.2f} at the smallest sizes, "
            f"{one['slope'].iloc[-1]:.2f} at the largest"
        )
    return f"Local log-log slope of time against {view.sizes['seq_len'].name}. {'; '.join(ends)}."


def draw(view: View) -> Figure:
    """The figure: the local exponent over sequence length.

    Raises:
        ValueError: there is nothing to draw (`missing` says why).

    """
    reason = missing(view)
    if reason is not None:
        raise ValueError(f"cannot draw the local slope: {reason}")
    panels = _panels(view)
    table = data(view)
    size, fixed = view.sizes["seq_len"], view.sizes.get("d_model", OUR_SIZES["d_model"])
    entries = [
        canvas.series_entry(one.look, wording.shortened(one.label))
        for one in view.series
        if one.label in set(table["series"])
    ]
    if table["claimed"].notna().any():
        line = Line2D([], [], color="#888888", linestyle=(0, (5, 3)))
        entries.append(canvas.Entry(handle=line, label="claimed exponent"))
    with canvas.styled():
        figure, axes = canvas.framed(
            title=title(view),
            subtitle=view.described(),
            panels=["" if one.value is None else f"{fixed.column} {one.value:g}" for one in panels],
            entries=entries,
        )
        for panel, one in zip(panels, axes, strict=True):
            _draw_panel(one, panel, table, size.label)
            if one is axes[0]:
                one.set_ylabel(f"local exponent of {size.letter} (no unit)")
    return figure


def _draw_panel(axes: Axes, panel: Panel, table: pd.DataFrame, label: str) -> None:
    at = table if panel.value is None else table[table["d_model"] == panel.value]
    for series, _ in panel.members:
        rows = at[at["series"] == series.label]
        axes.errorbar(
            rows["seq_len"],
            rows["slope"],
            yerr=canvas.spread_of(rows["slope_low"], rows["slope"], rows["slope_high"]),
            color=series.look.colour,
            marker=series.look.marker,
            linestyle=series.look.line,
            linewidth=1.2,
            elinewidth=0.8,
            capsize=2,
            zorder=3,
        )
    for claim in sorted(set(at["claimed"].dropna())):
        axes.axhline(claim, color="#888888", linewidth=1.1, linestyle=(0, (5, 3)), zorder=1)
    shown = [*at["slope"], *at["claimed"].dropna()]
    # Bars are shown whole unless they would squeeze the points.
    bars = [*at["slope_low"].dropna(), *at["slope_high"].dropna(), *shown]
    low = max(_LEAST, min(bars) - _ROOM, min(shown) - _REACH)
    high = min(_MOST, max(bars) + _ROOM, max(shown) + _REACH)
    axes.set_ylim(low, max(high, low + 0.5))
    axes.yaxis.set_major_locator(MaxNLocator(7))
    sizes = sorted({size for _, rows in panel.members for size in rows["seq_len"].tolist()})
    canvas.size_axis(axes, sizes, label)


def _panels(view: View) -> tuple[Panel, ...]:
    return choose(view.series, along="seq_len", fixed="d_model")


def _slopes(series: Series, panel: Panel) -> pd.DataFrame:
    rows = series.records
    if panel.value is not None:
        rows = rows[pd.to_numeric(rows["d_model"]) == panel.value]
    names = {
        "at": "seq_len",
        "size_low": "seq_len_from",
        "size_high": "seq_len_to",
        "slope": "slope",
        "low": "slope_low",
        "high": "slope_high",
    }
    return local_slopes(rows, against="seq_len")[list(names)].rename(columns=names)


def _widest(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Each series with its slopes at the largest d_model shown."""
    return [
        (str(label), rows[rows["d_model"].eq(rows["d_model"].max()) | rows["d_model"].isna()])
        for label, rows in table.groupby("series")
    ]


def _own_claim(series: Series) -> str | None:
    if "claim" not in series.cells:
        return None
    claims: Sequence[object] = series.cells["claim"].dropna().unique().tolist()
    return str(claims[0]) if len(claims) == 1 else None
