"""From the options of `sweep` and `run` to a run on disk, and what is said of it."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnscale.interrupts import interruptible
from attnscale.terminal import STARTING, progress, say, warnings_as_lines

if TYPE_CHECKING:
    from bench.plan.plan import Plan
    from bench.process.kernels import Kernels
    from bench.records import Record
    from implementations.case import Case


def measure(**options: Any) -> tuple[Path, bool]:
    """Run the sweep that the options ask for: its directory, and whether a check failed."""
    _refuse_early(**options)
    from bench.process.supervisor import Worker

    names, specs = options.pop("names") or (), options.pop("impl") or ()
    with Worker(threads=1) as worker:  # where the user's files are imported
        with progress() as shown, warnings_as_lines():
            shown.phase(STARTING)
            if specs:
                worker.begin()
            from bench.plan.request import Request
            from bench.process.kernels import Kernels

            kernels = Kernels(worker, keep_lost=True, tell=shown.phase)
            request = Request(names=names, specs=specs, **options)
            folder = request.folder
            plan = request.plan(kernels.load)
        with interruptible(f"sweep --resume --out {folder} continues it"):
            failed = sweep_into(
                folder, plan, request.resume, request.name, kernels, _seconds_since_start()
            )
    say(f"{_tally(folder)}\nrun: {folder}")
    return folder, failed


def _refuse_early(**options: Any) -> None:
    """Read what can be read without torch, which takes seconds to load.

    Raises:
        PlanError: a size or a duration that is none, or a preset that there is not.

    """
    from bench.plan.plan import load_preset, parse_duration, parse_sizes

    for option, read in (
        ("seq_lens", parse_sizes),
        ("d_models", parse_sizes),
        ("time_budget", parse_duration),
    ):
        if options[option] is not None:
            read(options[option], f"--{option.replace('_', '-')}")
    if options["preset"] is not None:
        load_preset(options["preset"])


def sweep_into(
    folder: Path,
    plan: Plan,
    resume: bool,
    preset: str | None,
    kernels: Kernels | None = None,
    head_start_s: float = 0.0,
) -> bool:
    """Measure the plan into the folder; whether a check of the gate failed."""
    from bench.checks.tables import failure_lines
    from bench.sweep.sweep import Sweep
    from reports.judge.precision import is_known
    from reports.laws.grammar import parse

    def law_value(law: str, case: Case) -> float:
        sizes = {"n": case.seq_len, "d": case.d_model, "h": case.num_heads, "b": case.batch}
        terms = parse(law)
        values = {name: sizes.get(name, 1) for name in terms.names}  # other letters are constants
        return sum(float(term.evaluate(values)) for term in terms)

    with warnings_as_lines(), progress() as shown:
        gate = Sweep(
            plan=plan,
            folder=folder,
            law_value=law_value,
            observer=shown,
            is_known=is_known,
            preset=preset,
            kernels=kernels,
            head_start_s=head_start_s,
        ).run(resume=resume)
    failures = failure_lines(gate.results)
    for line in failures:
        say(f"check failed: {line}")
    for line in _doubts(folder):
        say(line)
    return bool(failures) or any(
        record.status in ("incorrect", "implausible", "crashed") for record in records_of(folder)
    )


def records_of(folder: Path) -> list[Record]:
    """The records of a run; the sweep has told of its broken lines."""
    from bench.records import RECORDS_FILE, read_records

    with warnings.catch_warnings(action="ignore"):
        return list(read_records(folder / RECORDS_FILE))


def _doubts(folder: Path) -> list[str]:
    """A line for each implementation that was wrong somewhere: what of it is timed, what is not."""
    import pandas as pd

    from bench.records import read_info
    from reports.verdicts.doubts import doubts

    frame = pd.DataFrame([record.to_dict() for record in records_of(folder)])
    return list(doubts(frame, read_info(folder)).values())


def _tally(folder: Path) -> str:
    """What became of the cells, and the first reason of those without a time."""
    from bench.plan.cells import case_of

    records = records_of(folder)
    cells: dict[object, Record] = {}
    for record in records:
        key = (record.implementation, case_of(record))
        if key not in cells or cells[key].status != "measured":
            cells[key] = record
    parts = []
    for status, count in Counter(cell.status for cell in cells.values()).most_common():
        reasons = Counter(c.reason for c in cells.values() if c.status == status and c.reason)
        told = reasons and status != "measured"
        why = f" (such as: {reasons.most_common(1)[0][0]})" if told else ""
        parts.append(f"{count} {status}{why}")
    lost_once = [
        record
        for record in records
        if record.status in ("crashed", "timeout")
        and cells[record.implementation, case_of(record)].status == "measured"
    ]
    for record in lost_once[:1]:
        parts.append(
            f"{len(lost_once)} of them lost at another time ({record.status}: {record.reason})"
        )
    return f"cells: {', '.join(parts)}"


def _seconds_since_start() -> float:
    """How long this process has run: imports are part of what a command takes."""
    import psutil

    return max(0.0, time.time() - psutil.Process().create_time())
