"""The whole examination, in an order in which one part does not disturb the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

import psutil

from bench.doctor import clock, limits, load, processor
from bench.doctor.finding import Finding, unknown, verdict
from bench.doctor.gpu import gpu_findings
from bench.doctor.machine import Machine
from bench.machine.os_counters import CpuTimes

Check = Callable[[], Finding | Sequence[Finding]]


def examine(
    machine: Machine | None = None,
    gpus: Callable[[], Sequence[Finding]] | None = None,
    tell: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> list[Finding]:
    """Look at everything that may bend a measurement; it takes some ten seconds.

    `tell` is told what is looked at, and how much has been, of how much.
    It sleeps for a second to see what others do, works for five, and starts a measuring process.
    What cannot be read gives a finding that says so, and does not stop the rest.
    """
    here = machine or Machine()
    root, cpus, threads = here.root, here.allowed_cpus(), here.threads()
    machine_cpus = here.all_cpus() or len(cpus)
    swapped, stopped = limits.swapped_pages(root), limits.throttled(root)
    others: list[tuple[str, Check]] = [
        ("load_average", lambda: load.load_average(here.load_average(), machine_cpus)),
        ("other_load", lambda: load.other_load(load.watch(here), len(cpus))),
    ]
    # Only while we work ourselves can a host withhold time, a limit stop us, or the clock be high.
    working: list[tuple[str, Check]] = [
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
    found: list[Finding] = []
    idle: CpuTimes | None = None
    for done, (name, check) in enumerate((*others, *working)):
        tell(f"examining the machine: {name.replace('_', ' ')}", done, len(others) + len(working))
        if done == len(others):
            idle = here.cpu_times(root, cpus)
        found += _findings(name, check)
    return found


def sharing(machine: Machine | None = None) -> list[Finding]:
    """What others take of this machine, the worst first; a second's look before a run.

    It works on one core meanwhile, since only who works sees a host withhold time.
    """
    here = machine or Machine()

    def look() -> list[Finding]:
        cpus = here.allowed_cpus()
        cores: list[Finding] = []

        def work(seconds: float) -> None:
            cores.append(clock.shared_cores(here.clock, here.glimpse, seconds))

        before = here.cpu_times(here.root, cpus)
        others = load.watch(replace(here, sleep=work))
        stolen = load.steal(before, here.cpu_times(here.root, cpus))
        return [load.other_load(others, len(cpus)), stolen, *cores]

    found = _findings("sharing", look)
    ranks = ("problem", "warning")
    return sorted(
        (one for one in found if one.status in ranks), key=lambda one: ranks.index(one.status)
    )


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


def _findings(name: str, check: Check) -> Sequence[Finding]:
    try:
        found = check()
    except (OSError, psutil.Error, ValueError) as problem:
        said = str(problem).partition("\n")[0] or type(problem).__name__
        title = name.replace("_", " ").capitalize()
        found = unknown(name, f"{title} could not be read: {said}.")
    return [found] if isinstance(found, Finding) else found


def document(findings: Sequence[Finding]) -> dict[str, object]:
    """The verdict and the findings as `--json` prints them."""
    return {"verdict": verdict(findings), "findings": [asdict(one) for one in findings]}
