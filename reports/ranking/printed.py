"""Rankings on the terminal: who is fastest, and a table of implementations by a few sizes."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from reports.comparison.ratios import Finding, Ratio
from reports.judge.result import Fit
from reports.ranking.ranking import (
    RankedSize,
    RankedTime,
    Ranking,
    interval_of,
    is_to_itself,
    rankings,
)
from reports.tables.read import Table
from reports.text import wording
from reports.verdicts.brief import print_laws
from reports.verdicts.doubts import marked_table

MOST_TABLES = 3
"""Conditions that are shown; the page has them all."""


def print_answer(
    table: Table,
    fits: Sequence[Fit],
    console: Console,
    *,
    named: Sequence[str] = (),
    how: str = "--explain",
) -> None:
    """Print who is fastest where, then each law with its verdict; `how` shows every reason."""
    judged = {fit.value for fit in fits}
    print_rankings(rankings(marked_table(table).frame, named, judged=judged), console)
    if fits:
        console.print()
    print_laws(fits, console, how)


def print_rankings(rankings: Sequence[Ranking], console: Console) -> None:
    """Name the fastest at the largest size and draw a table, for each of a few conditions."""
    for ranking in rankings[:MOST_TABLES]:
        _print_ranking(ranking, console)
    more = len(rankings) - MOST_TABLES
    if more > 0:
        console.print(f"and {wording.count(more, 'more condition')}, which the report shows")


def _print_ranking(ranking: Ranking, console: Console) -> None:
    largest = ranking.sizes[-1]
    if largest.sentence:
        console.print(Text(largest.sentence, style="bold"))
    described = ", ".join(filter(None, (ranking.described, "GPU time" * ranking.is_gpu_time)))
    if largest.sentence and described:
        console.print(Text(described, style="dim"))
    if len(largest.times) > 1 or len(ranking.sizes) > 1:
        console.print(_of_one_size(ranking) if len(ranking.sizes) == 1 else _table(ranking))
    for size in ranking.elsewhere:
        console.print(Text(size.apart))
    for time in largest.times:
        if time.reason:
            console.print(Text(f"{time.implementation}: {time.reason}"))


def _of_one_size(ranking: Ranking) -> Grid:
    """A line for each implementation, with all intervals."""
    (size,) = ranking.sizes
    table = Grid(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for heading in (size.words, _time_name(ranking), f"ratio to {ranking.reference}", "workspace"):
        table.add_column(Text(heading), overflow="fold")
    for own in size.times:
        if own.time_s is None:
            table.add_row(Text(own.implementation), Text(own.without, style="dim"))
            continue
        is_fastest = len(size.timed) > 1 and size.timed[0] is own
        time = Text(_time(own), style="bold green" if is_fastest else "")
        interval = interval_of(own.ratio) if own.ratio else ""
        memory = wording.byte_size(own.workspace_bytes)
        table.add_row(Text(own.implementation), time, _ratio(own.ratio, interval), memory)
    return table


def _table(ranking: Ranking) -> Grid:
    table = Grid(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    compared = any(len(size.timed) > 1 for size in ranking.sizes)
    ratio = f", ratio to {ranking.reference}" if compared else ""
    table.add_column(Text(f"{_time_name(ranking)}{ratio}\nworkspace"), overflow="fold")
    for size in ranking.sizes:
        table.add_column(size.words.replace(", ", "\n"), justify="right", no_wrap=True)
        table.add_column("", no_wrap=True)
    for name in ranking.implementations:
        cells = [_cells(size, name) for size in ranking.sizes]
        table.add_row(Text(name), *(text for pair in cells for text in pair))
    return table


def _time_name(ranking: Ranking) -> str:
    return "GPU time" if ranking.is_gpu_time else "time"


def _cells(size: RankedSize, name: str) -> tuple[Text, Text]:
    """The time above the workspace, and the ratio above its interval where that holds 1."""
    own = size.of(name)
    if own is None or own.time_s is None:
        return Text(wording.NOTHING if own is None else own.without, style="dim"), Text()
    is_fastest = len(size.timed) > 1 and size.timed[0] is own
    time = wording.seconds(own.time_s)
    memory = wording.byte_size(own.workspace_bytes)
    return (
        Text.assemble((time, "bold green" if is_fastest else ""), "\n", (memory, "dim")),
        _ratio(own.ratio),
    )


def _ratio(ratio: Ratio | None, interval: str = "") -> Text:
    """The ratio with its interval: always if it is given, else where it holds 1."""
    if ratio is None:
        return Text()
    if is_to_itself(ratio):
        return Text("1×")
    text = f"{wording.times(ratio.estimate)}×"
    if ratio.finding is Finding.SAME:
        text = f"{text} same"
    if ratio.low is None:
        return Text(f"{text}?")  # nobody can tell how far it is off
    if interval:
        return Text(f"{text} {interval}")
    return Text(f"{text}\n{interval_of(ratio)}" if ratio.finding is Finding.UNTOLD else text)


def _time(own: RankedTime) -> str:
    """`12.3 ms`; `~12.3 ms [11.2, 13.4]` where it is predicted."""
    if own.time_s is None or own.low_s is None or own.high_s is None:
        return wording.seconds(own.time_s)
    return f"~{wording.seconds_between(own.time_s, own.low_s, own.high_s)}"
