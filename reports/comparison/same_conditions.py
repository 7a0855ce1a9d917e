"""Were two runs measured under the same conditions, so that a ratio tells of the kernels alone?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reports.text.wording import one_line, shortened

_MACHINE = (
    *("cpu", "architecture", "cores_physical", "cores_logical", "cores_usable", "caches_bytes"),
    *("gpu", "os"),
)
_VERSIONS = ("torch", "python", "attnscale")
_OTHERS = ("threads", "allocator", "schema")


def other_conditions(base: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two runs by their `run.json`, each in words: `torch 2.12.0 and 2.13.0`.

    What one of them does not tell is no difference.
    """
    return [
        f"{name.removesuffix('_bytes').replace('_', ' ')} {_text(old)} and {_text(now)}"
        for name, old, now in _told(base, new)
        if old is not None and now is not None and old != now
    ]


def _told(base: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for part, names in (("machine", _MACHINE), ("versions", _VERSIONS)):
        for name in names:
            yield name, (base.get(part) or {}).get(name), (new.get(part) or {}).get(name)
    for name in _OTHERS:
        yield name, base.get(name), new.get(name)


def _text(value: Any) -> str:
    text = str(value)
    if isinstance(value, Mapping):
        text = "/".join(str(one) for one in value.values())
    return shortened(one_line(text))
