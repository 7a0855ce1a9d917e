"""What weakens a run, in plain sentences: noise, cells without a time, missing instruments."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pandas as pd

from reports.cells.cell_table import measured
from reports.conditions.disturbances import disturbances, harness, lines_in, ranked
from reports.conditions.kernels import unexpected_kernels
from reports.tables.columns import numbers_or_nan
from reports.tables.json_values import an_object, float_or_none
from reports.text import wording

_STATUS_WORDS = {
    "unsupported": "not supported by the implementation",
    "incorrect": "gave wrong answers, before it was timed or while it was",
    "implausible": "cannot have done the work in the time that was read",
    "out_of_memory": "ran out of memory",
    "timeout": "took longer than the time limit",
    "crashed": "crashed the measuring process",
    "skipped": "left out before running",
}
_INSTRUMENTS = {
    "workspace_bytes": "workspace",
    "flops": "operation counts",
    "cpu_time_s": "CPU time",
    "minor_faults": "page faults",
    "energy_j": "energy",
    "max_error": "error against the oracle",
}
# Missing on many platforms, and told only where the run says why.
_ALL_INSTRUMENTS = _INSTRUMENTS | {
    "waiting_share": "how long threads waited for a core",
    "other_load": "the load by other processes",
    "steal_share": "what the host gave to other machines",
    "frequency_hz": "the frequency of the cores",
    "gpu_clock_hz": "the GPU's clock",
    "gpu_temperature_c": "the GPU's temperature",
    "gpu_power_w": "the GPU's power",
    "throttle_reasons": "why the GPU was slowed",
}
_FEWEST_ROUNDS = 3  # fewer, and drift over the run can pass for growth
_LONGEST_REASON = 160
_NO_TIME = "no time was left"  # how the reason of a cell that was never reached begins
_NUMBERS = re.compile(r"\d[\d.e+-]*")


UNTIMED = ("reason", "status", "implementations", "cells")
"""The headings of `untimed`."""


def untimed(cells: pd.DataFrame) -> list[tuple[str, str, str, int]]:
    """Cells without a time, by reason: whose they are, how many each has, and how many in all.

    `cells` is a cell table (see `reports.cells.cell_table`). Reasons that differ in their numbers
    only count as one, and the first of them is told. The most cells first.
    """
    rows = cells[cells["status"] != "measured"]
    reasons: dict[tuple[str, str], str] = {}
    counts: dict[tuple[str, str], Counter[str]] = {}
    for name, status, why in zip(
        rows["implementation"], rows["status"], rows["reason"], strict=True
    ):
        reason = "" if pd.isna(why) else wording.one_line(why)
        key = (_NUMBERS.sub("", reason), str(status))
        reasons.setdefault(key, reason)
        counts.setdefault(key, Counter())[str(name)] += 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1].total(), item[0]))
    return [
        (
            wording.shortened(reasons[key], most=_LONGEST_REASON) or "no reason recorded",
            f"{key[1]}: {_STATUS_WORDS.get(key[1], key[1])}",
            ", ".join(f"{name} {number}" for name, number in sorted(counts[key].items())),
            number_of_cells.total(),
        )
        for key, number_of_cells in ordered
    ]


def caveats(frame: pd.DataFrame, cells: pd.DataFrame, info: Mapping[str, Any]) -> list[str]:
    """Plain sentences, the gravest first, on what a reader must know before believing the rest.

    `frame` are the records, `cells` their cell table, `info` the object of `run.json`, any part
    of which may be missing. No line comes twice.
    """
    lines = [
        *unexpected_kernels(cells),
        *disturbances(frame, cells),
        *_statuses(cells),
        *_schedule(cells, info),
        *_rounds(cells),
        *_compiling(cells),
        *harness(frame, info),
        *_instruments(cells, info),
        *_setup(info),
        *lines_in(info.get("caveats")),
    ]
    return list(dict.fromkeys(lines))


def gate_findings(info: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The correctness gate in one sentence, and the failures it recorded, a line each."""
    summary = info.get("verification")
    if not isinstance(summary, Mapping):
        told = "The records do not say whether the implementations were checked before timing."
        return told, []
    numbers = {name: summary.get(name) for name in ("pass", "fail", "error", "unsupported")}
    words = [f"{number:,} {name}" for name, number in numbers.items() if isinstance(number, int)]
    lines = lines_in(summary.get("failures"))
    gate = "Checks of outputs and gradients against the float64 reference, before any timing"
    told = f"{gate}: {wording.listed(words)}."
    return told if words else "The correctness gate recorded no counts.", lines


