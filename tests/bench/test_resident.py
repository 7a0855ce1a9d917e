"""The resident set's peak: a process that the test invents, on three kinds of platform."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from bench.environment import worker_environment
from bench.resident import held_bytes, resident_peak

BEFORE, WORKSPACE, KEPT = 1000 * 4096, 307 * 4096, 59 * 4096
OUTPUT_BYTES = 4 * 4096


class Process:
    """Memory goes up in a call and down again, but for the heap: that is kept until trimmed."""

    def __init__(self, files: Path | None = None) -> None:
        self.rss = self.peak = BEFORE
        self.free = 0
        self.calls = 0
        self.files = files
        if files is not None:
            (files / "clear_refs").touch()
            self.write()

    def write(self) -> None:
        if self.files is not None:
            self.files.joinpath("status").write_text(
                f"Name:\tpython\nVmHWM:\t{self.peak // 1024:>8} kB\nVmRSS:\t{self.rss // 1024} kB\n"
            )

    def trim(self) -> bool:
        self.rss -= self.free
        self.free = 0
        return True

    def memory(self) -> SimpleNamespace:
        if self.files is not None and self.files.joinpath("clear_refs").read_text() == "5":
            self.files.joinpath("clear_refs").write_text("")
        return SimpleNamespace(rss=self.rss)

    def call(self) -> list[Tensor]:
        if self.files is not None:
            assert self.files.joinpath("clear_refs").read_text() == "5", "the peak was not reset"
        self.peak = self.rss
        self.calls += 1
        kept = KEPT if self.calls == 1 else 0
        asked = WORKSPACE + OUTPUT_BYTES
        self.rss += kept + max(0, asked - self.free)
        self.free = max(asked, self.free)
        self.peak = max(self.peak, self.rss)
        self.write()
        return [torch.ones(OUTPUT_BYTES // 4)]


def test_the_kernels_peak_is_reset_and_read_for_every_call(tmp_path):
    process = Process(tmp_path)
    found = resident_peak(process.call, memory=process.memory, files=tmp_path, trim=process.trim)
    assert found.rise_bytes == WORKSPACE
    assert found.first_bytes == WORKSPACE + KEPT
    assert "VmHWM" in found.how


def test_a_heap_that_gives_nothing_back_is_filled_once_only(tmp_path):
    process = Process(tmp_path)
    found = resident_peak(process.call, memory=process.memory, files=tmp_path, trim=lambda: False)
    assert process.calls == 1
    assert found.rise_bytes == found.first_bytes == WORKSPACE + KEPT


def windows(peaks: list[int]) -> Callable[[], SimpleNamespace]:
    return lambda: SimpleNamespace(rss=BEFORE, peak_wset=peaks.pop(0))


def test_a_peak_that_cannot_be_reset_counts_if_the_call_raised_it(tmp_path):
    absent = tmp_path / "absent"
    call = Process().call
    raised = resident_peak(
        call,
        memory=windows([BEFORE + 5, BEFORE + WORKSPACE + OUTPUT_BYTES]),
        files=absent,
        trim=lambda: False,
    )
    assert raised.rise_bytes == WORKSPACE
    high = BEFORE + 2 * WORKSPACE
    hidden = resident_peak(call, memory=windows([high, high]), files=absent, trim=lambda: False)
    assert hidden.rise_bytes is None
    assert "earlier peak" in hidden.reason


def test_elsewhere_the_peak_is_seen_by_looking_often(tmp_path):
    seen = threading.Event()
    high = [False]

    def memory() -> SimpleNamespace:
        if high[0] and threading.current_thread() is not threading.main_thread():
            seen.set()
        return SimpleNamespace(rss=BEFORE + (WORKSPACE + OUTPUT_BYTES if high[0] else 0))

    def call() -> list[Tensor]:
        high[0] = True
        assert seen.wait(30), "nobody looked during the call"
        high[0] = False
        return [torch.ones(OUTPUT_BYTES // 4)]

    found = resident_peak(call, memory=memory, files=tmp_path / "absent", trim=lambda: False)
    assert found.rise_bytes == WORKSPACE
    assert "shorter peaks are missed" in found.how


def test_memory_that_outputs_share_is_held_once():
    whole = torch.ones(6, 5)
    assert held_bytes([whole, whole[1:], whole.T, torch.ones(3)]) == 4 * (30 + 3)


@pytest.mark.skipif(sys.platform != "linux", reason="resets the kernel's peak")
def test_a_block_that_a_call_touches_is_seen_to_the_page(tmp_path):
    """In a process of its own: what another test keeps or frees would count."""
    code = (
        "import torch; from bench.resident import resident_peak;"
        "torch.set_num_threads(1);"
        "call = lambda: [torch.ones(5_000_000).sum(0, keepdim=True)];"
        "found = resident_peak(call); print(found.rise_bytes, found.first_bytes)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=worker_environment(1, "pinned"),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    rise, first = (int(word) for word in done.stdout.split())
    assert rise == pytest.approx(20_000_000, abs=1_000_000)
    assert first >= rise
