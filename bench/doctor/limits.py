"""What is left of CPU time and memory: limits of containers, swap, pages and the allocator."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.doctor.finding import Finding, counted, unknown
from bench.doctor.machine import Memory
from bench.machine.linux_files import CGROUP, cpu_quota, groups, memory_limit, read, read_counters

OWN_CPUS = "Give the container CPUs of its own (docker: --cpuset-cpus) in place of --cpus."
GIB = 2**30
SCARCE_BYTES = 4 * GIB
TOO_LITTLE_BYTES = GIB
MUCH_SWAPPED_BYTES = GIB
MANY_MOVED_PAGES = 256  # 1 MiB
HUGE_PAGES = Path("sys/kernel/mm/transparent_hugepage/enabled")
HUGE_PAGES_MEAN = {
    "always": "large blocks get 2 MiB pages whenever some are free, so that processes may differ",
    "madvise": "only programs that ask get 2 MiB pages",
    "never": "all memory comes in small pages",
}


def cpu_limit(root: Path, cpus: int, threads: int) -> Finding:
    """Whether the kernel stops this process when it has used its share of CPU time."""
    if not (root / CGROUP).is_dir():
        return unknown("cpu_limit", "This system does not tell about limits on CPU time.")
    quota = cpu_quota(root)
    if quota is None or quota >= cpus:
        return Finding("cpu_limit", "good", "No container limits the CPU time.", value=quota)
    over = threads > quota
    then = f"{counted(threads, 'measuring thread')} within it leave no room for anything else"
    if over:
        then = f"{counted(threads, 'thread')} would be stopped for a part of every period"
    return Finding(
        "cpu_limit",
        "problem" if over else "warning",
        f"A container limit allows {quota:.3g} cores' worth of time on {counted(cpus, 'CPU')}; "
        f"{then}.",
        advice=OWN_CPUS,
        value=quota,
        unit="cores",
    )


def throttled(root: Path) -> dict[Path, int]:
    """How often each group was stopped for having used its time."""
    counters = {folder: read_counters(folder / "cpu.stat") for folder in groups(root, "cpu")}
    return {folder: c["nr_throttled"] for folder, c in counters.items() if "nr_throttled" in c}


def throttling(before: Mapping[Path, int], after: Mapping[Path, int]) -> Finding:
    """Whether a limit on CPU time has stopped this process's group, now or earlier."""
    if not after:
        return Finding("throttling", "good", "No limit on CPU time is there to be stopped by.")
    now = max(times - before.get(folder, times) for folder, times in after.items())
    ever = max(after.values())
    found = "No limit on CPU time has stopped this process's group so far."
    if ever:
        when = f"{counted(now or ever, 'time')} {'just now' if now else 'earlier'}"
        found = f"The container's limit on CPU time stopped it {when}."
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


def available(root: Path, memory: Memory) -> Finding:
    """What can be taken without swapping, a container's limit included."""
    limit = memory_limit(root, memory.total_bytes)
    total, left = memory.total_bytes, memory.available_bytes
    if limit is not None:
        total, left = min(total, limit[0]), min(left, limit[1])
    scarce = left < SCARCE_BYTES
    return Finding(
        "memory_available",
        "problem" if left < TOO_LITTLE_BYTES else "warning" if scarce else "good",
        f"{left / GIB:.1f} of {total / GIB:.1f} GiB of memory are free to use.",
        advice="Close programs; without that, cells of large sizes will be skipped.",
        value=left,
        unit="bytes",
    )


def swapped_pages(root: Path) -> int | None:
    """Pages that went to or came from swap since the start."""
    counters = read_counters(root / "proc" / "vmstat")
    if "pswpin" not in counters or "pswpout" not in counters:
        return None
    return counters["pswpin"] + counters["pswpout"]


def swap(memory: Memory, before: int | None, after: int | None) -> Finding:
    """What is swapped out, and whether pages moved between the two readings of `swapped_pages`."""
    moved = 0 if before is None or after is None else after - before
    found = f"{memory.swapped_bytes / GIB:.1f} GiB are swapped out"
    if moved:
        found += f", and {counted(moved, 'page')} moved to or from swap during this examination"
    much = memory.swapped_bytes > MUCH_SWAPPED_BYTES
    return Finding(
        "swap",
        "problem" if moved > MANY_MOVED_PAGES else "warning" if moved or much else "good",
        f"{found}." if moved or memory.swapped_bytes else "No memory is swapped out.",
        advice="Close programs that hold much memory; what is swapped returns at a bad moment.",
        value=memory.swapped_bytes,
        unit="bytes",
    )


def huge_pages(root: Path) -> Finding:
    """The setting of transparent huge pages, which page faults depend on; information only."""
    chosen = re.search(r"\[(\w+)\]", read(root / HUGE_PAGES) or "")
    if chosen is None:
        return unknown("huge_pages", "Whether memory comes in large pages is not told here.")
    meaning = HUGE_PAGES_MEAN.get(chosen[1])
    return Finding(
        "huge_pages",
        "good",
        f'Transparent huge pages are set to "{chosen[1]}"' + (f": {meaning}." if meaning else "."),
        value=chosen[1],
    )


def allocator(describe: Callable[[], Mapping[str, object]]) -> Finding:
    """Whether a measuring process keeps the memory of large blocks that it uses again."""
    from bench.machine.environment import allocator_caveats
    from bench.process.supervisor import WorkerLost

    try:
        answer = describe()
    except WorkerLost as lost:
        return Finding(
            "allocator",
            "problem",
            f"A measuring process did not come up: {lost}.",
            advice='See what "python -m bench.worker" says, and whether torch can be imported.',
        )
    faults = answer.get("large_block_faults")
    if not isinstance(faults, int | float):
        return unknown(
            "allocator", f"Page faults are not counted here ({answer.get('reason', 'no counter')})."
        )
    bad = bool(allocator_caveats("pinned", faults))
    return Finding(
        "allocator",
        "warning" if bad else "good",
        f"A block of memory used again costs {faults:.0f} page faults: "
        + ("the allocator gives memory back." if bad else "the allocator keeps its memory."),
        advice="Use glibc's own allocator: unset LD_PRELOAD; without it (musl, macOS), distrust "
        "jumps in time that come with page faults.",
        value=faults,
        unit="page faults",
    )
