"""The caches of the device that cells ran on, from `run.json`."""

from __future__ import annotations

from collections.abc import Mapping

from reports.tables.json_values import is_positive


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
    found = {str(name): float(one) for name, one in caches.items() if is_positive(one)}
    return dict(sorted(found.items(), key=lambda item: item[1]))
