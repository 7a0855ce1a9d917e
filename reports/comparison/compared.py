"""Two runs, or implementations within one run, compared: what the command `compare` answers."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from bench.records import CELL, read_run
from reports.cells.case_columns import SIZES
from reports.cells.gpu_time import with_gpu_time
from reports.comparison.changes import Changes, changes_in
from reports.comparison.contrasts import unknown_pace
from reports.comparison.differences import Differences, between_runs, shared_cells, within_run
from reports.comparison.judged_laws import LawChange, Side, judged_laws
from reports.comparison.ratios import SAME_WITHIN, Finding, Ratio
from reports.comparison.same_conditions import other_conditions
from reports.comparison.turns import Case, cases_of, readings_of
from reports.tables.columns import TableError, measured_rows, nearest
from reports.tables.read import frame_of
from reports.text.labels import label_of
from reports.text.telling import Tell, tell_nobody
from reports.text.wording import listed, one_line


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What changed from `base` to `new`, two runs or the two sides of one run.

    `bases` has the name of the implementation that each series is compared with; `changed` the
    implementations whose source changed, `other_conditions` how the machines differ where runs of
    two are compared. `laws` has, for each series, what the judge says of the sizes with which its
    ratio grows. `only_base` and `only_new` count the measured cells that the other side lacks, or
    has too few readings of; `unmatched` are implementations that share no cell with the base.
    `suffix` is that of the names of `run --against REV`, such as `@main`. `is_gpu_time`: times on a
    GPU are those of the GPU alone, without the launch of a call.
    """

    base: str
    new: str
    bases: tuple[str, ...]
    differences: Differences = field(repr=False)
    changes: Changes
    changed: frozenset[str] = frozenset()
    other_conditions: tuple[str, ...] = ()
    only_base: int = 0
    only_new: int = 0
    unmatched: tuple[str, ...] = ()
    is_of_two_runs: bool = True
    suffix: str = ""
    is_gpu_time: bool = False
    laws: tuple[Mapping[str, LawChange], ...]

    @property
    def is_judged(self) -> bool:
        """Whether faster and slower are said: not of two machines."""
        return not self.other_conditions

    @cached_property
    def apart(self) -> Mapping[int, float]:
        """The cells that surely differ from their series: by which factor."""
        found = {}
        for one in self.changes.series:
            for place, expected in zip(one.series.rows, one.expected, strict=True):
                ratio = self.changes.cells[place]
                if ratio.excludes(expected):
                    found[place] = ratio.estimate / expected
        return found

    def slower_than(self, limit: float) -> list[str]:
        """The series and cells that take more than 1 + `limit` times as long, beyond doubt."""
        if not self.is_judged:
            return []
        series = [one for one in self.changes.series if _surely(one.ratio, limit)]
        found = [label_of(one.series.group) for one in series]
        for place, ratio in enumerate(self.changes.cells):
            if _surely(ratio, limit):
                cell = self.differences.cells.iloc[place]
                sizes = ", ".join(f"{letter} = {cell[name]}" for letter, name in SIZES.items())
                found.append(f"{one_line(cell['implementation'])} at {sizes}")
        return found


def compare_runs(
    base: str | os.PathLike[str],
    new: str | os.PathLike[str],
    *,
    across_machines: bool = False,
    same_within: float = SAME_WITHIN,
    tell: Tell = tell_nobody,
) -> Comparison:
    """Compare two runs, cell by cell of equal cases.

    Raises:
        RunError: one of them is no run.
        TableError: both are the same run, share no cell, or were measured under other conditions
            and `across_machines` is not set.

    """
    if Path(base).resolve() == Path(new).resolve():
        raise TableError(
            f"{base} and {new} are the same run; give two runs, or implementations of one with "
            "--implementations sdpa,matmul"
        )
    one, other = _sides(base, new)
    unlike = other_conditions(one.info, other.info)
    if unlike and not across_machines:
        raise TableError(
            f"{base} and {new} were not measured alike: {listed(unlike, most=3)}; measure both on "
            "one machine, or give --across-machines to see ratios and exponents alone"
        )
    before, after = readings_of(one.frame), readings_of(other.frame)
    differences = between_runs(before, after)
    if not len(differences):
        raise TableError(f"{base} and {new} share no cell that {_ENOUGH}")
    changed = _changed_sources(one.info, other.info)
    changes = changes_in(
        differences,
        changed=changed,
        unknown_pace=None if unlike else unknown_pace(one.info, other.info),
        same_within=same_within,
    )
    bases = tuple(series.series.name for series in changes.series)
    shared = before.keys() & after.keys()
    return Comparison(
        base=str(base),
        new=str(new),
        bases=bases,
        differences=differences,
        changes=changes,
        changed=changed,
        other_conditions=tuple(unlike),
        only_base=len(_measured(one.frame) - shared),
        only_new=len(_measured(other.frame) - shared),
        is_gpu_time=one.is_gpu_time,
        laws=judged_laws(one, other, changes, bases, tell),
    )


