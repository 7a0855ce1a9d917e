"""What groups and their conditions are called, the same in tables, legends and on the terminal."""

from __future__ import annotations

import numbers
from collections.abc import Mapping

from reports.text.wording import one_line

_CALLED = {"query_len": "queries", "kv_heads": "key heads", "window": "window", "batch": "batch"}

_UNLESS_TOLD = {"query_len": "as many as keys", "kv_heads": "h", "window": "none"}


def label_of(values: Mapping[str, object]) -> str:
    """The name of a group in tables and legends: `sdpa`, or `sdpa [float64, forward]`."""
    rest = [worded(name, value) for name, value in values.items() if name != "implementation"]
    if "implementation" not in values:
        return one_line(", ".join(rest)) or "all rows"
    name = one_line(values["implementation"])
    return f"{name} [{', '.join(rest)}]" if rest else name


def worded(name: str, value: object) -> str:
    """One condition in words: `batch 2`, `forward + backward`, `more heads`."""
    if name == "growth":
        return {"heads": "more heads", "head_dim": "wider heads"}.get(str(value), str(value))
    if name in _CALLED:
        return f"{_CALLED[name]} {text_of(value) or unless_told(name)}"
    if name in ("run", "is_causal", "mask") or isinstance(value, numbers.Number):
        return f"{name} {text_of(value)}"
    return text_of(value).replace("_", " + ") if name == "pass" else text_of(value)


def conditions_in_words(shown: Mapping[str, str]) -> list[str]:
    """What cells share, but for the run and how they grow: `cpu`, `float32`, `causal`."""
    words = [shown[name] for name in ("device", "dtype") if name in shown]
    if "pass" in shown:
        words.append(worded("pass", shown["pass"]))
    if shown.get("is_causal") == "True":
        words.append("causal")
    if shown.get("mask", "none").lower() not in ("none", ""):
        words.append(f"mask {shown['mask']}")
    for name in ("query_len", "window", "kv_heads", "batch"):
        words += [worded(name, shown[name])] if shown.get(name) else []
    if "threads" in shown:
        words.append(f"{shown['threads']} thread{'' if shown['threads'] == '1' else 's'}")
    return words


def unless_told(name: str) -> str:
    """What a condition is where a record does not tell it."""
    return _UNLESS_TOLD.get(name, "unknown")


def text_of(value: object) -> str:
    """A value as people write it: nothing where it is missing, no point in a whole number."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
