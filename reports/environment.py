"""Where and how a run was measured, from `run.json`, as rows of plain text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports import wording


def environment(info: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values of what `run.json` tells; what it does not tell is left out."""
    machine, git = _object(info, "machine"), _object(info, "git")
    cores = [
        f"{machine[name]} {word}"
        for name, word in (("cores_physical", "physical"), ("cores_logical", "logical"))
        if machine.get(name) is not None
    ]
    rows = [
        ("CPU", _text(machine.get("cpu"))),
        ("Cores", ", ".join(cores)),
        ("Threads used", _text(info.get("threads"))),
        ("Caches", _caches(machine.get("caches_bytes"))),
        ("Memory", _bytes(machine.get("memory_bytes"))),
        ("GPU", _text(machine.get("gpu"))),
        ("Operating system", _text(machine.get("os"))),
        ("Load at the start", _text(machine.get("load_1m"))),
        ("Allocator", _text(info.get("allocator"))),
        ("Matmul peak, copy speed", _ceilings(info.get("ceilings"))),
        ("Preset", _text(info.get("preset"))),
        ("Rounds", _text(_object(info, "config").get("rounds"))),
        ("Seed", _text(info.get("seed"))),
        ("Versions", _versions(info)),
        ("Commit", _commit(git)),
        ("Measured", _text(info.get("created"))),
    ]
    return [(name, value) for name, value in rows if value]


def _object(info: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = info.get(name)
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items() if _text(item))
    if isinstance(value, (list, tuple)):
        return ", ".join(text for item in value if (text := _text(item)))
    return "" if value is None else wording.one_line(value)


def _bytes(value: object) -> str:
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    return wording.byte_size(float(value)) if known and isinstance(value, (int, float)) else ""


def _caches(caches: object) -> str:
    if not isinstance(caches, Mapping):
        return ""
    return ", ".join(f"{name} {size}" for name, one in caches.items() if (size := _bytes(one)))


def _ceilings(ceilings: object) -> str:
    if not isinstance(ceilings, Mapping):
        return ""
    words = []
    for name, entry in ceilings.items():
        if not isinstance(entry, Mapping):
            continue
        peak, copy = entry.get("matmul_flops_per_s"), entry.get("copy_bytes_per_s")
        known = [f"{peak / 1e9:,.0f} GFLOP/s"] if isinstance(peak, (int, float)) else []
        known += [f"{copy / 1e9:.3g} GB/s"] if isinstance(copy, (int, float)) else []
        if known:
            words.append(f"{wording.one_line(name)}: {', '.join(known)}")
    return "; ".join(words)


def _versions(info: Mapping[str, Any]) -> str:
    own = info.get("attnscale")
    versions = _object(info, "versions")
    words = [f"attnscale {own}"] if own else []
    words += [f"{name} {version}" for name, version in versions.items() if version]
    return wording.one_line(", ".join(words))


def _commit(git: Mapping[str, Any]) -> str:
    commit = _text(git.get("commit"))
    return f"{commit[:12]} with uncommitted changes" if commit and git.get("dirty") else commit[:12]
