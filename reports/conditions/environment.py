"""Where and how a run was measured, from `run.json`, as rows of plain text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.tables.json_values import an_object, float_or_none
from reports.text import wording

# Names in `run.json`, what they are divided by, and the words.
_CEILINGS = (
    ("matmul_flops_per_s", 1e9, "matrix products {:,.0f} GFLOP/s"),
    ("copy_bytes_per_s", 1e9, "copy {:.3g} GB/s"),
    ("exp_per_s", 1e9, "exponentials {:.3g} G/s"),
    ("launch_s", 1e-6, "an operator launch {:.3g} µs"),
    ("fault_s", 1e-6, "a page fault {:.3g} µs"),
)
_HARNESS = (
    ("clock_resolution_s", "resolution"),
    ("clock_cost_s", "a look at the clock"),
    ("loop_cost_s", "a turn of the loop"),
    ("gpu_empty_call_s", "a call of nothing on the GPU"),
    ("gpu_empty_replay_s", "queued"),
)


def environment(info: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values of what `run.json` tells; what it does not tell is left out."""
    machine, git = an_object(info.get("machine")), an_object(info.get("git"))
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
        ("GPU caches", _caches(machine.get("gpu_caches_bytes"))),
        ("Operating system", _text(machine.get("os"))),
        ("Load at the start", _text(machine.get("load_1m"))),
        ("Allocator", _text(info.get("allocator"))),
        ("Ceilings", _ceilings(info.get("ceilings"))),
        ("Clock and loop", _harness(an_object(info.get("harness")))),
        ("Preset", _text(info.get("preset"))),
        ("Rounds", _text(an_object(info.get("schedule")).get("rounds"))),
        ("Seed", _text(info.get("seed"))),
        ("Versions", _versions(info)),
        ("Commit", _commit(git)),
        ("Measured", _text(info.get("created"))),
    ]
    return [(name, value) for name, value in rows if value]


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items() if _text(item))
    if isinstance(value, (list, tuple)):
        return ", ".join(text for item in value if (text := _text(item)))
    return "" if value is None else wording.one_line(value)


def _bytes(value: object) -> str:
    number = float_or_none(value)
    return "" if number is None else wording.byte_size(number)


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
        known = [
            written.format(value / scale)
            for key, scale, written in _CEILINGS
            if (value := float_or_none(entry.get(key))) is not None
        ]
        if known:
            words.append(f"{wording.one_line(name)}: {', '.join(known)}")
    return "; ".join(words)


def _harness(costs: Mapping[str, Any]) -> str:
    words = [
        f"{called} {wording.seconds(value)}"
        for key, called in _HARNESS
        if (value := float_or_none(costs.get(key))) is not None
    ]
    return ", ".join(words)


def _versions(info: Mapping[str, Any]) -> str:
    own = info.get("attnscale")
    versions = an_object(info.get("versions"))
    words = [f"attnscale {own}"] if own else []
    words += [f"{name} {version}" for name, version in versions.items() if version]
    return wording.one_line(", ".join(words))


def _commit(git: Mapping[str, Any]) -> str:
    commit = _text(git.get("commit"))
    return f"{commit[:12]} with uncommitted changes" if commit and git.get("dirty") else commit[:12]