def _statuses(cells: pd.DataFrame) -> list[str]:
    totals = Counter(str(status) for status in cells["status"] if status != "measured")
    return [
        f"{wording.count(number, 'cell')} ({status}): "
        f"{_STATUS_WORDS.get(status, 'not measured')}. The table of untimed cells says why."
        for status, number in ranked(totals)
    ]


def _rounds(cells: pd.DataFrame) -> list[str]:
    timed = measured(cells)
    few = int((timed["rounds"] < _FEWEST_ROUNDS).sum())
    if not few:
        return []
    return [
        f"{few} of {wording.count(len(timed), 'timed cell')} had fewer than {_FEWEST_ROUNDS} "
        "rounds or processes, so drift of the machine cannot be told from growth there."
    ]


def _compiling(cells: pd.DataFrame) -> list[str]:
    """What the first call of each cell took where it compiled, by implementation."""
    took = numbers_or_nan(cells, "compile_s").dropna()
    return [
        f"The first call of {wording.one_line(name)} compiles, at each size anew: "
        f"{wording.seconds(own.min())} to {wording.seconds(own.max())}, which its times leave out; "
        "what torch finds in its cache on disk is quick."
        for name, own in took.groupby(cells["implementation"])
    ]


def _schedule(cells: pd.DataFrame, info: Mapping[str, Any]) -> list[str]:
    """How the run ended where it did not make all its rounds, and what was never measured."""
    schedule = info.get("schedule")
    if not isinstance(schedule, Mapping):
        return []
    budget, spent, rounds = (
        float_or_none(schedule.get(name)) for name in ("time_budget_s", "spent_s", "rounds")
    )
    made = "" if rounds is None else wording.count(int(rounds), "round")
    ended = wording.one_line(schedule.get("ended") or "")
    late = cells["reason"].astype(str).str.contains(_NO_TIME, regex=False)
    unseen = int((late & (cells["status"] == "skipped")).sum())
    if not ended:
        after = made and f" after {made}"
        return [f"The run was cut short{after}; sweep --resume completes it."]
    if budget is None and "limit" in ended:
        budget = float_or_none(schedule.get("time_limit_s"))
    if budget is None:
        return []
    was = "was" if unseen == 1 else "were"
    left = f"{unseen:,} of {wording.count(len(cells), 'cell')} {was} never measured"
    within = f" in {made}" if made else ""
    used = "" if spent is None else f", of which {spent:,.0f} s were spent{within}"
    return [
        f"The sweep had {budget:,.0f} s{used} ({ended or 'the run was cut short'}); "
        f"{left if unseen else 'every cell was reached'}."
    ]


def _instruments(cells: pd.DataFrame, info: Mapping[str, Any]) -> list[str]:
    """What was not recorded, each with why where the run tells it."""
    timed = measured(cells)
    if timed.empty:
        return []
    reasons = {
        _ALL_INSTRUMENTS.get(name, name): wording.one_line(why).rstrip(".")
        for name, why in an_object(info.get("instruments")).items()
        if why and not (name in timed and timed[name].notna().any())
    }
    absent = [word for name, word in _INSTRUMENTS.items() if timed[name].isna().all()]
    silent = [word for word in absent if word not in reasons]
    lines = [f"Not recorded in this run: {wording.listed(silent)}."] if silent else []
    return [
        *lines,
        *(f"No reading of {wording.one_line(name)}: {why}." for name, why in reasons.items()),
    ]


def _setup(info: Mapping[str, Any]) -> list[str]:
    lines = []
    if info.get("allocator") == "default":
        lines.append(
            "Measured with the default allocator: page faults of large temporary tensors are "
            "part of the times, and can look like faster growth."
        )
    if an_object(info.get("git")).get("dirty") is True:
        lines.append("The source tree had uncommitted changes, so the commit does not tell all.")
    if not info:
        lines.append(
            "There is no description of the run: machine, versions and settings are unknown."
        )
    return lines
