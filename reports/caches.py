"""The caches of the device that cells ran on, from `run.json`."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf


def caches_of(info: Mapping[str, object], device: object) -> dict[str, float]:
    """Bytes of each cache, smallest first; nothing where they are not told.

    `device` is `cpu`, `cuda` or `cuda:0`: a GPU's workspace does not lie in the processor's caches.
    """
    machine = info.get("machine")
    if not isinstance(machine, Mapping):
        return {}
    on_gpu = str(device).startswith("cuda")
    caches = machine.get("gpu_caches_bytes" if on_gpu else "caches_bytes")
    if not isinstance(caches, Mapping):
        return {}
    found = {str(name): size for name, one in caches.items() if (size := _bytes(one)) is not None}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def _bytes(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < inf else None
