"""The whole examination, in an order in which one part does not disturb the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict

import psutil

from bench.doctor import clock, limits, load, processor
from bench.doctor.finding import Finding, unknown, verdict
from bench.doctor.gpu import gpu_findings
from bench.doctor.machine import Machine

Check = Callable[[], Finding | Sequence[Finding]]


def examine(
    machine: Machine | None = None, gpus: Callable[[], Sequence[Finding]] | None = None
) -> list[Finding]:
    """Look at everything that may bend a measurement; it takes some ten seconds.

    It sleeps for a second to see what others do, works for five, and starts a measuring process.
    What cannot be read gives a finding that says so, and does not stop the rest.
    """
    here = machine or Machine()
    root, cpus, threads = here.root, here.allowed_cpus(), here.threads()
    machine_cpus = here.all_cpus() or len(cpus)
    swapped, stopped = limits.swapped_pages(root), limits.throttled(root)
    found = _findings(
        [
            ("load_average", lambda: load.load_average(here.load_average(), machine_cpus)),
            ("other_load", lambda: load.other_load(load.watch(here), len(cpus))),
        ]
    )
    # Only while we work ourselves can a host withhold time, a limit stop us, or the clock be high.
    idle = here.cpu_times(root, cpus)
    found += _findings(
        [
            ("timer", lambda: _timer(here)),
            ("harness_overhead", lambda: clock.harness_overhead(here.overhead())),
            ("clock_cost", lambda: clock.clock_cost(here.costs())),
            ("scatter", lambda: clock.scatter(here.clock, here.work)),
            ("shared_cores", lambda: clock.shared_cores(here.clock, here.glimpse)),
            ("shared_memory", lambda: clock.shared_memory(here.clock, here.stream())),
            ("frequency", lambda: processor.frequency(root, cpus)),
            ("steal", lambda: load.steal(idle, here.cpu_times(root, cpus))),
            ("cpu_limit", lambda: limits.cpu_limit(root, len(cpus), threads)),
            ("throttling", lambda: limits.throttling(stopped, limits.throttled(root))),
            ("cpu_set", lambda: limits.cpu_set(len(cpus), here.all_cpus())),
            ("governor", lambda: processor.governor(root, cpus)),
            ("boost", lambda: processor.boost(root)),
            ("smt", lambda: processor.smt(root, cpus, threads)),
            ("virtual_machine", lambda: processor.virtual_machine(root)),
            ("performance_counters", lambda: processor.performance_counters(root)),
            ("clock_source", lambda: clock.clock_source(root)),
            ("power_supply", lambda: processor.power_supply(here.battery())),
            ("temperature", lambda: processor.temperature(here.temperatures())),
            # A worker that is asked of itself opens the GPU: that comes after the GPU.
            ("gpu", gpus or (lambda: gpu_findings(root, here.environment))),
            ("allocator", lambda: limits.allocator(here.describe_worker)),
            ("memory_available", lambda: _memory(here, swapped)),
            ("huge_pages", lambda: limits.huge_pages(root)),
        ]
    )
    return found


def _timer(machine: Machine) -> list[Finding]:
    readings = machine.timer_test()
    return [clock.timer(readings), clock.interruptions(readings)]


def _memory(machine: Machine, swapped: int | None) -> list[Finding]:
    now, root = machine.memory(), machine.root
    return [
        limits.available(root, now),
        limits.container_memory(root, now.total_bytes),
        limits.swap(now, swapped, limits.swapped_pages(root)),
    ]


def _findings(checks: Iterable[tuple[str, Check]]) -> list[Finding]:
    found: list[Finding] = []
    for name, check in checks:
        try:
            one = check()
        except (OSError, psutil.Error, ValueError) as problem:
            said = str(problem).partition("\n")[0] or type(problem).__name__
            title = name.replace("_", " ").capitalize()
            one = unknown(name, f"{title} could not be read: {said}.")
        found += [one] if isinstance(one, Finding) else one
    return found


def document(findings: Sequence[Finding]) -> dict[str, object]:
    """The verdict and the findings as `--json` prints them."""
    return {"verdict": verdict(findings), "findings": [asdict(one) for one in findings]}
