"""The whole examination of machines of our own, and how it is shown."""

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from rich.console import Console

from bench.doctor.examination import document, examine, sharing
from bench.doctor.finding import Finding, headline, show, verdict
from bench.doctor.known_durations import HarnessOverhead, TimerReading
from bench.doctor.machine import Machine, Memory, Process
from bench.machine.os_counters import CpuTimes
from bench.timing.stopwatch import HarnessCosts

GIB = 2**30
CPU = "sys/devices/system/cpu"
GOOD_FILES: Mapping[str, object] = {
    "proc/self/cgroup": "0::/",
    "proc/cpuinfo": "flags : fpu",
    "proc/vmstat": "pswpin 5\npswpout 7",
    "proc/sys/kernel/perf_event_paranoid": 2,
    "sys/bus/event_source/devices/cpu/type": 4,
    "sys/fs/cgroup/cpu.max": "max 100000",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc",
    f"{CPU}/cpufreq/boost": 0,
    **{
        f"{CPU}/cpu{cpu}/{name}": value
        for cpu in (0, 1, 2)
        for name, value in {
            "cpufreq/scaling_governor": "performance",
            "cpufreq/scaling_cur_freq": 3_500_000,
            "cpufreq/cpuinfo_max_freq": 3_600_000,
            "topology/core_cpus_list": cpu,
        }.items()
    },
}


def reading(read_s: float) -> TimerReading:
    return TimerReading(asked_s=5e-3, spun_s=5e-3, read_s=read_s)


def machine(root: Path) -> Machine:
    """A machine without fault, whose clock advances by a second at each look."""
    seconds, busy_s = count(0.0, 1.0), count(10.0, 0.01)
    return Machine(
        root=root,
        environment={},
        clock=lambda: next(seconds),
        sleep=lambda _: None,
        own_cpu_s=lambda: 0.0,
        work=lambda: None,
        glimpse=lambda: None,
        stream=lambda: lambda: None,
        allowed_cpus=lambda: frozenset({0, 1, 2}),
        all_cpus=lambda: 3,
        threads=lambda: 3,
        cpu_times=lambda root, cpus: CpuTimes(busy_s=next(busy_s), steal_s=0.0),
        processes=lambda: {(7, 0.0): Process(name="idle", cpu_s=1.0)},
        load_average=lambda: 0.1,
        memory=lambda: Memory(total_bytes=23 * GIB, available_bytes=17 * GIB, swapped_bytes=0),
        battery=lambda: None,
        temperatures=lambda: {"k10temp": [SimpleNamespace(current=50.0, high=None)]},
        costs=lambda: HarnessCosts(clock_resolution_s=3e-8, clock_cost_s=5e-8, loop_cost_s=1e-8),
        timer_test=lambda: [reading(5.01e-3)],
        overhead=lambda: HarnessOverhead(before_s=2e-8, after_s=1e-9),
        describe_worker=lambda: {"large_block_faults": 0.0},
    )


def absent() -> list[Finding]:
    return [Finding(name="gpu", status="good", found="No GPU.")]


def broken(problem: Exception):
    def fail():
        raise problem

    return fail


def named(findings: list[Finding]) -> dict[str, Finding]:
    found = {one.name: one for one in findings}
    assert len(found) == len(findings), "names must be unique"
    return found


def test_a_machine_without_fault_is_fit_and_needs_no_advice(system):
    found = examine(machine(system(GOOD_FILES)), absent)

    assert {one.status for one in found} == {"good"}
    assert all(one.advice is None for one in found)
    assert (verdict(found), headline(found)) == ("fit", "This machine is fit to measure on.")


def test_a_machine_that_tells_nothing_is_fit_all_the_same(tmp_path):
    silent = replace(
        machine(tmp_path),
        cpu_times=lambda root, cpus: None,
        load_average=lambda: None,
        temperatures=dict,
        describe_worker=lambda: {"large_block_faults": None},
    )

    found = named(examine(silent, absent))

    assert verdict(found.values()) == "fit"
    unknown = {name for name, one in found.items() if one.status == "unknown"}
    assert unknown >= {"other_load", "steal", "governor", "smt", "cpu_limit", "temperature"}
    assert found.keys() == named(examine(machine(tmp_path), absent)).keys()


def test_what_cannot_be_read_is_told_with_its_reason_and_the_rest_goes_on(system):
    good = machine(system(GOOD_FILES))
    ill = replace(
        good,
        processes=broken(psutil.AccessDenied(17)),
        battery=broken(PermissionError("power is secret\nsecond line")),
    )

    found = examine(ill, absent)

    assert {one.name for one in found if one.status == "unknown"} == {"other_load", "power_supply"}
    assert "Power supply could not be read: power is secret." in [one.found for one in found]
    assert len(found) == len(examine(good, absent))


