"""From the options of `sweep` and `run` to a run on disk, and what is said of it."""

from __future__ import annotations

import math
import shlex
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnscale.exit_codes import DONE, FAILED, INCONCLUSIVE
from attnscale.interrupts import TEMPORARY, interruptible
from attnscale.terminal import STARTING, console, progress, say, warnings_as_lines

if TYPE_CHECKING:
    from bench.plan.plan import Plan
    from bench.process.checkout import Checkout
    from bench.process.kernels import Kernels
    from bench.records import Record
    from implementations.case import Case
    from reports.judge.result import Fit
    from reports.tables.read import Table

NEEDS_TIME = frozenset({"noisy_measurements", "models_undecided"})
"""Reasons of an open verdict that more readings may settle."""
WRONG = ("incorrect", "implausible", "crashed")


def measure(*, command: str = "sweep", **options: Any) -> tuple[Path, int]:
    """Run the sweep that the options ask for: its directory, and the exit code.

    `command` is the one that continues it after an interrupt.
    """
    from bench.plan.request import Request
    from bench.process.side_by_side import worker_for
    from bench.process.supervisor import Worker

    given = {name: value for name, value in options.items() if value is not None}
    request = Request(specs=given.pop("impl", ()), **given)
    folder = request.folder
    # The user's files are imported in this worker.
    with (
        request.checkout(TEMPORARY.append) as checkout,
        worker_for(checkout, partial(Worker, threads=1)) as worker,
    ):
        _tell_sharing(request.time_budget_s)
        with progress() as shown, warnings_as_lines():
            shown.phase(STARTING)
            if request.specs:
                worker.begin()
            from bench.process.kernels import Kernels

            kernels = Kernels(worker, keep_lost=True, tell=shown.phase)
            plan = request.plan(kernels.load, checkout)
        how = f"attnscale {command} --resume --out {shlex.quote(str(folder))} continues it"
        with interruptible(how):
            records, failed = sweep_into(
                folder,
                plan,
                request.resume,
                request.name,
                kernels,
                _seconds_since_start(),
                checkout,
            )
    say(f"{_tally(records)}\nrun: {folder}")
    measured = any(record.status == "measured" for record in records)
    return folder, FAILED if failed else DONE if measured else INCONCLUSIVE


def _tell_sharing(time_budget_s: float) -> None:
    """Say at once that others use this machine, and how long the measuring may take."""
    from bench.doctor import examination

    found = examination.sharing()
    if found:
        minutes, seconds = f"{time_budget_s / 60:.0f} min", f"{time_budget_s:.0f} s"
        expected = minutes if time_budget_s >= 90 else seconds
        say(
            f"this machine is shared; expect {expected}, and wider intervals: "
            f"{found[0].found.rstrip('.')} (attnscale doctor says more)"
        )


def table_of(run: Path, code: int) -> Table | None:
    """The records of a run; None, after a line that says why, where it measured nothing.

    `code` is that of `measure`; DONE for a run that the user gave.

    Raises:
        TableError: the run that the user gave cannot be read, or has no measured row.

    """
    from reports.tables.columns import TableError
    from reports.tables.read import read_tables

    try:
        return read_tables([run])
    except TableError as problem:
        if code == DONE:
            raise
        say(f"nothing to show: {problem}")
        return None


def answer(run: Path, code: int, named: Sequence[str]) -> None:
    """Print who is fastest where, and the verdicts; `code` is that of `measure`."""
    with warnings_as_lines():
        table = table_of(run, code)
        if table is None:
            return
        from reports.judge.every_cost import fit_every_cost
        from reports.ranking.printed import print_answer
        from reports.verdicts.doubts import marked_table

        table = marked_table(table)
        try:
            fits = fit_every_cost(table)
        except ValueError as problem:
            say(f"not judged: {problem}")
            fits = []
    how = f"attnscale fit {shlex.quote(str(run))} --explain"
    print_answer(table, fits, console(), named=named, how=how)
    tell_longer(run, fits, "sweep")


def tell_longer(folder: Path, fits: Sequence[Fit], command: str) -> None:
    """Name the command that measures longer, where the time was spent and that left laws open."""
    from bench.records import read_info
    from bench.sweep.sweep import TIME_SPENT
    from reports.judge.result import Verdict

    is_open = any(
        fit.verdict is Verdict.INCONCLUSIVE and NEEDS_TIME & set(fit.reasons)
        for fit in fits
        if fit.value == "time_s"
    )
    schedule = read_info(folder).get("schedule") or {}
    if is_open and schedule.get("ended") == TIME_SPENT:
        seconds = 2 * schedule["time_budget_s"]
        budget = f"{seconds / 60:g}min" if seconds % 60 == 0 else f"{seconds:g}s"
        again = f"attnscale {command} --resume --out {shlex.quote(str(folder))}"
        print(f"to measure longer: {again} --time-budget {budget}")


def sweep_into(
    folder: Path,
    plan: Plan,
    resume: bool,
    preset: str | None,
    kernels: Kernels | None = None,
    head_start_s: float = 0.0,
    checkout: Checkout | None = None,
) -> tuple[Sequence[Record], bool]:
    """Measure the plan into the folder: its records, and whether a check failed or a kernel did."""
    import pandas as pd

    from bench.checks.tables import failure_lines
    from bench.records import RECORDS_FILE, read_info, read_records
    from bench.sweep.sweep import Sweep
    from reports.cells.cell_table import cell_table
    from reports.conditions.kernels import unexpected_kernels
    from reports.judge.precision import is_known
    from reports.laws.grammar import parse
    from reports.verdicts.doubts import doubts

    def law_value(law: str, case: Case) -> float:
        # Of n^2 one factor is the number of queries, and the other that of keys.
        n = math.sqrt(case.seq_len * case.key_len)
        sizes = {"n": n, "m": case.key_len, "d": case.d_model, "h": case.num_heads}
        sizes |= {"b": case.batch, "w": case.window or case.key_len}
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
            checkout=checkout,
        ).run(resume=resume)
    with warnings.catch_warnings(action="ignore"):  # the sweep has told of broken lines
        records = read_records(folder / RECORDS_FILE)
    for line in failure_lines(gate.results):
        say(f"check failed: {line}")
    frame = pd.DataFrame([record.to_dict() for record in records])
    doubtful = doubts(frame, read_info(folder)).values()
    for line in (*doubtful, *unexpected_kernels(cell_table(frame))):
        say(line)
    wrong = {one.implementation for one in gate.results if one.bad}
    wrong |= {record.implementation for record in records if record.status in WRONG}
    # The revision is what is compared with: its mistakes are said, and are no failure of this code.
    return records, any(checkout is None or not name.endswith(checkout.suffix) for name in wrong)


def _tally(records: Sequence[Record]) -> str:
    """What became of the cells, and the most frequent reason of those without a time."""
    from bench.plan.cells import case_of

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
    lost = [record for record in records if record.status in ("crashed", "timeout")]
    again = [one for one in lost if cells[one.implementation, case_of(one)].status == "measured"]
    if again:
        how = f"{again[0].status}: {again[0].reason}"
        parts.append(f"{len(again)} measured after a first loss ({how})")
    return f"cells: {', '.join(parts)}"


def _seconds_since_start() -> float:
    """How long this process has run: imports are part of what a command takes."""
    import psutil

    return max(0.0, time.time() - psutil.Process().create_time())
