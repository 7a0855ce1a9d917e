"""What a container or control group takes away: CPU time, CPUs and memory (cgroups 1 and 2)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.doctor.finding import Finding, counted, unknown
from bench.machine.linux_files import CGROUP, cpu_quota, groups, memory_limit, read_counters

OWN_CPUS = "Give the container CPUs of its own (docker: --cpuset-cpus) in place of --cpus."
GIB = 2**30


def cpu_limit(root: Path, cpus: int, threads: int) -> Finding:
    """Whether the kernel stops this process when it has used its share of CPU time."""
    if not (root / CGROUP).is_dir():
        return unknown("cpu_limit", "This system does not tell about limits on CPU time.")
    quota = cpu_quota(root)
    if quota is None or quota >= cpus:
        return Finding("cpu_limit", "good", "No container limits the CPU time.", value=quota)
    found = f"A container limit allows {quota:.3g} cores' worth of time on {counted(cpus, 'CPU')}; "
    over = threads > quota
    found += (
        f"{counted(threads, 'thread')} would be stopped for a part of every period."
        if over
        else f"{counted(threads, 'measuring thread')} within it leave no room for anything else."
    )
    return Finding(
        "cpu_limit",
        "problem" if over else "warning",
        found,
        advice=OWN_CPUS,
        value=quota,
        unit="cores",
    )


def throttled(root: Path) -> dict[Path, int]:
    """How often each group was stopped for having used its time."""
    found = {}
    for folder in groups(root, "cpu"):
        times = read_counters(folder / "cpu.stat").get("nr_throttled")
        if times is not None:
            found[folder] = times
    return found


def throttling(before: Mapping[Path, int], after: Mapping[Path, int]) -> Finding:
    """Whether a limit on CPU time has stopped this process's group, now or earlier."""
    if not after:
        return Finding("throttling", "good", "No limit on CPU time is there to be stopped by.")
    now = max(times - before.get(folder, times) for folder, times in after.items())
    ever = max(after.values())
    if now:
        found = f"The container's limit on CPU time stopped it {counted(now, 'time')} just now."
    elif ever:
        found = f"The container's limit on CPU time stopped it {counted(ever, 'time')} earlier."
    else:
        found = "No limit on CPU time has stopped this process's group so far."
    return Finding(
        "throttling",
        "problem" if now else "warning" if ever else "good",
        found,
        advice=OWN_CPUS,
        value=now or ever,
        unit="times",
    )


def cpu_set(cpus: int, all_cpus: int | None) -> Finding:
    """How many of the machine's CPUs this process may use; to be given fewer is no fault."""
    of_all = "" if all_cpus is None else f" of {all_cpus}"
    return Finding(
        "cpu_set", "good", f"This process may use {cpus}{of_all} CPUs.", value=cpus, unit="CPUs"
    )


def container_memory(root: Path, total_bytes: int) -> Finding:
    """The container's limit on memory; whether enough is left is judged with the machine's."""
    found = memory_limit(root, total_bytes)
    if found is None:
        return Finding("memory_limit", "good", "No container limits the memory.")
    limit, left = found
    return Finding(
        "memory_limit",
        "good",
        f"A container limits memory to {limit / GIB:.1f} GiB; {left / GIB:.1f} GiB are left.",
        value=limit,
        unit="bytes",
    )
