"""Runs of ours with planted changes: readings in turns of three processes, slowed in spells."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.records import RECORDS_FILE, RUN_FILE, Record

LENGTHS, WIDTHS = (256, 512, 1024, 2048), (64, 128, 256)
NAMES = ("sdpa", "query_chunked", "mine")
Law = Callable[[int, int], float]
MACHINE = {"cpu": "AMD EPYC", "cores_usable": 2, "caches_bytes": {"L2": 524288}}


def square(n: int, d: int) -> float:
    """Seconds of a call that takes a nanosecond for each of n·n·d/64."""
    return 1e-9 * n * n * d / 64


def times(factor: float, law: Law = square) -> Law:
    """So many times as long."""
    return lambda n, d: factor * law(n, d)


def records(
    laws: Mapping[str, Law],
    *,
    seed: int,
    pace: float = 1.0,
    scatter: float = 0.02,
    turns: int = 6,
    readings: int = 5,
    lengths: Sequence[int] = LENGTHS,
    **changes: Any,
) -> list[Record]:
    """The records of a run; `pace` slows all of it, and each turn has a pace of its own."""
    rng = np.random.default_rng(seed)
    found = []
    for turn in range(turns):
        own_pace = pace * np.exp(abs(rng.normal(0, scatter)))
        for name, law in laws.items():
            for n in lengths:
                for d in WIDTHS:
                    call = law(n, d) * own_pace * np.exp(abs(rng.normal(0, scatter, readings)))
                    case: dict[str, Any] = {
                        "implementation": name,
                        "kind": "core",
                        "pass_": "forward",
                        "device": "cpu",
                        "dtype": "float32",
                        "batch": 1,
                        "num_heads": d // 64,
                        "seq_len": n,
                        "key_len": n,
                        "head_dim": 64,
                        "d_model": d,
                        "is_causal": False,
                        "mask": "none",
                        "status": "measured",
                        "threads": 1,
                        "growth": "heads",
                        "claim": "n^2*d",
                        "worker": turn % 3,
                        "round": turn,
                        "samples_s": tuple(call.tolist()),
                        "time_s": float(np.median(call)),
                        "workspace_bytes": 4 * n * n,
                    }
                    found.append(Record(**(case | changes)))
    return found


def write_run(
    folder: Path,
    laws: Mapping[str, Law] | None = None,
    *,
    sources: Mapping[str, str] | None = None,
    info: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Path:
    """A run of NAMES, all alike, in which `laws` replace some; those have another source too."""
    laws = dict.fromkeys(NAMES, square) | dict(laws or {})
    sources = dict.fromkeys(laws, "aa") | dict(sources or {})
    folder.mkdir()
    told = {
        "schema": 2,
        "machine": MACHINE,
        "versions": {"python": "3.11.7", "torch": "2.13.0"},
        "threads": 1,
        "implementations": {name: {"source_sha256": sources[name]} for name in laws},
        **(info or {}),
    }
    (folder / RUN_FILE).write_text(json.dumps(told))
    rows = records(laws, **({"seed": zlib.crc32(folder.name.encode())} | changes))
    (folder / RECORDS_FILE).write_text("".join(json.dumps(one.to_dict()) + "\n" for one in rows))
    return folder
