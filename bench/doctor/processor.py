"""The processor: its clock frequency, its cores, its power and heat, and whether it is real."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from bench.doctor.finding import Finding, Status, counted, unknown
from bench.machine.linux_files import parse_cpus, read, read_number, write_cpus

CPUS = Path("sys/devices/system/cpu")
# Just after work the clock is near its maximum, unless something holds it down.
HELD_DOWN_SHARE = 0.7
# Below what a chip calls hot, clocks may fall already.
NEAR_HOT_C = 5.0
HOT_C = 90.0
PROCESSOR_CHIPS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal", "soc_thermal")
NOT_READABLE = "cannot be read here, as is usual in a virtual machine"


def governor(root: Path, cpus: AbstractSet[int]) -> Finding:
    """What decides the frequency: only `performance` keeps it up."""
    found = {_cpufreq(root, cpu, "scaling_governor") for cpu in cpus} - {None}
    names = sorted(str(name) for name in found)
    if not names:
        return unknown("governor", f"The CPU frequency governor {NOT_READABLE}.")
    good = names == ["performance"]
    said = " and ".join(f'"{name}"' for name in names)
    return Finding(
        "governor",
        "good" if good else "warning",
        f"The CPU frequency governor is {said}"
        + ("." if good else ": the clock falls in pauses and takes time to rise again."),
        advice="sudo cpupower frequency-set --governor performance",
        value=",".join(names),
    )


def frequency(root: Path, cpus: AbstractSet[int]) -> Finding:
    """The quickest CPU's frequency against its maximum; to be read just after work."""
    quickest, limit, highest = (
        max((mhz for cpu in cpus if (mhz := _mhz(root, cpu, name)) is not None), default=None)
        for name in ("scaling_cur_freq", "scaling_max_freq", "cpuinfo_max_freq")
    )
    if quickest is None or highest is None:
        return unknown("frequency", f"The CPU's frequency {NOT_READABLE}.")
    found = f"The quickest CPU runs at {quickest:.0f} of at most {highest:.0f} MHz"
    advice = None
    if limit is not None and limit < highest:
        found += f", and is limited to {limit:.0f} MHz"
        advice = (
            "Lift the limit (cpupower frequency-info shows it), or keep it for all you compare."
        )
    elif quickest < HELD_DOWN_SHARE * highest:
        advice = "Look for heat, a power limit or a saving mode that holds the clock down."
    return Finding(
        "frequency",
        "warning" if advice else "good",
        f"{found}.",
        advice=advice,
        value=round(quickest),
        unit="MHz",
    )


def boost(root: Path) -> Finding:
    """Whether cores may exceed their rated frequency for a while; information only."""
    no_turbo = read_number(root / CPUS / "intel_pstate" / "no_turbo")
    boosting = read_number(root / CPUS / "cpufreq" / "boost")
    on = boosting == 1 if no_turbo is None else no_turbo == 0
    if no_turbo is None and boosting is None:
        return unknown("boost", f"Turbo or boost {NOT_READABLE}.")
    found = "Turbo is off: the clock does not exceed its rated frequency."
    if on:
        found = "Turbo is on: the clock varies with heat and with the number of busy cores."
    return Finding("boost", "good", found, value="on" if on else "off")


def _cpufreq(root: Path, cpu: int, name: str) -> str | None:
    return read(root / CPUS / f"cpu{cpu}" / "cpufreq" / name)


def _mhz(root: Path, cpu: int, name: str) -> float | None:
    text = _cpufreq(root, cpu, name)
    return int(text) / 1e3 if text is not None and text.isdigit() else None


