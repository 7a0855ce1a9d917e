"""The verdicts in few lines: one for each law, and the most important of what is open."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.judge.result import Fit, Verdict
from reports.text import wording
from reports.verdicts.reasons import COSTS
from reports.verdicts.table import COLOURS, MOST_COLUMNS, SIGNS, print_tables
from reports.verdicts.verdict_rows import VerdictRow, sections, verdict_rows

MOST_LINES = 3
MOST_NAMED = 2
ONE_SIZE = "one size tells no law; name several with --seq-lens"
_ADVISED = ("too_few_sizes", "range_too_short", "mixed_readings", "sizes_collinear")
"""Reasons whose numbers say what to do, more exactly than the reason does."""
_ORDER = (Verdict.REFUTED, Verdict.INCONCLUSIVE)


def tells_no_law(fits: Sequence[Fit]) -> bool:
    """Whether no size varies in any group, so that nothing was measured that could tell a law."""
    return bool(fits) and all(max(fit.levels.values(), default=0) < 2 for fit in fits)


def print_briefly(fits: Sequence[Fit], console: Console) -> None:
    """Draw a table of verdicts for each cost, then the most important of what is open."""
    rows = verdict_rows(fits)
    print_tables(rows, console)
    for line in open_lines(rows):
        console.print(line)


def print_laws(fits: Sequence[Fit], console: Console, how: str = "--explain") -> None:
    """One line for each law of the time with its exponents; verdicts on other costs beside it.

    Then, in three lines at most, what is refuted or open and what to do about it.
    """
    if not fits:
        return
    if tells_no_law(fits):
        console.print(ONE_SIZE)
        return
    rows = verdict_rows(fits)
    console.print(_table(rows))
    verdicts = dict.fromkeys(
        verdict for verdict in Verdict if any(f.verdict is verdict for f in fits)
    )
    confidence = wording.listed(list(dict.fromkeys(f"{fit.confidence:.0%}" for fit in fits)))
    meant = ", ".join(f"{SIGNS[verdict]} {verdict}" for verdict in verdicts)
    console.print(Text(f"{meant}; exponents with {confidence} intervals", style="dim"))
    for line in open_lines(rows, how):
        console.print(line)


def _table(rows: Sequence[VerdictRow]) -> Table:
    first, *others = sections(rows)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column(f"law of {COSTS.get(first.rows[0].fit.value, first.title)}", overflow="fold")
    table.add_column("claim", overflow="fold")
    is_wide = len(first.letters) <= MOST_COLUMNS
    for letter in first.letters if is_wide else ("",):
        table.add_column(f"{letter} exponent".strip(), no_wrap=True)
    for section in others:
        table.add_column(COSTS.get(section.rows[0].fit.value, section.title), overflow="fold")
    beside = [{row.label: row for row in section.rows} for section in others]
    for row in first.rows:
        exponents = [row.exponent(letter) for letter in first.letters]
        if not is_wide:
            named = zip(first.letters, exponents, strict=True)
            exponents = ["\n".join(f"{letter} {text}" for letter, text in named)]
        table.add_row(
            Text.assemble(badge(row.fit), f" {row.label}"),
            Text(row.fit.claim),
            *exponents,
            *(_beside(rows_of_cost.get(row.label)) for rows_of_cost in beside),
        )
    return table


def _beside(row: VerdictRow | None) -> Text:
    return Text() if row is None else Text.assemble(badge(row.fit), f" {row.fit.claim}")


def badge(fit: Fit) -> tuple[str, str]:
    """The sign of a verdict and its colour."""
    return SIGNS[fit.verdict], COLOURS[fit.verdict]


def open_lines(rows: Sequence[VerdictRow], how: str = "--explain") -> list[Text]:
    """What is refuted, then what is open: whom it concerns, the main reason, and what to do.

    Times come first. Three at most; the last says `how` to see why, and how many more there are.
    """
    found = []
    for section, verdict in product(sections(rows), _ORDER):
        some = [row for row in section.rows if row.fit.verdict is verdict and row.fit.reasons]
        for code in dict.fromkeys(row.fit.reasons[0] for row in some):
            own = [row for row in some if row.fit.reasons[0] == code]
            meant = wording.by_text((row.meanings[code].next_step, row) for row in own)
            found += [_line(step, those, code) for step, those in meant.items()]
    shown = found[:MOST_LINES]
    if shown:
        more = len(found) - len(shown)
        rest = f" ({more} more, and why: {how})" if more else f" (why: {how})"
        shown[-1] = shown[-1] + Text(rest, style="dim")
    return shown


def _line(next_step: str, rows: Sequence[VerdictRow], code: str) -> Text:
    names = wording.listed([wording.shortened(row.label) for row in rows], most=MOST_NAMED)
    value = rows[0].fit.value
    of_cost = "" if value == "time_s" else f", {COSTS.get(value, value)}"
    reason = code.replace("_", " ")
    numbers = {row.numbers.get(code) for row in rows}
    if code in _ADVISED and len(numbers) == 1 and (shared := numbers.pop()):
        next_step = shared
    return Text.assemble(badge(rows[0].fit), f" {names}{of_cost}: {reason}. {next_step}")
