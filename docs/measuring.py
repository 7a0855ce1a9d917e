"""Repeats the evidence of docs/measuring.md.

python docs/measuring.py runs FOLDER --times 10     quick runs, one after another
python docs/measuring.py loaded FOLDER              one beside two busy processes
python docs/measuring.py allocators FOLDER          matmul, n 256 to 4096, pinned and default
python docs/measuring.py gpu-timer FILE             the events of a GPU, against a wall clock
python docs/measuring.py table FOLDER...            what the runs say, as Markdown
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

from bench.timing.cuda import CudaStopwatch, gpu_harness_costs
from reports.judge.fit_groups import fit_groups
from reports.tables.read import read_table
from reports.tables.rounds import TYPICAL

PAGE_BYTES = 4096
# Some 50 µs to 50 ms at 2 GHz.
SPIN_CYCLES = (100_000, 1_000_000, 10_000_000, 100_000_000)
SPINS = 10
MATMUL = """
title = "matmul over n 256 to 4096"
time_budget_s = 90
call_limit_s = 1.0
threads = 1
allocator = "{allocator}"

[[series]]
implementations = ["matmul"]
seq_lens = "256:4096/2"
d_models = "64:512"
"""


def attnscale(command: str, out: Path, *options: str) -> None:
    """One command in a process of its own; what it says goes beside the run."""
    words = [sys.executable, "-m", "attnscale", command, *options, "--out", str(out)]
    out.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with out.with_suffix(".log").open("w", encoding="utf-8") as log:
        subprocess.run(words, stdout=log, stderr=log, check=True)
        log.write(f"{command} took {time.monotonic() - began:.0f} s\n")


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
        known = "–"
        if n.estimate is not None and n.low is not None and n.high is not None:
            known = f"{n.estimate:.2f} [{n.low:.2f}, {n.high:.2f}]"
        sign = {"confirmed": "✓", "refuted": "✗"}.get(str(one.verdict), "?")
        cells.append(f"{one.group['implementation']} {sign} {known}")
    return "; ".join(cells)


def faults(folder: Path) -> float:
    """Page faults a call in score matrices, at the largest n."""
    frame = read_table(folder).frame
    timed = frame[(frame["status"] == "measured") & (frame["seq_len"] == frame["seq_len"].max())]
    scores = timed["num_heads"] * timed["seq_len"] ** 2 * 4
    return float((timed["minor_faults"] * PAGE_BYTES / scores).median())


def show(folder: Path) -> None:
    """One line of Markdown for a run."""
    table = read_table(folder)
    timed = table.frame[table.frame["status"] == "measured"]
    added = (timed[TYPICAL] / timed["time_s"] - 1.0).dropna()
    schedule = table.info["schedule"]
    print(
        f"| {folder.name} | {schedule['spent_s']:.0f} s, {schedule['rounds']} rounds, at least "
        f"{schedule['fewest_readings']} readings | {added.median():.0%}, {added.quantile(0.9):.0%}"
        f" | {faults(folder):.2f} | {verdicts(folder)} |"
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
    parser.add_argument("what", choices=["runs", "loaded", "allocators", "gpu-timer", "table"])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--times", type=int, default=10)
    asked = parser.parse_args()
    folder: Path = asked.folders[0]
    if asked.what == "runs":
        for number in range(1, asked.times + 1):
            attnscale("run", folder / f"run{number}", "--exit-zero")
    elif asked.what == "loaded":
        with busy(2):
            attnscale("run", folder / "loaded", "--exit-zero")
    elif asked.what == "allocators":
        folder.mkdir(parents=True, exist_ok=True)
        for allocator in ("pinned", "default"):
            plan = folder / f"{allocator}.toml"
            plan.write_text(MATMUL.format(allocator=allocator), encoding="utf-8")
            attnscale("sweep", folder / allocator, "--config", str(plan))
    elif asked.what == "gpu-timer":
        folder.write_text(json.dumps(gpu_timer(), indent=1) + "\n", encoding="utf-8")
    else:
        print(
            "| run | measured | typical call above quiet cost: median, 90th percentile of cells "
            "| faults | time verdicts and n exponents |"
        )
        print("|---|---|---|---:|---|")
        for one in asked.folders:
            show(one)


if __name__ == "__main__":
    main()
