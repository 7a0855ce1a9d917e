"""The answer in a few sentences: is it right, does the law hold, who is fastest where?"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from reports.comparison.ratios import Finding
from reports.conditions.checks import failed
from reports.judge.result import Verdict
from reports.page.cards import claim_of
from reports.page.correctness import Correctness
from reports.page.pictures import Group
from reports.ranking.ranking import RankedSize, RankedTime, Ranking, second_in_words
from reports.text import wording
from reports.verdicts.verdict_rows import VerdictRow, sections, verdict_rows

_MOST_RANKINGS = 2  # of conditions; each has its cards
_MOST_NAMED = 4  # more names would bury the finding
_SUBJECTS = ("graph_time_s", "time_s")  # where both were measured, the claims are about the first
_MOST_UNDECIDED = 3  # names; the cards have them all
_WORDS = {
    Verdict.CONFIRMED: "confirmed",
    Verdict.REFUTED: "refuted",
    Verdict.INCONCLUSIVE: "undecided",
}


def findings(
    rows: Sequence[VerdictRow],
    checks: pd.DataFrame,
    checked: Sequence[Correctness],
    groups: Sequence[Group],
) -> list[str]:
    """Who is fastest, whether it is right, and whether the law holds: a sentence each.

    What nobody can tell is left out, except that no claim was judged.
    """
    compared = [
        (", ".join(name for name in (group.name, found.name) if name), found.ranking)
        for group in groups
        for found in group.cards
    ]
    told = [fastest(ranking, where) for where, ranking in compared[:_MOST_RANKINGS]]
    doubtful = [name for run in checked for name in run.doubtful]
    return [one for one in (*told, rightness(checks, doubtful), law(rows)) if one]


def rightness(checks: pd.DataFrame, doubtful: Sequence[str]) -> str:
    """Whether what was timed is right; empty where nothing is known of checks.

    `checks` is the table of `reports.conditions.checks`, `doubtful` are the marked names of those
    that failed somewhere.
    """
    if doubtful:
        names = wording.listed([wording.shortened(name) for name in doubtful], most=_MOST_NAMED)
        return f"Wrong in a check or in a timed call: {names}; see “Is it right?”."
    if checks.empty or not int(checks["pass"].sum()) or int(failed(checks).sum()):
        return ""
    number = checks["implementation"].nunique()
    passed = wording.count(int(checks["pass"].sum()), "check")
    if number == 1:
        return f"{checks['implementation'].iloc[0]} is right: it passed {passed}."
    who = "Both" if number == 2 else f"All {number}"
    return f"{who} implementations are right: they passed {passed}."


def law(rows: Sequence[VerdictRow]) -> str:
    """For whom the claims on time hold, run by run: on the GPU's where that was judged."""
    if not rows:
        return "No claim was judged."
    values = {row.fit.value for row in rows}
    subjects = [value for value in _SUBJECTS if value in values] or [rows[0].fit.value]
    runs = list(dict.fromkeys(row.fit.group.get("run") for row in rows))
    told = []
    for run in runs:
        own = [row.fit for row in rows if row.fit.group.get("run") == run]
        subject = next((one for one in subjects if any(fit.value == one for fit in own)), None)
        if subject is not None:
            # Labelled anew: what tells all rows of the page apart is more than these need.
            (section,) = sections(verdict_rows([fit for fit in own if fit.value == subject]))
            of_run = f" in {wording.one_line(run)}" if len(runs) > 1 else ""
            told.append(f"{section.title}{of_run}: {_claims(section.rows)}.")
    return " ".join(told)


def _claims(rows: Sequence[VerdictRow]) -> str:
    """`n²·d confirmed for a and b, undecided for 8 others; n confirmed for d`."""
    claims = []
    for claim in dict.fromkeys(claim_of(row.fit) for row in rows):
        parts: list[str] = []
        for verdict, word in _WORDS.items():
            names = [
                wording.shortened(row.label)
                for row in rows
                if claim_of(row.fit) == claim and row.fit.verdict is verdict
            ]
            if len(names) == len(rows) > _MOST_NAMED:
                parts.append(f"{word} for all {len(names)}")
            elif verdict is Verdict.INCONCLUSIVE and len(names) > _MOST_UNDECIDED:
                others = " others" if parts else ""
                parts.append(f"{word} for {len(names)}{others}")
            elif names:
                parts.append(f"{word} for {wording.listed(names, most=_MOST_NAMED)}")
        claims.append(f"{claim} {', '.join(parts)}")
    return "; ".join(claims)


def fastest(ranking: Ranking, where: str = "") -> str:
    """Who is fastest at the sizes of a ranking, the largest size first; empty if there is one.

    `where` says under which conditions, if the page has others.
    """
    compared = [size for size in reversed(ranking.sizes) if len(size.timed) > 1]
    if not compared:
        return ""
    largest, *smaller = compared
    first, second = largest.timed[:2]
    some = f" ({where})" if where else ""
    told = [f"Fastest at {largest.words}{some}: {_with_time(first)}"]
    if second.behind is not None:
        told.append(second_in_words(second))
    winners = [first.implementation]
    for size in smaller:
        own = size.timed[0]
        if own.implementation not in winners and _is_behind(size, winners):
            winners.append(own.implementation)
            told.append(f"at {size.words} it is {_with_time(own)}")
    return f"{'; '.join(told)}."


def _is_behind(size: RankedSize, names: Sequence[str]) -> bool:
    """Whether all that have a time at a size are surely slower there than the fastest."""
    behind = [one.behind for one in map(size.of, names) if one is not None and one.behind]
    return all(ratio.finding is Finding.SLOWER for ratio in behind)


def _with_time(one: RankedTime) -> str:
    return f"{wording.shortened(one.implementation)} with {wording.seconds(one.time_s)}"
