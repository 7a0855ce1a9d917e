"""The machine, the versions and the commit that a run was made with. No torch."""

from __future__ import annotations

import math
import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from bench.machine.energy import find_meter
from bench.machine.linux_files import cpu_quota, memory_limit, read
from bench.machine.nvml import Unavailable
from bench.machine.os_counters import allowed_cpus, read_usage

# Without these glibc gives every large block back to the kernel after each call, and the next call
# pays for it in page faults: up to 60 % of the time of matmul attention (docs/measuring.md).
PINNED_ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(2**33),
    "MALLOC_TRIM_THRESHOLD_": str(2**36),
    "MALLOC_TOP_PAD_": str(2**28),
}


ROOT = Path("/")
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
MOST_PINNED_FAULTS = 1000.0


def describe_machine() -> dict[str, Any]:
    """Processor, cores, caches and memory; null where the platform does not tell."""
    memory = psutil.virtual_memory()
    return {
        "cpu": _cpu_name(),
        "cores_physical": psutil.cpu_count(logical=False),
        "cores_logical": psutil.cpu_count(),
        "cores_usable": usable_cores(),
        "memory_bytes": memory.total,
        "caches_bytes": caches(),
        "gpu": None,
        "os": platform.platform(terse=True),
        "architecture": platform.machine(),
        "load_1m": load_average(),
    }


def versions() -> dict[str, str | None]:
    """Python and the packages that a measurement depends on."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in ("attnscale", "torch", "numpy", "scipy", "pandas"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and whether there are changes beyond it; null if the folder is no checkout's root."""
    if not (folder / ".git").exists():
        return None

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None


def allocator_caveats(allocator: str, faults: float | None) -> list[str]:
    """What a reader must know of the allocator; `faults` are those of a large block used again."""
    if allocator == "pinned" and faults is not None and faults > MOST_PINNED_FAULTS:
        return [
            "The allocator could not be pinned: large blocks are given back after every call, "
            "and page faults may bend the times of what allocates them."
        ]
    return []


def usable_cores(root: Path = ROOT) -> int:
    """The physical cores that this process may use, a container's limit included."""
    cores = min(len(allowed_cpus()), psutil.cpu_count(logical=False) or 1)
    quota = cpu_quota(root)
    return max(1, cores if quota is None else min(cores, int(quota)))


def available_bytes(root: Path = ROOT) -> int:
    """Memory that can be taken without swapping, a container's limit included."""
    memory = psutil.virtual_memory()
    limit = memory_limit(root, int(memory.total))
    free = int(memory.available)
    return max(0, free if limit is None else min(free, limit[1]))


def in_words(size_bytes: float) -> str:
    """Bytes in a unit of which there are less than a thousand: `2.02 GiB`."""
    power = min(int(math.log(max(1.0246 * size_bytes, 1.0), 1024)), 5)
    unit = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")[power]
    return f"{size_bytes / 1024**power:.3g} {unit}"


def worker_environment(threads: int, allocator: str) -> dict[str, str]:
    """The environment that a measuring process starts with: threads and allocator pinned."""
    environment = {**os.environ, "KINETO_LOG_LEVEL": "99", "PYTHONUNBUFFERED": "1"}
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        environment[name] = str(threads)
    if allocator == "pinned":
        environment.update(PINNED_ALLOCATOR)
    return environment


def load_average() -> float | None:
    """Processes that ran or waited to run, averaged over the last minute."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _cpu_name() -> str:
    text = read(ROOT / "proc" / "cpuinfo") or ""
    match = re.search(r"^model name\s*:\s*(.+)$", text, flags=re.MULTILINE)
    return match[1].strip() if match else platform.processor() or platform.machine()


def caches(folder: Path = CACHES) -> dict[str, int] | None:
    """Bytes of each data or unified cache that core 0 sees, such as {"L1d": 49152, "L2": …}."""
    found: dict[str, int] = {}
    for index in sorted(folder.glob("index*")):
        level, kind, size = (read(index / name) for name in ("level", "type", "size"))
        if level and kind in ("Data", "Unified") and size and size.endswith("K"):
            found[f"L{level}{'d' if kind == 'Data' else ''}"] = int(size[:-1]) * 1024
    return found or None


def missing_instruments(device: str) -> dict[str, str]:
    """The columns of a record that stay null, each with the reason in words."""
    found = {}
    meter = find_meter(device)
    if isinstance(meter, Unavailable):
        found["energy_j"] = meter.reason
    usage = read_usage()
    for column, value, reason in (
        ("minor_faults", usage.minor_faults, "this platform counts no page faults"),
        ("waiting_share", usage.waiting_s, "this platform does not tell how long threads waited"),
        ("other_load", usage.busy_s, "this platform does not tell how busy its cores were"),
        ("steal_share", usage.steal_s, "this platform does not tell what its host took away"),
        ("frequency_hz", usage.frequency_hz, "the frequency of the cores is not readable here"),
    ):
        if value is None:
            found[column] = reason
    return found
