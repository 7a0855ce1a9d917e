"""What the templates show apart from cards and figures: verdicts, reasons, cells, caveats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from reports.conditions.caveats import UNTIMED, caveats, untimed
from reports.conditions.environment import environment
from reports.judge.result import Fit
from reports.judge.together import together
from reports.page.every_cell import MOST_ROWS, cell_rows
from reports.page.sortable import Amount
from reports.tables.read import Table
from reports.text import wording
from reports.verdicts.table import SIGNS
from reports.verdicts.verdict_rows import Said, VerdictRow, causes, concerned, sections

_MOST_UNTIMED = 40  # rows on the page; the CSV has them all
_ON_THE_MACHINE = ("CPU", "Cores", "Memory", "GPU")


def words_of(
    table: Table,
    infos: Mapping[str, Mapping[str, object]],
    fits: Sequence[Fit],
    rows: Sequence[VerdictRow],
    cells: pd.DataFrame,
) -> dict[str, object]:
    """What both templates show, by the names that they have for it."""
    without = untimed(cells)
    values = dict.fromkeys(fit.value for fit in fits)
    joint = [together([fit for fit in fits if fit.value == value]) for value in values]
    headings, every = cell_rows(cells)
    machines = [(wording.one_line(name), environment(info)) for name, info in infos.items()]
    return {
        "sections": sections(rows),
        "rows": rows,
        "signs": {str(verdict): sign for verdict, sign in SIGNS.items()},
        "confidence": _all_values([f"{fit.confidence:.0%}" for fit in fits]) or "95%",
        "tolerance": _all_values([f"±{fit.tolerance:g}" for fit in fits]),
        "together": [one.text for one in joint if one is not None],
        "reasons": causes(rows),
        "remarks": _remarks(rows),
        "caveats": _all_caveats(table, cells),
        "cell_headings": headings,
        "cell_rows": every,
        "cells_more": max(0, len(cells) - MOST_ROWS),
        "cells_note": _number_of_cells(cells),
        "untimed_headings": UNTIMED,
        "untimed": [
            (*texts, Amount(str(number), number)) for *texts, number in without[:_MOST_UNTIMED]
        ],
        "untimed_more": max(0, len(without) - _MOST_UNTIMED),
        "environments": [{"name": name, "rows": facts} for name, facts in machines],
        "machine": "; ".join(dict.fromkeys(_machine(dict(facts)) for _, facts in machines)),
    }


def _remarks(rows: Sequence[VerdictRow]) -> list[Said]:
    """What is special about verdicts, each once with those it holds for."""
    same = wording.by_text((row.remark, row) for row in rows if row.remark)
    costs = len({row.fit.value for row in rows})
    return [Said(who=concerned(own, of_costs=costs), text=text) for text, own in same.items()]


def _machine(rows: Mapping[str, str]) -> str:
    return ", ".join(rows[name] for name in _ON_THE_MACHINE if name in rows)


def _number_of_cells(cells: pd.DataFrame) -> str:
    timed = int((cells["status"] == "measured").sum())
    all_of_them = wording.count(len(cells), "cell")
    return all_of_them if timed == len(cells) else f"{all_of_them}, {len(cells) - timed} untimed"


def _all_caveats(table: Table, cells: pd.DataFrame) -> list[str]:
    """The caveats of the one run, or of several with the names of those that have each."""
    if len(table.runs) < 2 or "run" not in table.frame.columns:
        return caveats(table.frame, cells, table.info)
    found = wording.by_text(
        (line, wording.one_line(name))
        for name, info in table.runs.items()
        for line in caveats(
            table.frame[table.frame["run"] == name], cells[cells["run"] == name], info
        )
    )
    return [f"{wording.listed(names)}: {line}" for line, names in found.items()]


def _all_values(values: Sequence[str]) -> str:
    return wording.listed(list(dict.fromkeys(values)))
