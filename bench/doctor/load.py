"""Who else is at work: other processes, and the other guests of a virtual machine's host."""

from __future__ import annotations

from dataclasses import dataclass

from bench.doctor.finding import Finding, grade, unknown
from bench.doctor.machine import Machine
from bench.machine.os_counters import CpuTimes

WINDOW_S = 1.0
BUSIEST = 3
LEAST_NAMED = 0.01

# Of the CPUs that may be used; a tenth of one CPU is noticed in any case.
NOTICED_SHARE = 0.01
NOTICED_CORES = 0.1
DISTURBING_SHARE = 0.25
# A minute's average remembers what has ended.
REMEMBERED_SHARE = 0.25
# More than this of the load must belong to processes that can be seen, or it is said.
SEEN_SHARE = 0.7

STEAL_NOTICED = 0.01
STEAL_DISTURBING = 0.10


@dataclass(frozen=True, kw_only=True)
class Others:
    """What others did while this process slept: cores busy, in all and of the processes seen.

    `cores` is None where no counter tells; `busiest` are names and cores, most first.
    """

    cores: float | None
    seen_cores: float
    busiest: tuple[tuple[str, float], ...]


def watch(machine: Machine) -> Others:
    """Sleep, and see what others do meanwhile."""

    def moment() -> tuple[float, CpuTimes | None, float]:
        now_s, cpus = machine.clock(), machine.allowed_cpus()
        return now_s, machine.cpu_times(machine.root, cpus), machine.own_cpu_s()

    first = machine.processes()
    began_s, cpu_before, own_before_s = moment()
    machine.sleep(WINDOW_S)
    ended_s, cpu_after, own_after_s = moment()
    elapsed = max(ended_s - began_s, 1e-9)
    children_s = 0.0
    others = []
    for key, process in machine.processes().items():
        # A process that began meanwhile had used nothing before.
        used_s = process.cpu_s - (first[key].cpu_s if key in first else 0.0)
        if process.kin == "child":
            children_s += used_s
        if process.kin == "other":
            others.append((used_s / elapsed, f"{process.name} (process {key[0]})"))
    others.sort(reverse=True)
    cores = None
    if cpu_before is not None and cpu_after is not None:
        # Our own time is read beside the CPUs' counters; the list of processes takes longer.
        own_s = own_after_s - own_before_s + children_s
        cores = max(0.0, cpu_after.busy_s - cpu_before.busy_s - own_s) / elapsed
    return Others(
        cores=cores,
        seen_cores=sum(share for share, _ in others),
        busiest=tuple((name, share) for share, name in others[:BUSIEST] if share >= LEAST_NAMED),
    )


def other_load(others: Others, cpus: int) -> Finding:
    """How many of the CPUs that may be used are busy with other work, and whose it is."""
    if others.cores is None:
        return unknown("other_load", "This system does not tell how busy its CPUs are.")
    status = grade(
        others.cores,
        warning_above=max(NOTICED_CORES, NOTICED_SHARE * cpus),
        problem_above=DISTURBING_SHARE * cpus,
    )
    found = f"{others.cores:.2f} of {cpus} CPUs are busy with other work"
    if others.busiest:
        named = ", ".join(f"{name} {share:.2f}" for name, share in others.busiest)
        found += f"; busiest: {named}"
    if status != "good" and others.seen_cores < SEEN_SHARE * others.cores:
        found += "; the rest has ended meanwhile, or cannot be seen from here"
    return Finding(
        "other_load",
        status,
        f"{found}.",
        advice="Stop these programs or wait for them to end.",
        value=round(others.cores, 3),
        unit="cores",
    )


def load_average(load: float | None, cpus: int) -> Finding:
    """The load of the last minute, beside all CPUs of the machine."""
    if load is None:
        return unknown("load_average", "This system keeps no load average.")
    busy = load > REMEMBERED_SHARE * cpus
    return Finding(
        "load_average",
        "warning" if busy else "good",
        f"On average over a minute, {load:.2f} programs wanted one of {cpus} CPUs.",
        advice="Wait a minute; if it stays so, something here works every now and then.",
        value=round(load, 2),
        unit="processes",
    )


def steal(before: CpuTimes | None, after: CpuTimes | None) -> Finding:
    """The share of the time that the CPUs wanted to work and were withheld by the host.

    Only a CPU that has work can be stolen from: look over a time in which this process worked.
    """
    wanted = 0.0
    if before is not None and after is not None:
        stolen = after.steal_s - before.steal_s
        wanted = after.busy_s - before.busy_s + stolen
    if wanted <= 0.0:
        return unknown("steal", "Whether a host withholds time from these CPUs is not told.")
    share = max(0.0, stolen / wanted)
    status = grade(share, warning_above=STEAL_NOTICED, problem_above=STEAL_DISTURBING)
    return Finding(
        "steal",
        status,
        f"The host withheld {share:.1%} of the CPU time that was wanted here.",
        advice="Other guests share the host: try again later, or use a machine with CPUs of its "
        "own.",
        value=round(share, 4),
        unit="share",
    )
