"""Where and how a run was measured, from `run.json`, as rows of plain text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reports.tables.json_values import an_object, float_or_none
from reports.text import wording

Words = Mapping[str, Callable[[float], str]]
_CEILINGS: Words = {
    "matmul_flops_per_s": lambda rate: f"matrix products {rate / 1e9:,.0f} GFLOP/s",
    "copy_bytes_per_s": lambda rate: f"copy {rate / 1e9:.3g} GB/s",
    "exp_per_s": lambda rate: f"exponentials {rate / 1e9:.3g} G/s",
    "launch_s": lambda time_s: f"an operator launch {time_s / 1e-6:.3g} µs",
    "fault_s": lambda time_s: f"a page fault {time_s / 1e-6:.3g} µs",
}
"""What numbers of `run.json` are called, here and in `_HARNESS`."""
_HARNESS: Words = {
    "clock_resolution_s": lambda time_s: f"resolution {wording.seconds(time_s)}",
    "clock_cost_s": lambda time_s: f"a look at the clock {wording.seconds(time_s)}",
    "loop_cost_s": lambda time_s: f"a turn of the loop {wording.seconds(time_s)}",
    "gpu_empty_call_s": lambda time_s: f"a call of nothing on the GPU {wording.seconds(time_s)}",
    "gpu_empty_replay_s": lambda time_s: f"queued {wording.seconds(time_s)}",
}


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
        ("Load at the start", _load(machine.get("load_1m"))),
        ("Allocator", _text(info.get("allocator"))),
        ("Ceilings", _ceilings(info.get("ceilings"))),
        ("Clock and loop", _worded(info.get("harness"), _HARNESS)),
        ("Preset", _text(info.get("preset"))),
        ("Rounds", _text(an_object(info.get("schedule")).get("rounds"))),
        ("Seed", _text(info.get("seed"))),
        ("Versions", _versions(info)),
        ("Commit", _commit(git)),
        ("Measured against", _text(info.get("against"))),
        ("Measured", _text(info.get("created"))),
    ]
    return [(name, value) for name, value in rows if value]


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items() if _text(item))
    if isinstance(value, (list, tuple)):
        return ", ".join(text for item in value if (text := _text(item)))
    return "" if value is None else wording.one_line(value)


def _load(value: object) -> str:
    number = float_or_none(value)
    return "" if number is None else f"{number:.2f}"


def _bytes(value: object) -> str:
    number = float_or_none(value)
    return "" if number is None else wording.byte_size(number)


def _caches(caches: object) -> str:
    sizes = {name: _bytes(size) for name, size in an_object(caches).items()}
    return ", ".join(f"{name} {size}" for name, size in sizes.items() if size)


def _ceilings(ceilings: object) -> str:
    known = {
        wording.one_line(name): _worded(entry, _CEILINGS)
        for name, entry in an_object(ceilings).items()
    }
    return "; ".join(f"{name}: {words}" for name, words in known.items() if words)


def _worded(entry: object, words: Words) -> str:
    values = {key: float_or_none(an_object(entry).get(key)) for key in words}
    return ", ".join(words[key](value) for key, value in values.items() if value is not None)


def _versions(info: Mapping[str, Any]) -> str:
    own = info.get("attnscale")
    versions = an_object(info.get("versions"))
    words = [f"attnscale {own}"] if own else []
    words += [f"{name} {version}" for name, version in versions.items() if version]
    return wording.one_line(", ".join(words))


def _commit(git: Mapping[str, Any]) -> str:
    commit = _text(git.get("commit"))
    return f"{commit[:12]} with uncommitted changes" if commit and git.get("dirty") else commit[:12]
