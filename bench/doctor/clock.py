"""The clock, what the harness reads with it, and how steadily the same work takes the same time."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.doctor.finding import Finding, grade, unknown
from bench.doctor.known_durations import LARGEST_ERROR, HarnessOverhead, TimerReading
from bench.machine.linux_files import read
from bench.timing.stopwatch import HarnessCosts

SOURCE = Path("sys/devices/system/clocksource/clocksource0/current_clocksource")
# These are read through a device, which takes about a microsecond; the processor's own take 20 ns.
SLOW_SOURCES = {"hpet", "acpi_pm", "jiffies", "refined-jiffies", "pit"}
# Readings last some milliseconds; a thousandth of that is not noticed.
SLOW_CLOCK_S = 1e-6
# A thousandth of the shortest calls of attention, some 10 µs.
LARGEST_LEFT_S = 10e-9
INTERRUPTED = 0.01
INTERRUPTED_MUCH = 0.10
WARM_UPS = 3
REPEATS = 30
SCATTERED = 0.05
SCATTERED_MUCH = 0.50
GLIMPSED_S = 3.0
SHARED_SLOWER = 1.3
SHARED = 0.1
SHARED_MUCH = 0.5


def clock_source(root: Path) -> Finding:
    """What the kernel's clock is read from."""
    source = read(root / SOURCE)
    if not source:
        return unknown("clock_source", "What the clock is read from is not told here.")
    slow = source in SLOW_SOURCES
    return Finding(
        "clock_source",
        "warning" if slow else "good",
        f"The clock is read from {source}"
        + (", which is slow: the processor's own was not trusted." if slow else "."),
        advice='"sudo dmesg | grep -i tsc" says why; "tsc=reliable" at boot overrules it.',
        value=source,
    )


def clock_cost(costs: HarnessCosts) -> Finding:
    """The smallest step of the clock and what a read of it takes, beside readings of a few ms."""
    uncertain = costs.clock_resolution_s + costs.clock_cost_s
    slow = uncertain > SLOW_CLOCK_S
    return Finding(
        "clock_cost",
        "warning" if slow else "good",
        f"The clock tells {_time(costs.clock_resolution_s)} apart, and a read of it takes "
        f"{_time(costs.clock_cost_s)}.",
        advice="Short kernels suffer most; see what the clock is read from.",
        value=round(uncertain * 1e9, 1),
        unit="ns",
    )


def harness_overhead(overhead: HarnessOverhead) -> Finding:
    """What a call costs the harness, and what of that is left in a reading."""
    much = overhead.after_s > LARGEST_LEFT_S
    return Finding(
        "harness_overhead",
        "warning" if much else "good",
        f"An empty call takes {overhead.before_s * 1e9:.1f} ns in the harness's loop, and "
        f"reads as {overhead.after_s * 1e9:.1f} ns after subtraction.",
        advice="The machine was disturbed when the harness was calibrated: quieten it, try again.",
        value=round(overhead.after_s * 1e9, 2),
        unit="ns",
    )


def timer(readings: Sequence[TimerReading]) -> Finding:
    """Whether kernels of known duration read as they should."""
    worst = max((one.error for one in readings), key=abs)
    bad = abs(worst) > LARGEST_ERROR
    each = ", ".join(f"{_time(one.asked_s)} {one.error:+.2%}" for one in readings)
    return Finding(
        "timer",
        "problem" if bad else "good",
        f"Kernels of known duration read with errors of {each}.",
        advice="Readings cannot be trusted now: quieten the machine and examine it again.",
        value=round(worst * 100, 4),
        unit="%",
    )


def interruptions(readings: Sequence[TimerReading]) -> Finding:
    """How much longer than asked those kernels ran: they can only be late, by losing the core.

    Medians are compared, as readings are: one interruption among many does not show here.
    """
    worst = max(readings, key=lambda one: one.stretched)
    status = grade(worst.stretched, warning_above=INTERRUPTED, problem_above=INTERRUPTED_MUCH)
    quiet = status == "good"
    return Finding(
        "interruptions",
        status,
        "Kernels that spin for a known time took at most "
        f"{max(0.0, worst.stretched):.2%} longer, as a median."
        if quiet
        else f"A kernel that spins for {_time(worst.asked_s)} took {worst.stretched:.1%} longer, "
        "as a median: it lost the core.",
        advice="See what is found of other load, container limits and the host.",
        value=round(worst.stretched * 100, 4),
        unit="%",
    )


def scatter(clock: Callable[[], float], work: Callable[[], object]) -> Finding:
    """How much longer than at its quickest the same work takes, over many repetitions."""
    for _ in range(WARM_UPS):
        work()
    times = []
    for _ in range(REPEATS):
        start = clock()
        work()
        times.append(clock() - start)
    quickest = min(times)
    if quickest <= 0:
        return unknown("scatter", "The clock is too coarse to see the work.")
    longer = sorted(one / quickest - 1.0 for one in times)
    # The slowest tenth is left out, so that a single interruption does not decide.
    usual = longer[REPEATS * 9 // 10 - 1]
    status = grade(usual, warning_above=SCATTERED, problem_above=SCATTERED_MUCH)
    return Finding(
        "scatter",
        status,
        f"The same {_time(quickest)} of work took {longer[1]:.1%} to {longer[-1]:.1%} longer "
        f"than at its quickest; nine in ten times, at most {usual:.1%}.",
        advice="Something takes or slows the core: other work, heat, or a varying clock.",
        value=round(usual * 100, 2),
        unit="%",
    )


def shared_cores(
    clock: Callable[[], float], glimpse: Callable[[], object], seconds: float = GLIMPSED_S
) -> Finding:
    """For how much of some seconds a moment's work took far longer than at its quickest.

    A core whose execution units another machine of the same host uses as well does that, and no
    counter of this system tells.
    """
    return _shared(
        "shared_cores",
        "work",
        clock,
        glimpse,
        seconds,
        "Something shares the core, in a virtual machine often another machine of the host. "
        "Measure on one thread and with more rounds, try again later, or use a machine of its own.",
    )


def shared_memory(clock: Callable[[], float], stream: Callable[[], object]) -> Finding:
    """The same of reading memory, which slows what outgrows a core's own cache, and that only."""
    return _shared(
        "shared_memory",
        "reading memory",
        clock,
        stream,
        GLIMPSED_S,
        "Something else keeps memory or the shared cache busy, in a virtual machine often another "
        "machine of the host. Calls that outgrow the core's own cache are slower: measure them "
        "with more rounds, try again later, or use a machine of its own.",
    )


def _shared(
    name: str,
    work: str,
    clock: Callable[[], float],
    glimpse: Callable[[], object],
    seconds: float,
    advice: str,
) -> Finding:
    times = []
    began = now = clock()
    while now - began < seconds:
        start = now
        glimpse()
        now = clock()
        times.append(now - start)
        if now <= start:
            break
    quickest = statistics.quantiles(times, n=50)[0] if len(times) > 1 else 0.0
    if quickest <= 0:
        return unknown(name, "The clock is too coarse to see the work.")
    share = sum(one for one in times if one > SHARED_SLOWER * quickest) / sum(times)
    status = grade(share, warning_above=SHARED, problem_above=SHARED_MUCH)
    return Finding(
        name,
        status,
        f"For {share:.0%} of the time, {_time(quickest)} of {work} took at least "
        f"{SHARED_SLOWER - 1:.0%} longer than at its quickest.",
        advice=advice,
        value=round(share, 4),
        unit="share",
    )


def _time(seconds: float) -> str:
    for factor, unit in ((1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"
