"""Who else is at work: other processes, and the other guests of a virtual machine's host."""

from __future__ import annotations

from dataclasses import dataclass

from bench.doctor.finding import Finding, grade, unknown
from bench.doctor.machine import Machine, Processes
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
class Moment:
    """What the counters of the CPUs that may be used, and of this process, say at one moment."""

    at_s: float
    cpu: CpuTimes | None
    own_s: float


@dataclass(frozen=True, kw_only=True)
class Others:
    """What others did while this process slept: cores busy, in all and of the processes seen.

    `cores` is None where no counter tells; `busiest` are names and cores, most first.
    """

    cores: float | None
    seen_cores: float
    busiest: tuple[tuple[str, float], ...]


def moment(machine: Machine) -> Moment:
    """The counters now."""
    return Moment(
        at_s=machine.clock(),
        cpu=machine.cpu_times(machine.root, machine.allowed_cpus()),
        own_s=machine.own_cpu_s(),
    )


def watch(machine: Machine, seconds: float = WINDOW_S) -> Others:
    """Sleep, and see what others do meanwhile."""
    first = machine.processes()
    before = moment(machine)
    machine.sleep(seconds)
    after = moment(machine)
    used = _used(first, machine.processes())
    elapsed = max(after.at_s - before.at_s, 1e-9)
    others = sorted(
        ((seconds / elapsed, name) for name, kin, seconds in used if kin == "other"), reverse=True
    )
    children_s = sum(seconds for _, kin, seconds in used if kin == "child")
    cores = None
    if before.cpu is not None and after.cpu is not None:
        # Our own time is read beside the CPUs' counters; the list of processes takes longer.
        own_s = after.own_s - before.own_s + children_s
        cores = max(0.0, after.cpu.busy_s - before.cpu.busy_s - own_s) / elapsed
    return Others(
        cores=cores,
        seen_cores=sum(share for share, _ in others),
        busiest=tuple((name, share) for share, name in others[:BUSIEST] if share >= LEAST_NAMED),
    )


def _used(first: Processes, last: Processes) -> list[tuple[str, str, float]]:
    """Name, kin and CPU seconds between the two; a process that began meanwhile had none before."""
    found: list[tuple[str, str, float]] = []
    for key, one in last.items():
        before = first.get(key)
        seconds = one.cpu_s - (before.cpu_s if before else 0.0)
        found.append((f"{one.name} (process {key[0]})", one.kin, seconds))
    return found


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
