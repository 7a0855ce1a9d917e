"""What was found, in one or two sentences: how many claims held, and who was fastest."""

from __future__ import annotations

from collections.abc import Sequence

from reports.figures.drawing.view import View
from reports.judge.result import Verdict
from reports.text import wording
from reports.verdicts.verdict_rows import VerdictRow, sections

_MOST_NAMED = 10  # rows; more would bury the finding under names
_ORDER = (Verdict.CONFIRMED, Verdict.REFUTED, Verdict.INCONCLUSIVE)


def findings(rows: Sequence[VerdictRow], views: Sequence[View] = ()) -> list[str]:
    """A sentence for the verdicts on each cost, then the fastest where that can be compared."""
    sentences = []
    for section in sections(rows):
        many = len(section.rows) > _MOST_NAMED
        words = _counted(section.rows) if many else _named(section.rows)
        sentences.append(f"{section.title}: {words}.")
    best = fastest(views)
    return [*(sentences or ["No claim was judged."]), *([best] if best else [])]


def _named(rows: Sequence[VerdictRow]) -> str:
    """`n^2*d confirmed for a and b, inconclusive for c; n confirmed for d`."""
    claims = []
    for claim in dict.fromkeys(row.fit.claim for row in rows):
        judged = [row for row in rows if row.fit.claim == claim]
        parts = []
        for verdict in _ORDER:
            names = [wording.shortened(row.label) for row in judged if row.fit.verdict is verdict]
            if names:
                parts.append(f"{verdict} for {wording.listed(names)}")
        claims.append(f"{claim} {', '.join(parts)}")
    return "; ".join(claims)


def _counted(rows: Sequence[VerdictRow]) -> str:
    """`22 of 24 claims confirmed, 1 refuted (a), 1 inconclusive (b)`."""
    parts = []
    for verdict in _ORDER:
        names = [wording.shortened(row.label) for row in rows if row.fit.verdict is verdict]
        if verdict is Verdict.CONFIRMED:
            parts.append(f"{len(names)} of {len(rows)} claims confirmed")
        elif names:
            parts.append(f"{len(names)} {verdict} ({wording.listed(names, most=4)})")
    return ", ".join(parts)


def fastest(views: Sequence[View]) -> str:
    """Who was fastest at the largest sizes that enough implementations share.

    Of several views the one with most series speaks. Empty where nothing can be compared.
    """
    best = max(views, key=lambda view: len(view.series), default=None)
    if best is None or len(best.series) < 2:
        return ""
    cells = best.cells
    sizes = [
        name for name in ("batch", "num_heads", "seq_len", "key_len", "d_model") if name in cells
    ]
    if "seq_len" not in sizes:
        return ""
    case = cells.groupby(sizes, dropna=False).ngroup()
    together = cells.groupby(case)["series"].transform("nunique")
    # At least half must be there: a size that only slow implementations reach says little.
    shared = cells[(together > 1) & (2 * together >= together.max())]
    if shared.empty:
        return ""
    order = [name for name in ("seq_len", "d_model") if name in sizes]
    largest = shared.sort_values(order).iloc[-1]
    same = shared[case[shared.index] == case[largest.name]]
    ranked = same.sort_values(["time_s", "series"])
    first, second = ranked.iloc[0], ranked.iloc[1]
    ratio = second["time_s"] / first["time_s"]
    conditions = f" ({described})" if (described := best.described()) else ""
    pace = f"{ratio:.2f} times as fast as {wording.shortened(str(second['series']))}"
    level = " (their readings overlap)" if first["time_high_s"] >= second["time_low_s"] else ""
    where = f"{best.sizes['seq_len'].letter} = {largest['seq_len']:g}"
    if "d_model" in sizes and "d_model" in best.sizes and largest["d_model"] == largest["d_model"]:
        where += f", {best.sizes['d_model'].column} {largest['d_model']:g}"
    return (
        f"Fastest at {where}{conditions}: {wording.shortened(str(first['series']))} with "
        f"{wording.seconds(first['time_s'])}, {pace}{level}."
    )
