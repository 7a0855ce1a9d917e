"""Makes a run's directory ready, fresh or to be resumed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.machine import environment
from bench.plan.plan import Plan, PlanError, read_plan
from bench.records import RECORDS_FILE, RUN_FILE, SCHEMA, RunError, read_info, write_info

# These may be others when a run is resumed.
TIMES = frozenset({"time_budget_s", "precision"})
LONGEST_VALUE = 60
SAME_VERSIONS = ("torch", "numpy", "python", "attnscale")


def prepare(plan: Plan, folder: Path, *, resume: bool, preset: str | None) -> dict[str, Any]:
    """Make the directory ready and return what `run.json` holds.

    Raises:
        PlanError: the run to be resumed has another plan.
        RunError: the directory holds a run already, or cannot be written.

    """
    try:
        exists = (folder / RUN_FILE).exists() or (folder / RECORDS_FILE).exists()
    except PermissionError as problem:
        raise RunError(f"--out {folder}: cannot look there: {problem.strerror}") from None
    if exists and not resume:
        raise RunError(f"{folder} already holds a run; add --resume, or choose another --out")
    if exists:
        info = read_info(folder)
        _same_plan(stored_plan(info, folder), plan, folder)
        return {**info, "config": plan.to_dict()}
    info = {
        "schema": SCHEMA,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "preset": preset,
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


def check_machine(info: Mapping[str, Any], *, gpu: str | None, threads: int, folder: Path) -> None:
    """Refuse to add records of one machine to those of another.

    Raises:
        PlanError: processor, GPU, threads or torch are not those of `run.json`.

    """
    before = {
        "cpu": info["machine"].get("cpu"),
        "gpu": info["machine"].get("gpu"),
        "threads": info["threads"],
        "memory": info["machine"].get("memory_bytes"),
        **{name: info["versions"].get(name) for name in SAME_VERSIONS},
    }
    machine, versions = environment.describe_machine(), environment.versions()
    now = {
        "cpu": machine["cpu"],
        "gpu": gpu,
        "threads": threads,
        "memory": machine["memory_bytes"],
        **{name: versions[name] for name in SAME_VERSIONS},
    }
    for name, value in now.items():
        if before[name] is not None and value != before[name]:
            raise PlanError(
                f"{folder} was measured with {name} {before[name]}, here it is {value}; "
                "choose another --out"
            )


def check_sources(info: Mapping[str, Any], sources: Mapping[str, str], folder: Path) -> None:
    """Refuse to add records of a changed kernel to those of the old one.

    `sources` are the hashes of the users' files by implementation.

    Raises:
        PlanError: a file is not what it was when the run began.

    """
    before = info.get("implementations", {})
    for name, digest in sources.items():
        if before.get(name, {}).get("source_sha256", digest) != digest:
            raise PlanError(
                f"the file of {name} has changed since {folder} was begun; choose another --out"
            )


def resumable_plan(folder: Path) -> Plan:
    """The plan of the run in a directory.

    Raises:
        RunError: there is no run.
        PlanError: its plan cannot be read.

    """
    if not (folder / RUN_FILE).exists():
        raise RunError(f"{folder} holds no run to resume; leave --resume out to begin one")
    return stored_plan(read_info(folder), folder)


def stored_plan(info: Mapping[str, Any], folder: Path) -> Plan:
    """The plan in a `run.json`.

    Raises:
        PlanError: it cannot be read, or was written by an earlier version.

    """
    if info.get("schema", SCHEMA) != SCHEMA:
        raise PlanError(
            f"{folder} was begun by an earlier version of attnscale; choose another --out"
        )
    return read_plan(info.get("config", {}), str(folder / RUN_FILE))


def _same_plan(stored: Plan, asked: Plan, folder: Path) -> None:
    before, now = json.loads(json.dumps(stored.to_dict())), json.loads(json.dumps(asked.to_dict()))
    different = [
        _difference(name, before.get(name), now[name])
        for name in now
        if name not in TIMES and now[name] != before.get(name)
    ]
    if different:
        raise PlanError(
            f"{folder} was made with other settings: {'; '.join(different)}; "
            "resume it without naming any, or choose another --out"
        )


def _difference(name: str, before: Any, now: Any) -> str:
    """What differs, in a few words; of series and lists the first parts that do."""
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for position, (one, other) in enumerate(zip(before, now, strict=True), start=1):
            if one != other and isinstance(one, dict):
                return _difference(f"{name} {position}", one, other)
    if isinstance(before, dict) and isinstance(now, dict):
        parts = [
            _difference(part, before.get(part), now[part])
            for part in now
            if now[part] != before.get(part)
        ]
        return f"{name}: {', '.join(parts)}"
    return f"{name} {_short(before)} there, {_short(now)} asked for"


def _short(value: Any) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…"