def smt(root: Path, cpus: AbstractSet[int], threads: int) -> Finding:
    """Whether the threads that would measure have a physical core each."""
    siblings = {cpu: _siblings(root, cpu) for cpu in cpus}
    known = {cpu: shared for cpu, shared in siblings.items() if shared}
    if len(known) < len(cpus):
        return unknown("smt", "Which CPUs share a core (SMT, hyper-threading) is not told here.")
    cores = set(known.values())
    both = f"{counted(threads, 'measuring thread')} and {counted(len(cores), 'core')}"
    first_of_each = write_cpus(min(core & cpus) for core in cores)
    advice = f'Measure on one CPU a core: "taskset -c {first_of_each} attnscale …"'
    status: Status = "warning"
    if threads > len(cores):
        found = f"There are {both}: threads would share cores (SMT), and be half as fast."
        advice += "."
    elif any(len(core & cpus) > 1 for core in cores):
        found = f"SMT is on: with {both}, nothing keeps two threads from sharing one."
        advice += ", or turn SMT off: echo off | sudo tee /sys/devices/system/cpu/smt/control"
    else:
        status = "good"
        found = f"No two CPUs share a core: {both}."
        if any(len(core) > 1 for core in cores):
            found = f"SMT is on, but of each core only one CPU is used: {both}."
    return Finding("smt", status, found, advice=advice, value=len(cores), unit="cores")


def _siblings(root: Path, cpu: int) -> frozenset[int]:
    folder = root / CPUS / f"cpu{cpu}" / "topology"
    # The second is the older name of the first.
    text = read(folder / "core_cpus_list") or read(folder / "thread_siblings_list") or ""
    return parse_cpus(text) if re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text) else frozenset()


def virtual_machine(root: Path) -> Finding:
    """Whether a hypervisor runs this machine; information only."""
    text = read(root / "proc" / "cpuinfo") or ""
    flags = re.search(r"^flags\s*:(.*)$", text, flags=re.MULTILINE)
    if flags is None:
        return unknown(
            "virtual_machine", "Whether this is a virtual machine is not told by this processor."
        )
    if "hypervisor" in flags[1].split():
        found = "This is a virtual machine: a core here may be shared, or half of a real one."
        return Finding("virtual_machine", "good", found, value="yes")
    found = "This is no virtual machine, as far as the processor tells."
    return Finding("virtual_machine", "good", found, value="no")


def performance_counters(root: Path) -> Finding:
    """Whether the processor's counters could be read; nothing here needs them."""
    level = read_number(root / "proc" / "sys" / "kernel" / "perf_event_paranoid")
    devices = root / "sys" / "bus" / "event_source" / "devices"
    counting = [*devices.glob("cpu*"), *devices.glob("armv*")]
    if level is None or not counting:
        return unknown(
            "performance_counters",
            "There are no hardware performance counters here; they are not needed.",
        )
    return Finding(
        "performance_counters",
        "good",
        f"Hardware performance counters exist (perf_event_paranoid is {level}); "
        "they are not needed.",
        value=level,
    )


def power_supply(battery: Any) -> Finding:
    """Whether the machine runs on a battery, on which processors are slowed down.

    `battery` is what psutil tells of it, or None.
    """
    if battery is None:
        return Finding("power_supply", "good", "There is no battery.", value="mains")
    charge = f"the battery holds {battery.percent:.0f} %"
    if battery.power_plugged is None:
        return unknown("power_supply", f"Whether mains power is plugged in is not told; {charge}.")
    if battery.power_plugged:
        found = f"Mains power is plugged in; {charge}."
        return Finding("power_supply", "good", found, value="mains")
    found = f"The machine runs on its battery ({charge}), and saves power."
    return Finding("power_supply", "warning", found, advice="Plug in mains power.", value="battery")


def temperature(sensors: Mapping[str, Sequence[Any]]) -> Finding:
    """The hottest sensor of the processor, or of all where none is known to be its own.

    `sensors` are what psutil tells of those of each chip.
    """
    own = [chip for chip in sensors if chip in PROCESSOR_CHIPS] or sensors
    known = [(one.current, one.high or HOT_C, chip) for chip in own for one in sensors[chip]]
    if not known:
        return unknown("temperature", "No temperature can be read here.")
    now_c, limit_c, chip = max(known, key=lambda one: one[0] - one[1])
    return Finding(
        "temperature",
        "warning" if now_c > limit_c - NEAR_HOT_C else "good",
        f"The sensor {chip} reads {now_c:.0f} °C; {limit_c:.0f} °C is hot.",
        advice="Let it cool, and see to the fans: a hot processor lowers its clock.",
        value=round(now_c, 1),
        unit="°C",
    )
