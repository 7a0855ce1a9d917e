"""Repeats the evidence of docs/measuring.md.

    python docs/measuring.py idle FOLDER --times 10     quick runs, one after another
    python docs/measuring.py loaded FOLDER              one beside two busy processes
    python docs/measuring.py allocators FOLDER          matmul, n 256 to 8192, pinned and default
    python docs/measuring.py gpu-timer FILE             the events of a GPU, against a wall clock
    python docs/measuring.py table FOLDER...            what the runs say, as Markdown

Nothing else should run on the machine; `attnscale doctor` tells.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pandas as pd
import torch

import attnscale
from bench.timing.cuda import CudaStopwatch, gpu_harness_costs
from reports.grouped import fit_groups
from reports.tables import read_table

CLAIM = "n^2*d"
LOOK_AFTER_S = 60.0
PAGE_BYTES = 4096
# Some 50 µs to 50 ms at 2 GHz.
SPIN_CYCLES = (100_000, 1_000_000, 10_000_000, 100_000_000)
SPINS = 10
MATMUL = """
title = "matmul over n 256 to 8192"
rounds = 3
call_limit_s = 3.0
visit_s = 0.1
min_samples = 5
allocator = "{allocator}"

[[series]]
implementations = ["matmul"]
seq_lens = "256:8192"
d_models = "64:512"
"""


def sweep(out: Path, *options: str) -> None:
    """One sweep in a process of its own."""
    command = [sys.executable, "-m", "attnscale", "sweep", *options, "--out", str(out)]
    subprocess.run(command, check=True)


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep so many cores busy."""
    started = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)
    ]
    try:
        yield
    finally:
        for one in started:
            one.kill()
            one.wait()


def verdicts(folder: Path) -> str:
    """The time verdict and n exponent of every implementation of a run."""
    table = read_table(folder)
    fits = fit_groups(table.frame, info=table.shared_info)
    cells = []
    for one in sorted(fits, key=lambda fit: str(fit.group["implementation"])):
        n = one.exponents["n"]
        known = f" {n.estimate:.2f} [{n.low:.2f}, {n.high:.2f}]" if n.estimate else ""
        cells.append(f"{one.group['implementation']}: {one.verdict}{known}")
    return "; ".join(cells)


def half_width(folder: Path, seconds: float) -> float | None:
    """That of SDPA's n exponent after so much measuring, all cells counted."""
    frame = read_table(folder).frame
    spent = frame["visit_s"].fillna(0.0).cumsum()
    own = frame[(spent <= seconds) & (frame["implementation"] == "sdpa")]
    n = attnscale.fit(own, claim=CLAIM).exponents["n"]
    return None if n.low is None or n.high is None else (n.high - n.low) / 2


def faults(folder: Path) -> pd.Series:
    """Page faults a call in score matrices, by the largest n."""
    frame = read_table(folder).frame
    timed = frame[(frame["status"] == "measured") & (frame["seq_len"] == frame["seq_len"].max())]
    scores = timed["num_heads"] * timed["seq_len"] ** 2 * 4
    found: pd.Series = timed["minor_faults"] * PAGE_BYTES / scores
    return found


def show(folder: Path) -> None:
    """One line of Markdown for a run."""
    frame = read_table(folder).frame
    timed = frame[frame["status"] == "measured"]
    noisy = f"{timed['noisy'].astype(bool).mean():.0%}"
    spent = frame["visit_s"].sum()
    widths = "– | –"
    if "sdpa" in set(frame["implementation"]):
        known = (half_width(folder, seconds) for seconds in (LOOK_AFTER_S, math.inf))
        widths = " | ".join("–" if one is None else f"{one:.3f}" for one in known)
    print(
        f"| {folder.name} | {len(timed)} | {noisy} | {spent:.0f} s | {widths} "
        f"| {faults(folder).median():.2f} | {verdicts(folder)} |"
    )


def gpu_timer() -> dict[str, object]:
    """Readings of kernels that spin for so many clock cycles.

    How long a cycle is comes from a wall clock around the longest, where a launch is nothing;
    that a kernel of a thousandth of the cycles takes a thousandth of the time is assumed.
    """

    def spin(cycles: int) -> None:
        torch.cuda._sleep(cycles)

    def on_the_wall(cycles: int) -> float:
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(SPINS):
            spin(cycles)
        torch.cuda.synchronize()
        return (time.perf_counter() - began) / SPINS

    cycles = SPIN_CYCLES[-1]
    on_the_wall(cycles)  # until the clock is up
    cycle_s = statistics.median(on_the_wall(cycles) for _ in range(3)) / cycles
    watches = {
        name: CudaStopwatch.on("cuda", queued=name == "queued") for name in ("called", "queued")
    }
    readings = []
    for cycles in SPIN_CYCLES:
        known = cycles * cycle_s
        found: dict[str, float] = {"known_s": known}
        for name, watch in watches.items():
            read = statistics.median(watch.measure(partial(spin, cycles), 1) for _ in range(SPINS))
            found |= {f"{name}_s": read, f"{name}_error": read / known - 1}
        readings.append(found)
    return {"gpu": torch.cuda.get_device_name(), "readings": readings, **gpu_harness_costs()}


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("what", choices=["idle", "loaded", "allocators", "gpu-timer", "table"])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--times", type=int, default=10)
    asked = parser.parse_args()
    folder: Path = asked.folders[0]
    if asked.what == "idle":
        for number in range(1, asked.times + 1):
            sweep(folder / f"idle-{number}", "--preset", "quick")
    elif asked.what == "loaded":
        with busy(2):
            sweep(folder / "loaded", "--preset", "quick")
    elif asked.what == "allocators":
        folder.mkdir(parents=True, exist_ok=True)
        for allocator in ("pinned", "default"):
            plan = folder / f"{allocator}.toml"
            plan.write_text(MATMUL.format(allocator=allocator), encoding="utf-8")
            sweep(folder / allocator, "--config", str(plan))
    elif asked.what == "gpu-timer":
        folder.write_text(json.dumps(gpu_timer(), indent=1) + "\n", encoding="utf-8")
    else:
        print(
            "| run | timed visits | noisy | measuring | SDPA's n ± after 60 s | at the end "
            "| faults | time verdicts and n exponents |"
        )
        print("|---|---:|---:|---:|---:|---:|---:|---|")
        for one in asked.folders:
            show(one)


if __name__ == "__main__":
    main()
