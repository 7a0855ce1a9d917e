"""Makes a run's directory ready, fresh or to be resumed."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.machine import environment
from bench.plan.plan import Plan, PlanError, read_plan
from bench.records import RECORDS_FILE, RUN_FILE, SCHEMA, RunError, read_info, write_info

# These may be others when a run is resumed.
TIMES = frozenset({"time_budget_s", "precision", "call_limit_s"})
LONGEST_VALUE = 60
MOST_DIFFERENCES = 3
SAME_VERSIONS = ("torch", "numpy", "python", "attnscale")


def prepare(
    plan: Plan,
    folder: Path,
    *,
    resume: bool,
    preset: str | None,
    against: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Make the directory ready and return what `run.json` holds.

    `against` is the revision that the plan measures too, with its commit.

    Raises:
        PlanError: the run to be resumed has another plan, or one that cannot be read.
        RunError: the directory holds a run already, none to be resumed, or cannot be written.

    """
    if resume:
        stored, info = _stored(folder)
        _refuse_another_plan(stored, plan, folder)
        if info.get("against") != against:
            before, now = ((one or {}).get("rev") for one in (info.get("against"), against))
            raise PlanError(
                f"{folder} was begun --against {before or 'nothing'}, not {now or 'nothing'}; "
                f"attnscale sweep --resume --out {folder} continues it, or choose another --out"
            )
        return {**info, "config": plan.to_dict()}
    check_new(folder)
    info = {
        "schema": SCHEMA,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "preset": preset,
        "against": against,
        "seed": plan.seed,
        "config": plan.to_dict(),
        "allocator": plan.allocator,
        "machine": environment.describe_machine(),
        "versions": environment.versions(),
        "git": environment.git_state(Path(__file__).resolve().parents[2]),
        "caveats": [],
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise RunError(f"--out {folder}: cannot write there: {problem.strerror}") from None
    write_info(folder, info)
    return info


def check_new(folder: Path) -> None:
    """See that the directory holds no run.

    Raises:
        RunError: it does, or it cannot be looked at.

    """
    if _holds_run(folder):
        raise RunError(f"{folder} already holds a run; add --resume, or choose another --out")


def check_writable(folder: Path) -> None:
    """See that the directory can be written, or made; nothing stays there.

    Raises:
        RunError: a file is in its way, it belongs to somebody else, or its file system is full
            or cannot be written.

    """
    try:
        nearest = next(one for one in (folder, *folder.absolute().parents) if one.exists())
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as problem:
        raise RunError(f"--out {folder}: cannot write there: {problem.strerror}") from None


def check_machine(info: Mapping[str, Any], *, gpu: str | None, threads: int, folder: Path) -> None:
    """Refuse to add records of one machine to those of another.

    Raises:
        PlanError: processor, GPU, threads or torch are not those of `run.json`.

    """
    now = {"machine": {**environment.describe_machine(), "gpu": gpu}, "threads": threads}
    before, here = (_identity(one) for one in (info, {**now, "versions": environment.versions()}))
    for name, value in here.items():
        if before[name] is not None and value != before[name]:
            raise PlanError(
                f"{folder} was measured with {name} {before[name]}, here it is {value}; "
                "choose another --out"
            )


def _identity(info: Mapping[str, Any]) -> dict[str, Any]:
    """What must not change within a run."""
    machine = info["machine"]
    return {
        "cpu": machine.get("cpu"),
        "gpu": machine.get("gpu"),
        "threads": info["threads"],
        "memory": machine.get("memory_bytes"),
        **{name: info["versions"].get(name) for name in SAME_VERSIONS},
    }


def check_sources(
    info: Mapping[str, Any], implementations: Mapping[str, Mapping[str, Any]], folder: Path
) -> None:
    """Refuse to add records of a changed kernel to those of the old one.

    Raises:
        PlanError: the file of one of `implementations` is not what it was when the run began.

    """
    before = info.get("implementations", {})
    for name, now in implementations.items():
        digest = now["source_sha256"]
        if digest is not None and before.get(name, {}).get("source_sha256", digest) != digest:
            raise PlanError(
                f"the file of {name} has changed since {folder} was begun; choose another --out"
            )


def begun_against(folder: Path) -> Mapping[str, str] | None:
    """The revision that the run in a directory measures too, with its commit; None without one.

    Raises:
        RunError: there is no run.
        PlanError: it was written by an earlier version.

    """
    against: Mapping[str, str] | None = _stored(folder)[1].get("against")
    return against


def resumable_plan(folder: Path) -> Plan:
    """The plan of the run in a directory.

    Raises:
        RunError: there is no run.
        PlanError: its plan cannot be read, or was written by an earlier version.

    """
    return _stored(folder)[0]


def _stored(folder: Path) -> tuple[Plan, dict[str, Any]]:
    """The plan and the `run.json` of the run in a directory."""
    if not _holds_run(folder):
        why = f"it has no {RUN_FILE}" if folder.exists() else "there is no such directory"
        raise RunError(
            f"{folder} holds no run to resume, since {why}; leave --resume out to begin one"
        )
    info = read_info(folder)
    if info.get("schema", SCHEMA) != SCHEMA:
        raise PlanError(
            f"{folder} was begun by an earlier version of attnscale; choose another --out"
        )
    return read_plan(info.get("config", {}), str(folder / RUN_FILE)), info


def _holds_run(folder: Path) -> bool:
    try:
        return (folder / RUN_FILE).exists() or (folder / RECORDS_FILE).exists()
    except PermissionError as problem:
        raise RunError(f"--out {folder}: cannot look there: {problem.strerror}") from None


def _refuse_another_plan(stored: Plan, asked: Plan, folder: Path) -> None:
    before, now = _fields_of(stored), _fields_of(asked)
    different = [
        f"{name} {_short(before[name])} there, {_short(value)} asked for"
        for name, value in now.items()
        if name not in TIMES and value != before.get(name, value)
    ]
    if different:
        more = "; …" if len(different) > MOST_DIFFERENCES else ""
        raise PlanError(
            f"{folder} was made with other settings: {'; '.join(different[:MOST_DIFFERENCES])}"
            f"{more}; resume it without naming any, or choose another --out"
        )


def _fields_of(plan: Plan) -> dict[str, Any]:
    """The fields of a plan, and those of each series by its number."""
    row = plan.to_dict()
    named = {"series": len(plan.series)}
    for number, series in enumerate(row.pop("series"), start=1):
        named |= {f"series {number}: {name}": value for name, value in series.items()}
    return {**named, **row}


def _short(value: Any) -> str:
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…"
