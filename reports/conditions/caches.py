"""The caches of the device that cells ran on, from `run.json`."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf


def caches_of(info: Mapping[str, object], device: object) -> dict[str, float]:
    """Bytes of each of the processor's caches, smallest first; nothing where they are not told.

    Nor for another `device` than `cpu`: a GPU's cells do not lie there, and its own cache is
    overwritten before every call, so that what fits in it need not come from it.
    """
    machine = info.get("machine")
    if not isinstance(machine, Mapping):
        return {}
    caches = machine.get("caches_bytes") if device == "cpu" else None
    if not isinstance(caches, Mapping):
        return {}
    found = {str(name): size for name, one in caches.items() if (size := _bytes(one)) is not None}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def _bytes(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < inf else None
