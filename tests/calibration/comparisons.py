"""How often does `compare` name what did not change, and how often does it find what did?

`python tests/calibration/comparisons.py --pairs 40 --out FILE.md` simulates pairs of runs on the
machine of `spells_machine.py`, from quiet to loaded: six series, of which neighbours slow each
kind by a part of its own. In the second run one series is changed, or none.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from spells import PROCESSES, TURN_S, passes
from spells_machine import LEVELS, Cells, Floats, Level, Machine, draw_cells

from bench.records import CELL
from reports.comparison.changes import Changes, SeriesChange, changes_in
from reports.comparison.contrasts import PACE_UNKNOWN
from reports.comparison.differences import between_runs
from reports.comparison.ratios import Finding
from reports.comparison.turns import Case, CellReadings

RUN_S = 75.0
CALLED = (Finding.FASTER, Finding.SLOWER)
CHANGES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "none": lambda n, cost: cost,
    "5 %": lambda n, cost: 1.05 * cost,
    "10 %": lambda n, cost: 1.1 * cost,
    "n^0.2": lambda n, cost: cost * (n / n.min()) ** 0.2,
    "fixed cost": lambda n, cost: cost + 0.5 * cost.min(),
}
"""What becomes of the costs of a series."""


def measured(level: Level, cells: Cells, rng: np.random.Generator) -> dict[Case, CellReadings]:
    """A run as `compare` reads it."""
    readings = passes(Machine(level, rng, 2 * RUN_S), cells, rng, RUN_S)
    readings["time_s"] -= readings["waited_s"]
    turns = (readings["ended_s"] // TURN_S).astype(int)
    found: dict[int, dict[int, tuple[float, ...]]] = {}
    for (cell, turn), own in readings.groupby(["cell", turns])["time_s"]:
        found.setdefault(int(cell), {})[int(turn)] = tuple(own)
    return {
        _case(cells, cell): CellReadings(
            of_turns=of_turns, process_of={turn: turn % PROCESSES for turn in of_turns}
        )
        for cell, of_turns in found.items()
        if len(of_turns) > 1
    }


def _case(cells: Cells, cell: int) -> Case:
    named = {"implementation": f"series {cells.series[cell]}", "pass": "forward"}
    sizes = {"seq_len": cells.n[cell], "d_model": cells.d[cell]}
    return tuple((named | sizes).get(name) for name in CELL)


def pair(level: Level, change: str, number: int) -> tuple[Changes, str]:
    """Two runs, the second with a change in one series: what is found, and which series it is."""
    seeds = [number, LEVELS.index(level), list(CHANGES).index(change)]
    rng = np.random.default_rng(seeds)
    cells = draw_cells(rng)
    changed = number % len(cells.judged)
    own = cells.series == changed
    cost = cells.cost.copy()
    cost[own] = CHANGES[change](cells.n[own], cost[own])
    base, new = measured(level, cells, rng), measured(level, replace(cells, cost=cost), rng)
    name = f"series {changed}"
    sources = () if change == "none" else (name,)
    found = changes_in(between_runs(base, new), changed=sources, unknown_pace=PACE_UNKNOWN)
    return found, name


def outcome(level: Level, change: str, number: int) -> dict[str, object]:
    """What a comparison got right and wrong."""
    found, name = pair(level, change, number)
    own = next(one for one in found.series if one.series.name == name)
    others = [one for one in found.series if one is not own or change == "none"]
    places = {place for one in others for place in one.series.rows}
    return {
        "machine": level.name,
        "change": change,
        "series": own.ratio.finding in CALLED,
        "cell": any(found.cells[place].finding in CALLED for place in own.series.rows),
        "growth": bool(own.grows_with),
        "fixed": own.fixed is not None,
        "wrong series": any(_is_called(one) for one in others),
        "wrong cell": any(found.cells[place].finding in CALLED for place in places),
        "error": np.log(own.ratio.estimate),
    }


def _is_called(one: SeriesChange) -> bool:
    return one.ratio.finding in CALLED or bool(one.grows_with)


def table_of(rows: pd.DataFrame) -> str:
    """One line for each machine and change."""
    lines = [
        "| machine | change | found in the series | in a cell | as growth | as a fixed cost |"
        " another series called | another cell |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    columns = ["series", "cell", "growth", "fixed", "wrong series", "wrong cell"]
    for (machine, change), those in rows.groupby(["machine", "change"], sort=False):
        shares = those[columns].mean()
        if change == "none":
            shares[["series", "cell", "growth", "fixed"]] = np.nan
        told = ["–" if np.isnan(one) else f"{one:.0%}" for one in shares]
        lines.append(f"| {machine} | {change} | {' | '.join(told)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, compare, count and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=40, help="of each machine and change")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    rows = [
        outcome(level, change, number)
        for level in LEVELS[1:]
        for change in CHANGES
        for number in range(options.pairs)
    ]
    options.out.write_text(table_of(pd.DataFrame(rows)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
