"""Small files in which Linux tells about itself; None where there is no such file."""

from __future__ import annotations

from collections.abc import Iterable
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