def test_a_look_before_a_run_tells_what_others_take_the_worst_first(system):
    good = machine(system(GOOD_FILES))
    busy_s, stolen_s, theirs_s = count(10.0, 20.0), count(0.0, 1.0), count(0.0, 19.0)
    shared = replace(
        good,
        cpu_times=lambda root, cpus: CpuTimes(busy_s=next(busy_s), steal_s=next(stolen_s)),
        processes=lambda: {(7, 0.0): Process(name="training", cpu_s=next(theirs_s))},
    )

    assert sharing(good) == []
    load, stolen = sharing(shared)
    assert (load.name, load.status) == ("other_load", "problem")
    assert "training (process 7)" in load.found
    assert (stolen.name, stolen.status) == ("steal", "warning")


def test_a_look_that_is_not_allowed_tells_nothing(system):
    ill = replace(machine(system(GOOD_FILES)), processes=broken(psutil.AccessDenied(17)))

    assert sharing(ill) == []


def test_an_examination_tells_what_it_looks_at_and_how_much_is_done(system):
    told: list[tuple[str, int, int]] = []

    examine(machine(system(GOOD_FILES)), absent, lambda *one: told.append(one))

    assert told[0] == ("examining the machine: load average", 0, len(told))
    assert [done for _, done, _ in told] == list(range(len(told)))


def test_a_limit_that_stops_us_while_we_work_is_noticed(system):
    root = system({**GOOD_FILES, "sys/fs/cgroup/cpu.stat": "nr_throttled 3"})

    def stopped() -> list[TimerReading]:
        system({"sys/fs/cgroup/cpu.stat": "nr_throttled 8"})
        return [reading(5e-3)]

    found = named(examine(replace(machine(root), timer_test=stopped), absent))

    assert (found["throttling"].status, found["throttling"].value) == ("problem", 5)


def test_the_worst_finding_decides_and_all_others_are_counted(system):
    warm = replace(
        machine(system(GOOD_FILES)),
        battery=lambda: SimpleNamespace(percent=50.0, power_plugged=False),
        load_average=lambda: 3.0,
    )
    ill = replace(warm, timer_test=lambda: [reading(6e-3)])

    assert headline(examine(warm, absent)).endswith("fit to measure on, with 2 warnings.")
    assert verdict(examine(warm, absent)) == "fit with warnings"
    assert "not fit" in headline(examine(ill, absent))
    assert headline(examine(ill, absent)).endswith("1 problem and 2 warnings.")
    assert verdict(examine(ill, absent)) == "not fit"


def test_every_fault_has_advice(system):
    root = system({**GOOD_FILES, "sys/fs/cgroup/cpu.max": "50000 100000"})
    ill = replace(
        machine(root),
        battery=lambda: SimpleNamespace(percent=50.0, power_plugged=False),
        load_average=lambda: 30.0,
        memory=lambda: Memory(total_bytes=GIB, available_bytes=1, swapped_bytes=9 * GIB),
        temperatures=lambda: {"k10temp": [SimpleNamespace(current=99.0, high=90.0)]},
        costs=lambda: HarnessCosts(clock_resolution_s=1e-3, clock_cost_s=0.0, loop_cost_s=0.0),
        timer_test=lambda: [TimerReading(asked_s=1e-3, spun_s=2e-3, read_s=3e-3)],
        overhead=lambda: HarnessOverhead(before_s=1e-6, after_s=1e-6),
        describe_worker=lambda: {"large_block_faults": 1e6},
    )

    faults = [one for one in examine(ill, absent) if one.status in ("warning", "problem")]

    assert len(faults) == 11
    assert all(one.advice for one in faults)


def test_the_document_is_strict_json_with_the_verdict(system):
    found = examine(machine(system(GOOD_FILES)), absent)

    read = json.loads(json.dumps(document(found), allow_nan=False))

    assert read["verdict"] == "fit"
    assert [one["name"] for one in read["findings"]] == [one.name for one in found]
    assert read["findings"][0].keys() == {"name", "status", "found", "advice", "value", "unit"}


def shown(findings: list[Finding], width: int) -> list[str]:
    out = io.StringIO()
    show(findings, Console(file=out, width=width, color_system=None))
    return out.getvalue().splitlines()


def test_the_verdict_comes_first_then_the_worst_with_its_advice_below_it():
    lines = shown(
        [
            Finding(name="a", status="good", found="All is well."),
            Finding(name="b", status="warning", found="[red]odd[/red] name.", advice="Rename it."),
            Finding(name="c", status="unknown", found="Not told."),
            Finding(name="d", status="problem", found="Broken.", advice="Mend it."),
        ],
        80,
    )

    assert lines == [
        "This machine is not fit to measure on now: 1 problem and 1 warning.",
        "",
        "PROBLEM  Broken.",
        "         -> Mend it.",
        "WARNING  [red]odd[/red] name.",
        "         -> Rename it.",
        "unknown  Not told.",
        "good     All is well.",
    ]


@pytest.mark.parametrize("width", [40, 80, 300])
def test_no_line_is_wider_than_the_terminal_and_no_word_is_lost(system, width):
    found = examine(machine(system(GOOD_FILES)), absent)

    lines = shown(found, width)

    assert max(map(len, lines)) <= min(width, 100)
    text = " ".join(" ".join(lines).split())
    assert all(one.found in text for one in found)
    if width == 80:
        assert len(lines) <= 2 + 2 * len(found)
