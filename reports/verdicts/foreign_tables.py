"""What to do about tables that leave something out: settings, sizes that move, too few sizes."""

from __future__ import annotations

import re

from reports.judge.proposals import compatible
from reports.judge.result import Fit, Verdict
from reports.laws.grammar import parse_declared
from reports.tables.plain_text.notation import is_number
from reports.text.wording import listed


def on_settings(fit: Fit) -> str:
    """Each setting that changes the cost among rows of the same sizes, and what it may be."""
    parts = []
    for one in fit.mixed:
        if one.factor > 1 and not one.averaged:
            letter = _letter(one.column, fit)
            times = f"{float(f'{one.factor:.2g}'):,.10g}"
            ways = [f"name it with --size {letter}={one.column}"] * all(map(is_number, one.values))
            ways.append(f"group by it with --by {one.column}")
            parts.append(
                f"{one.text('')}, and its values cost up to {times} times as much: "
                f"{', '.join(ways)}, or average over it with --average {one.column}"
            )
    return "; ".join(parts)


def on_moving_sizes(fit: Fit) -> str:
    """Each size that moves with one of the claim, and how to judge with it."""
    parts = []
    for one in fit.moving:
        letter = _letter(one.column, fit)
        size = next((n for n, column in fit.sizes.items() if column == one.against), one.against)
        claim = " + ".join(f"{letter}*{term}" for term in parse_declared(fit.claim, fit.sizes))
        parts.append(
            f"{one.column} {'rises' if one.rises else 'falls'} as {size} grows: judge with it "
            f'by --size {letter}={one.column} --claim "{claim}"'
        )
    return "; ".join(parts)


def _letter(column: str, fit: Fit) -> str:
    """A letter for a column that is no size yet: its usual one, or the first free one of a law."""
    usual = {"num_heads": "h", "heads": "h", "batch": "b", "batch_size": "b", "key_len": "m"}
    letters = [usual.get(column, ""), *re.findall("[a-z]", column.lower()), *"xyzuvw"]
    return next(str(one) for one in letters if one and one not in fit.sizes)


def growth_of_few(fit: Fit) -> list[str]:
    """What can be said of sizes too few for a verdict: slopes, and laws that they exclude."""
    found = compatible(fit) if fit.verdict is Verdict.INCONCLUSIVE else None
    if found is None:
        return []
    open_laws, excluded = found
    slopes = ", ".join(f"{one.slope:.2f}" for one in fit.local_slopes)
    text = [f"the cost grows from size to size by the powers {slopes}"] if slopes else []
    if open_laws and excluded:
        agree = listed([law.unicode() for law in open_laws])
        text.append(f"consistent with {agree}, excludes {listed([x.unicode() for x in excluded])}")
    return [": ".join(text)] if text else []
