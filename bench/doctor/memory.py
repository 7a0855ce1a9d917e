"""Memory: what is left of it, swapping, large pages, and whether the allocator can be pinned."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.doctor.finding import Finding, counted, unknown
from bench.doctor.limits import GIB
from bench.doctor.machine import Memory
from bench.machine.linux_files import memory_limit, read, read_counters

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
