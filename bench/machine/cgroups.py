"""The limits that a container or control group puts on this process (cgroups 1 and 2)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.machine.linux_files import read, read_counters, read_number

CGROUP = Path("sys/fs/cgroup")


def groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's control groups that may limit it, the innermost first.

    Limits hold for all groups within, so that every folder up to the top has its say. In a
    container the top is often the container's own group, and the path below it does not exist.
    """
    base = root / CGROUP
    for line in (read(root / "proc" / "self" / "cgroup") or "0::/").splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if names and controller not in names.split(","):
            continue
        # Version 2 has one tree, version 1 one for each controller; some systems have both.
        tops = [base / "unified", base] if number == "0" and not names else [base / names]
        tops += [base / controller] if names else []
        for top in dict.fromkeys(tops):
            inner = top.joinpath(*[part for part in path.split("/") if part not in ("", "..")])
            for folder in (inner, *inner.parents):
                if folder.is_dir():
                    yield folder
                if folder == top:
                    break


def cpu_quota(root: Path) -> float | None:
    """The cores' worth of time that the tightest limit allows; None without a limit."""
    found = []
    for folder in groups(root, "cpu"):
        quota, _, period = (read(folder / "cpu.max") or "").partition(" ")
        if quota.isdigit() and period.isdigit() and int(period):
            found.append(int(quota) / int(period))
        old, old_period = (
            read_number(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")
        )
        if old is not None and old > 0 and old_period:
            found.append(old / old_period)
    return min(found, default=None)


def memory_limit(root: Path, total_bytes: int) -> tuple[int, int] | None:
    """Bytes of the limit that leaves least, and bytes left of it; None without a limit.

    What a group holds of files can be given back and counts as left.
    """
    found = []
    for folder in groups(root, "memory"):
        for limit_name, used_name, file_name in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit, used = read_number(folder / limit_name), read_number(folder / used_name)
            # Version 1 writes a huge number where there is no limit.
            if limit is None or used is None or limit >= total_bytes:
                continue
            held = read_counters(folder / "memory.stat").get(file_name, 0)
            found.append((max(0, limit - max(0, used - held)), limit))
    if not found:
        return None
    left, limit = min(found)
    return limit, left
