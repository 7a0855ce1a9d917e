"""Peak of the resident set during a call: what the operating system saw of the workspace.

A cross-check of `bench.memory`, which sees what torch's allocator hands out and no more. To be
called in a fresh process, its inputs made and a tiny call behind it, so that libraries are loaded.
The first call also pays for what libraries keep from then on (a BLAS some megabytes), and the C
allocator may leave holes; later calls, before each of which it gave back what it held, do not.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import psutil

if TYPE_CHECKING:
    from torch import Tensor

SELF = Path("/proc/self")
RESET_PEAK = "5"  # what the kernel takes in clear_refs for it
CALLS = 4
SAMPLING_S = 1e-3
KERNEL_PEAK = "the kernel's peak of the resident set (VmHWM)"
PROCESS_PEAK = "the process's peak of the working set (peak_wset)"
SAMPLED = "the resident set, looked at every millisecond: shorter peaks are missed"
EARLIER_PEAK = "the call stayed below an earlier peak of this process, which cannot be reset here"

Call = Callable[[], "Sequence[Tensor]"]


class Memory(Protocol):
    """What `psutil.Process.memory_info` gives; on Windows there is `peak_wset` as well."""

    @property
    def rss(self) -> int:
        """Bytes resident now."""
        ...


@dataclass(frozen=True, kw_only=True)
class ResidentReading:
    """By how much the resident set rose beyond the call's outputs; None with the reason.

    `rise_bytes` is the least of some calls, `first_bytes` that of the first; where the C allocator
    cannot be told to give memory back, there is only the first. Outputs count as if they lived
    throughout, so that those made after the peak lower the rise by their size. `how` names the
    instrument.
    """

    rise_bytes: int | None
    first_bytes: int | None
    how: str
    reason: str | None = None


def resident_peak(
    call: Call,
    *,
    memory: Callable[[], Memory] | None = None,
    files: Path = SELF,
    trim: Callable[[], bool] | None = None,
) -> ResidentReading:
    """Call, and read the peak of the resident set, less what was before and the outputs.

    Linux resets its peak, Windows keeps one for the process; elsewhere the resident set is looked
    at every millisecond. `memory` is psutil's `memory_info` of this process, `files` its folder in
    /proc. `trim` makes the C allocator give back what it holds unused, which a call would take up
    again without a rise, and tells whether it did.
    """
    memory = memory or psutil.Process().memory_info
    gives_back = (trim or trim_heap)()
    before = memory()
    if _reset(files):
        rises = [_rise_on_linux(call, before.rss, files)]
        while gives_back and len(rises) < CALLS:
            (trim or trim_heap)()
            before = memory()
            _reset(files)
            rises.append(_rise_on_linux(call, before.rss, files))
        return ResidentReading(rise_bytes=min(rises), first_bytes=rises[0], how=KERNEL_PEAK)
    if hasattr(before, "peak_wset"):
        held = held_bytes(call())
        peak = _peak_of_process(memory())
        if peak <= _peak_of_process(before):
            return ResidentReading(
                rise_bytes=None, first_bytes=None, how=PROCESS_PEAK, reason=EARLIER_PEAK
            )
        rise = max(0, peak - before.rss - held)
        return ResidentReading(rise_bytes=rise, first_bytes=rise, how=PROCESS_PEAK)
    outputs, peak = _sampled(call, lambda: memory().rss)
    rise = max(0, peak - before.rss - held_bytes(outputs))
    return ResidentReading(rise_bytes=rise, first_bytes=rise, how=SAMPLED)


def held_bytes(tensors: Sequence[Tensor]) -> int:
    """Bytes of the tensors' memory, each block once."""
    storages = [tensor.untyped_storage() for tensor in tensors]
    return sum({one.data_ptr(): one.nbytes() for one in storages}.values())


def trim_heap() -> bool:
    """Let glibc give back the free memory that it keeps; False with other C libraries."""
    if sys.platform != "linux":
        return False
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None:
        return False
    trim(ctypes.c_size_t(0))
    return True


def _rise_on_linux(call: Call, before_bytes: int, files: Path) -> int:
    held = held_bytes(call())
    return max(0, _high_water(files) - before_bytes - held)


def _reset(files: Path) -> bool:
    try:
        (files / "clear_refs").write_text(RESET_PEAK, encoding="ascii")
        return "VmHWM" in _status(files)
    except OSError:
        return False


def _high_water(files: Path) -> int:
    return int(_status(files)["VmHWM"].split()[0]) * 1024


def _status(files: Path) -> dict[str, str]:
    lines = (files / "status").read_text(encoding="utf-8", errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _peak_of_process(memory: object) -> int:
    return int(getattr(memory, "peak_wset", 0))


def _sampled(call: Call, rss: Callable[[], int]) -> tuple[Sequence[Tensor], int]:
    """The outputs, and the largest resident set that a thread beside the call saw."""
    seen = [rss()]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(SAMPLING_S):
            seen.append(rss())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        outputs = call()
        seen.append(rss())
    finally:
        ended.set()
        thread.join()
    return outputs, max(seen)
