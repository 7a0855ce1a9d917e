"""The row that a sweep writes and every report reads: schema, reading and writing. No torch.

A run is a directory with `run.json` (configuration, versions, machine) and `records.jsonl`, one
flat JSON object a line, appended and flushed as each round ends.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

SCHEMA = 2
RECORDS_FILE = "records.jsonl"
RUN_FILE = "run.json"

STATUSES = (
    *("measured", "unsupported", "incorrect", "implausible"),
    *("out_of_memory", "timeout", "crashed", "skipped"),
)

WRONG = ("incorrect", "implausible")
"""Statuses that withdraw every time of their cell, those of earlier rounds among them."""


class RunError(ValueError):
    """A run that cannot be read or written; the message is one line for the user."""


class CorruptRecordWarning(UserWarning):
    """A line of a journal that is not a record, and was left out."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One round of one cell. Absent means None; sizes count elements, units end the names.

    `samples_s` are the readings of the round, one a visit, each the mean of `calls_per_sample`
    calls, on a CPU less the time for which the calling thread had no core; `time_s` is their
    median, `time_min_s` the quickest; `workspace_bytes` the peak live bytes during the call beyond
    inputs and outputs; `flops` the useful floating-point operations of the call; `pass_` is
    `forward` or `forward_backward` and is called `pass` in the file; `growth` says how the series
    makes d_model larger: `heads` (head_dim fixed) or `head_dim` (num_heads fixed); `claim` and
    `workspace_claim` are the laws that the implementation declares. `seq_len` is the length of the
    sequence, as `key_len` is; `query_len` is a number of queries that does not grow with it, None
    where they are as many. `num_kv_heads` are the heads of keys where they are fewer than
    num_heads, and `kv_heads` says how they grow: `h/4` a quarter, or a number that is fixed.
    `attention_kernel` is the attention operator that torch's profiler saw in the first call of the
    cell in a run (in the record of that round), None where plain operators ran; `expected_kernel`
    is a part of its name, where the implementation pins one.

    Of the whole round: `waiting_share` threads on average were ready and had no core, `other_load`
    cores were busy with other processes, and the host gave `steal_share` cores to other machines.
    Counted, for one call: `flops_executed`, `transcendentals` (exp, tanh, … of one element each),
    `bytes_moved` (what operators read and write) and `operator_launches`. A step of the energy
    counter makes `energy_resolution_j` of a call. On a GPU `graph_time_s` is the quickest replay
    of a call from a graph, without the cost of launching; clock, temperature, power and throttle
    reasons were read beside the samples. `compile_s` is what the first call of the cell in its
    process took, where that compiled (once a process, in the record of its round); torch's cache on
    disk may have shortened it.

    In records of schema 1 a round was one visit, `time_s` the median of the samples that nothing
    disturbed, and `noisy` marked visits with few of them; records of today leave that null.
    """

    implementation: str
    kind: str
    pass_: str
    device: str
    dtype: str
    batch: int
    num_heads: int
    seq_len: int
    key_len: int
    head_dim: int
    d_model: int
    is_causal: bool
    mask: str
    status: str
    schema: int = SCHEMA
    threads: int | None = None
    worker: int | None = None
    round: int | None = None
    reason: str | None = None
    time_s: float | None = None
    time_min_s: float | None = None
    samples_s: tuple[float, ...] | None = None
    cpu_time_s: float | None = None
    workspace_bytes: int | None = None
    flops: int | None = None
    bytes_moved: int | None = None
    minor_faults: float | None = None
    energy_j: float | None = None
    max_error: float | None = None
    allowed_error: float | None = None
    noisy: bool | None = None
    noise_reasons: tuple[str, ...] | None = None
    calls_per_sample: int | None = None
    waiting_share: float | None = None
    other_load: float | None = None
    steal_share: float | None = None
    frequency_hz: float | None = None
    flops_executed: int | None = None
    transcendentals: int | None = None
    operator_launches: int | None = None
    graph_time_s: float | None = None
    energy_resolution_j: float | None = None
    gpu_clock_hz: float | None = None
    gpu_temperature_c: float | None = None
    gpu_power_w: float | None = None
    throttle_reasons: tuple[str, ...] | None = None
    growth: str | None = None
    claim: str | None = None
    workspace_claim: str | None = None
    compile_s: float | None = None
    query_len: int | None = None
    num_kv_heads: int | None = None
    kv_heads: str | None = None
    window: int | None = None
    attention_kernel: str | None = None
    expected_kernel: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The flat JSON object of the file, without what is None or not finite."""
        row = {_file_name(f.name): _plain(getattr(self, f.name)) for f in fields(self)}
        return {name: value for name, value in row.items() if value is not None}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Record:
        """Read one object; fields that this version does not know are ignored.

        Raises:
            RunError: a required field is missing, or the schema is newer than this one.

        """
        _check_schema(row)
        if row.get("status") not in STATUSES:
            raise RunError(f"not a record: status {row.get('status')!r}")
        known = {
            attribute: _checked(name, kind, optional, row[name])
            for name, attribute, kind, optional in _declared()
            if name in row
        }
        known.setdefault("schema", 1)
        try:
            return cls(**known)
        except TypeError as problem:
            raise RunError(f"not a record: {problem}") from None


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run that was read: its directory, `run.json` as an object, and its records in order."""

    path: Path
    info: Mapping[str, Any]
    records: tuple[Record, ...] = field(repr=False)


CELL = (
    *("implementation", "kind", "pass", "device", "dtype", "batch", "is_causal", "mask"),
    *("threads", "growth", "num_heads", "seq_len", "key_len", "head_dim", "d_model"),
    *("query_len", "num_kv_heads", "kv_heads", "window"),
)
"""What tells the cells of a run apart, as the file names it."""
_READ = (
    *("time_s", "time_min_s", "samples_s", "calls_per_sample", "cpu_time_s", "minor_faults"),
    *("workspace_bytes", "energy_j", "energy_resolution_j", "graph_time_s", "compile_s"),
)
_UNREAD: Mapping[str, Any] = dict.fromkeys(_READ)


def read_run(path: str | os.PathLike[str]) -> Run:
    """Read a run directory. Lines that are not records are left out with a warning.

    Raises:
        RunError: the directory, `run.json` or `records.jsonl` is missing or unreadable.

    """
    folder = Path(path)
    check_run(folder)
    records = tuple(read_records(folder / RECORDS_FILE))
    return Run(path=folder, records=records, info=read_info(folder))


def check_run(folder: Path) -> None:
    """See that a run is there, without reading it.

    Raises:
        RunError: the directory or its `records.jsonl` is missing.

    """
    if not folder.is_dir():
        raise RunError(f'{folder} is not a run directory; run "attnscale sweep --out {folder}"')
    if not (folder / RECORDS_FILE).is_file():
        raise RunError(
            f'{folder} has no {RECORDS_FILE}; run "attnscale sweep --out {folder}" first'
        )


def read_info(folder: Path) -> dict[str, Any]:
    """The object in `run.json`.

    Raises:
        RunError: the file is missing or is not a JSON object.

    """
    try:
        info = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{folder} has no {RUN_FILE}; it is not a run") from None
    except (OSError, ValueError) as problem:
        raise RunError(f"{folder / RUN_FILE} cannot be read: {problem}") from None
    if not isinstance(info, dict):
        raise RunError(f"{folder / RUN_FILE} must hold one JSON object")
    _check_schema(info)
    return info


def write_info(folder: Path, info: Mapping[str, Any]) -> None:
    """Replace `run.json` in one step, so that a kill leaves the old or the new one, never half.

    Raises:
        RunError: the directory cannot be written, or not any more.

    """
    draft = folder / (RUN_FILE + ".part")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(json.dumps(info, indent=2, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(folder / RUN_FILE)
    except OSError as problem:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise RunError(
            f"cannot write {folder / RUN_FILE}: {problem.strerror}; make room or choose another "
            "--out; records that stand there are kept, --resume continues"
        ) from None


def read_records(file: Path) -> list[Record]:
    """The records of a journal in order; a line that is not one is left out with a warning.

    Where a process found a cell wrong in any round, no record of that cell tells a time. What the
    checks before timing refused in an earlier part of a run they may admit later.
    """
    records = list(_lines(file))
    wrong = {_cell(one): one for one in records if one.status in WRONG and one.worker is not None}
    for place, record in enumerate(records):
        verdict = wrong.get(_cell(record))
        if verdict is not None and record.status == "measured":
            status, reason = verdict.status, verdict.reason
            records[place] = replace(record, **_UNREAD, status=status, reason=reason)
    return records


def _cell(record: Record) -> tuple[object, ...]:
    return tuple(getattr(record, "pass_" if name == "pass" else name) for name in CELL)


def _lines(file: Path) -> Iterator[Record]:
    first, left_out = "", 0
    with file.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise RunError("not a record: not a JSON object")
                yield Record.from_dict(row)
            except (ValueError, TypeError) as problem:
                first, left_out = first or f"{file} line {number} left out: {problem}", left_out + 1
    if left_out:
        more = f" (and {left_out - 1} more)" if left_out > 1 else ""
        warnings.warn(f"{first}{more}", CorruptRecordWarning, stacklevel=3)


def _check_schema(row: Mapping[str, Any]) -> None:
    schema = row.get("schema", 1)
    if not isinstance(schema, int) or schema > SCHEMA:
        raise RunError(f"schema {schema!r} is newer than {SCHEMA}; update attnscale to read it")


_KINDS: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "tuple[float, ...]": (list, tuple),
    "tuple[str, ...]": (list, tuple),
}


@cache
def _declared() -> tuple[tuple[str, str, str, bool], ...]:
    """Each field's name in the file, its attribute, what it must be, and whether it may be None."""
    kinds = ((one.name, *str(one.type).partition(" | ")) for one in fields(Record))
    return tuple((_file_name(name), name, kind, bool(more)) for name, kind, _, more in kinds)


def _checked(name: str, kind: str, optional: bool, value: Any) -> Any:
    """A field's value as it is declared; a RunError if it is something else, or negative."""
    if value is None and optional:
        return None
    if not isinstance(value, _KINDS[kind]) or isinstance(value, bool) != (kind == "bool"):
        raise RunError(f"not a record: {name} must be {kind}, got {value!r}")
    if isinstance(value, int) and value < 0:
        raise RunError(f"not a record: {name} must not be negative, got {value}")
    return tuple(value) if isinstance(value, list) else value


def _file_name(attribute: str) -> str:
    return attribute.rstrip("_")


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
