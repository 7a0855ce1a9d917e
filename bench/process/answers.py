"""Looks at what a measuring process answers: a kernel may have written it, or lost a part of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bench.records import STATUSES

# What an answer that succeeded must hold, by operation.
NEEDED: Mapping[str, tuple[str, ...]] = {
    "describe": ("gpu", "threads", "harness", "instruments", "large_block_faults"),
    "load": ("kernel",),
    "declined": ("declined",),
    "check": ("results",),
    "compare": ("results",),
    "reduce": ("result",),
    "trial": ("time_s", "calls", "workspace_bytes"),
    "visit": ("time_s", "calls"),
    "usage": ("wall_s",),
    "count": ("counts",),
    "workspace_law": ("law",),
    "counts": ("document",),
}
# What is read of calls that were made is above zero, where it is read at all.
READINGS = ("time_s", "calls", "graph_time_s", "compile_s")
# After such an error every later call of the process fails, whoever makes it.
POISONED = "CUDA error"


def one_line(problem: BaseException) -> str:
    """What an exception says first, of reasonable length."""
    return str(problem).strip().partition("\n")[0][:300]


def named(problem: BaseException) -> str:
    """An exception in one line, with its kind."""
    return f"{type(problem).__name__}: {one_line(problem) or 'without a word'}"


def checked_answer(operation: str, answer: object) -> dict[str, Any]:
    """The answer, or one that says what is wrong with it."""
    if not isinstance(answer, dict):
        return _crashed(f"{answer!r:.60}")
    status = answer.get("status")
    if status not in ("done", *STATUSES):
        return _crashed(f"the status {status!r:.60}")
    if status not in ("done", "measured"):
        return {**answer, "reason": str(answer.get("reason") or "without a word")}
    needed = NEEDED.get(operation, ())
    for name in needed:
        if name not in answer:
            return _crashed(f"no {name}")
    for name in READINGS:
        value = answer.get(name)
        if (name in needed or value is not None) and not _is_positive(value):
            return _crashed(f"{name} = {value!r:.60}")
    return answer


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value > 0


def _crashed(what: str) -> dict[str, Any]:
    return {"status": "crashed", "reason": f"the measuring process answered with {what}"}
