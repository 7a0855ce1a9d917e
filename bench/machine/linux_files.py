"""Small files in which Linux tells about itself; None where there is no such file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path


def read(file: Path) -> str | None:
    """The text of a file without the white space around it."""
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def read_number(file: Path) -> int | None:
    """The whole number in a file; None also where it holds something else, such as `max`."""
    text = read(file) or ""
    # Not by trying: CPython loses a KeyboardInterrupt that comes while int() words its complaint.
    return int(text) if text.isascii() and text.removeprefix("-").isdigit() else None


def read_counters(file: Path) -> dict[str, int]:
    """The numbers of a file of lines such as `nr_throttled 12` or `VmRSS:  12 kB`."""
    found = {}
    for line in (read(file) or "").splitlines():
        words = line.split()
        if len(words) > 1 and words[1].isdigit():
            found[words[0].removesuffix(":")] = int(words[1])
    return found


def parse_cpus(text: str) -> frozenset[int]:
    """The CPUs of a list such as `0-3,8`."""
    found: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def write_cpus(cpus: Iterable[int]) -> str:
    """The shortest list, such as `0-3,8`, of some CPUs."""
    runs: list[list[int]] = []
    for cpu in sorted(cpus):
        if runs and cpu == runs[-1][-1] + 1:
            runs[-1].append(cpu)
        else:
            runs.append([cpu])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def status_bytes(name: str, own: Path = Path("/proc/self")) -> int | None:
    """A size that Linux tells of this process, such as `VmRSS`; None elsewhere."""
    kib = read_counters(own / "status").get(name)
    return None if kib is None else kib * 1024


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
        # Without a limit the quota is "max" in version 2 and -1 in version 1.
        old = [read(folder / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")]
        for quota, period in ((read(folder / "cpu.max") or "").partition(" ")[::2], old):
            if quota.isdigit() and period.isdigit() and int(period):
                found.append(int(quota) / int(period))
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
