"""What weakens a run, in plain sentences: noise, cells without a time, missing instruments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reports import wording
from reports.cell_table import measured

_STATUS_WORDS = {
    "unsupported": "not supported by the implementation",
    "incorrect": "failed verification, so never timed",
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
_WIDE_SPREAD = 0.10  # of the median; beyond it the rounds of a cell disagree visibly
_FEWEST_ROUNDS = 3  # fewer, and drift over the run can pass for growth
_LONGEST_REASON = 160


@dataclass(frozen=True, kw_only=True)
class Untimed:
    """Cells of one implementation that have no time, for one reason."""

    implementation: str
    status: str
    meaning: str
    reason: str
    cells: int


def untimed(cells: pd.DataFrame) -> list[Untimed]:
    """Cells without a time, counted by implementation, status and reason; the most first.

    `cells` is a cell table (see `reports.cell_table`).
    """
    rows = cells[cells["status"] != "measured"]
    counted = Counter(
        (str(name), str(status), "" if pd.isna(reason) else wording.one_line(reason))
        for name, status, reason in zip(
            rows["implementation"], rows["status"], rows["reason"], strict=True
        )
    )
    return [
        Untimed(
            implementation=name,
            status=status,
            meaning=_STATUS_WORDS.get(status, status),
            reason=_cut(reason) or "no reason recorded",
            cells=number,
        )
        for (name, status, reason), number in sorted(
            counted.items(), key=lambda item: (-item[1], item[0])
        )
    ]


def caveats(frame: pd.DataFrame, cells: pd.DataFrame, info: Mapping[str, Any]) -> list[str]:
    """Plain sentences, the gravest first, on what a reader must know before believing the rest.

    `frame` are the records, `cells` their cell table, `info` the object of `run.json`, any part
    of which may be missing.
    """
    return [
        *_correctness(info),
        *_noise(frame, cells),
        *_statuses(cells),
        *_rounds(cells),
        *_instruments(cells),
        *_setup(info),
        *[wording.one_line(line) for line in _strings(info.get("caveats"))],
    ]


def gate(info: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The correctness gate in one sentence, and the failures it recorded, a line each."""
    summary = info.get("verification")
    if not isinstance(summary, Mapping):
        return (
            "The records do not say whether the implementations were checked before timing.",
            [],
        )
    numbers = {name: summary.get(name) for name in ("pass", "fail", "error", "unsupported")}
    words = [f"{number:,} {name}" for name, number in numbers.items() if isinstance(number, int)]
    lines = [wording.one_line(line) for line in _strings(summary.get("failures"))]
    if not words:
        return "The correctness gate recorded no counts.", lines
    return (
        "Checks of outputs and gradients against the float64 reference, before any timing: "
        f"{wording.listed(words)}.",
        lines,
    )


def _correctness(info: Mapping[str, Any]) -> list[str]:
    summary = info.get("verification")
    if not isinstance(summary, Mapping):
        return []
    failed = sum(
        number for name in ("fail", "error") if isinstance(number := summary.get(name), int)
    )
    if not failed:
        return []
    return [
        f"{wording.count(failed, 'correctness check')} failed; cells that such a check covers "
        "carry no time."
    ]


def _noise(frame: pd.DataFrame, cells: pd.DataFrame) -> list[str]:
    timed = measured(cells)
    lines = []
    noisy = int(timed["noisy"].sum())
    if noisy:
        causes = _noise_causes(frame)
        why = wording.listed([f"{name} ({number})" for name, number in _ranked(causes)], most=5)
        lines.append(
            f"{noisy} of {wording.count(len(timed), 'timed cell')} had a noisy round, which counts "
            f"only where the cell has no quiet one{f': {why}' if why else ''}."
        )
    wide = int((timed["spread"] > _WIDE_SPREAD).sum())
    if wide:
        lines.append(
            f"In {wide} of {wording.count(len(timed), 'timed cell')} the slowest round took at "
            f"least {_WIDE_SPREAD:.0%} longer than the fastest."
        )
    return lines


def _noise_causes(frame: pd.DataFrame) -> Counter[str]:
    """How many noisy visits name each cause."""
    if "noise_reasons" not in frame or "noisy" not in frame:
        return Counter()
    return Counter(
        wording.one_line(cause)
        for noisy, reasons in zip(frame["noisy"], frame["noise_reasons"], strict=True)
        if not pd.isna(noisy) and noisy
        for cause in _strings(reasons)
    )


def _statuses(cells: pd.DataFrame) -> list[str]:
    totals = Counter(str(status) for status in cells["status"] if status != "measured")
    return [
        f"{wording.count(number, 'cell')} ({status}): "
        f"{_STATUS_WORDS.get(status, 'not measured')}. The table of untimed cells says why."
        for status, number in _ranked(totals)
    ]


def _rounds(cells: pd.DataFrame) -> list[str]:
    timed = measured(cells)
    few = int((timed["rounds"] < _FEWEST_ROUNDS).sum())
    if not few:
        return []
    return [
        f"{few} of {wording.count(len(timed), 'timed cell')} had fewer than {_FEWEST_ROUNDS} "
        "rounds, so drift of the machine during the run cannot be told from growth there."
    ]


def _instruments(cells: pd.DataFrame) -> list[str]:
    timed = measured(cells)
    absent = [word for name, word in _INSTRUMENTS.items() if timed[name].isna().all()]
    if timed.empty or not absent:
        return []
    return [f"Not recorded in this run: {wording.listed(absent)}."]


def _setup(info: Mapping[str, Any]) -> list[str]:
    lines = []
    if info.get("allocator") == "default":
        lines.append(
            "Measured with the default allocator: page faults of large temporary tensors are "
            "part of the times, and can look like faster growth."
        )
    git = info.get("git")
    if isinstance(git, Mapping) and git.get("dirty") is True:
        lines.append("The source tree had uncommitted changes, so the commit does not tell all.")
    if not info:
        lines.append(
            "There is no description of the run: machine, versions and settings are unknown."
        )
    return lines


def _ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _strings(value: object) -> list[str]:
    """The items of a list as text; nothing where the value is no list."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return []
    return [str(item) for item in value]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 1] + "…"