_ENOUGH = (
    "was measured in two turns of a process or more; measure the same sizes with a larger "
    "--time-budget"
)


def compare_within(
    run: str | os.PathLike[str],
    implementations: Sequence[str] = (),
    *,
    same_within: float = SAME_WITHIN,
    tell: Tell = tell_nobody,
) -> Comparison:
    """Compare implementations of one run with the first of them.

    Without any, each that `run --against` measured is compared with itself at that revision.

    Raises:
        RunError: it is no run.
        TableError: an implementation is not in the run, there is nothing to compare, or no cell
            is shared.

    """
    (side,) = _sides(run)
    readings = readings_of(side.frame)
    names = list(dict.fromkeys(str(case[CELL.index("implementation")]) for case in readings))
    if not names:
        raise TableError(f"{run} has no cell that {_ENOUGH}")
    against = side.info.get("against") or {}
    suffix = str(against.get("suffix") or "")
    pairs = _pairs(str(run), names, implementations, suffix)
    both = shared_cells(readings, pairs)
    if not both:
        raise TableError(f"{listed([*dict.fromkeys(sum(pairs, ()))])} share no cell in {run}")
    differences = within_run(readings, both)
    # With --against, the versions and the suite have processes of their own.
    changes = changes_in(differences, in_one_process=not against, same_within=same_within)
    base_of = {new: base for base, new in pairs}
    compared = {one.series.name for one in changes.series}
    only_base, only_new = (
        len(_measured(side.frame, set(names)) - set(cases))
        for names, cases in zip(zip(*pairs, strict=True), zip(*both, strict=True), strict=True)
    )
    bases = tuple(base_of[series.series.name] for series in changes.series)
    return Comparison(
        base=listed([*dict.fromkeys(base_of.values())]),
        new=listed([*base_of]),
        bases=bases,
        differences=differences,
        changes=changes,
        only_base=only_base,
        only_new=only_new,
        unmatched=tuple(name for name in base_of if name not in compared),
        is_of_two_runs=False,
        suffix=suffix,
        is_gpu_time=side.is_gpu_time,
        laws=judged_laws(side, side, changes, bases, tell),
    )


def _pairs(
    run: str, names: Sequence[str], wanted: Sequence[str], suffix: str
) -> list[tuple[str, str]]:
    """Base and new of each pair that is asked for."""
    if not wanted:
        found = [(new + suffix, new) for new in names if suffix and new + suffix in names]
        if not found:
            raise TableError(
                f"{run} measured no implementation at two revisions; give a second run, or "
                f"--implementations with two or more of {listed(names)}"
            )
        return found
    for name in wanted:
        if name not in names:
            near = nearest(name, names)
            guess = f'did you mean "{near}"? ' if near else ""
            raise TableError(f'{run} has no "{name}"; {guess}it has {listed(names)}')
    base, *others = dict.fromkeys(wanted)
    if not others:
        raise TableError(f"--implementations: expected two or more, got {base}")
    return [(base, new) for new in others]


def _sides(*paths: str | os.PathLike[str]) -> list[Side]:
    """The runs, with the time of the GPU alone where all of them have it."""
    runs = [read_run(path) for path in paths]
    frames = [frame_of(run.records) for run in runs]
    timed = [with_gpu_time(frame) for frame in frames]
    is_gpu_time = all(has_it for _, has_it in timed)
    return [
        Side(frame=own if is_gpu_time else frame, info=run.info, is_gpu_time=is_gpu_time)
        for run, frame, (own, _) in zip(runs, frames, timed, strict=True)
    ]


def _measured(frame: pd.DataFrame, names: Collection[str] | None = None) -> set[Case]:
    """The measured cells, of these implementations or all."""
    rows = frame[measured_rows(frame)]
    return set(cases_of(rows if names is None else rows[rows["implementation"].isin(names)]))


def _changed_sources(base: Mapping[str, Any], new: Mapping[str, Any]) -> frozenset[str]:
    """The implementations whose source is known of both runs, and not the same."""
    before, after = (info.get("implementations") or {} for info in (base, new))
    digests = {
        name: (before[name].get("source_sha256"), after[name].get("source_sha256"))
        for name in before.keys() & after.keys()
    }
    return frozenset(name for name, (old, now) in digests.items() if old and now and old != now)


def _surely(ratio: Ratio, limit: float) -> bool:
    """Whether a cost is called slower, and is larger by more than the limit beyond doubt."""
    return ratio.finding is Finding.SLOWER and (ratio.low or 0.0) > 1 + limit
