"""Judges the groups of a run on all costs that were recorded."""

from __future__ import annotations

from reports.judge.fit_groups import fit_groups
from reports.judge.result import Fit
from reports.tables.read import Table
from reports.text.telling import Tell, tell_nobody

ALSO_JUDGED = ("graph_time_s", "workspace_bytes")
"""Costs that are judged beside the time."""


def fit_every_cost(table: Table, tell: Tell = tell_nobody) -> list[Fit]:
    """Every group judged on its time, then on whatever there is of ALSO_JUDGED.

    Raises:
        ValueError: a claim or a column cannot be read; the message is one line for the user.

    """
    fits = fit_groups(
        table.frame, parameters=table.parameters, info=table.shared_info, runs=table.runs, tell=tell
    )
    return [*fits, *(fit for value in ALSO_JUDGED for fit in fit_beside(table, value, tell))]


def fit_beside(table: Table, value: str, tell: Tell = tell_nobody) -> list[Fit]:
    """The groups judged on one of ALSO_JUDGED; empty where it was not recorded.

    Groups that have no value of it, as those that need no workspace at all, are left out.
    """
    frame = table.frame
    if value not in frame or not frame[value].notna().any():
        return []
    if value == "workspace_bytes" and "workspace_claim" in frame:
        frame = frame[frame["workspace_claim"].notna()]
    fits = fit_groups(frame, value=value, info=table.shared_info, runs=table.runs, tell=tell)
    return [fit for fit in fits if fit.cells]
