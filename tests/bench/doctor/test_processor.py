"""The processor's findings, from files of our own."""

import pytest

from bench.doctor.processor import (
    boost,
    frequency,
    governor,
    performance_counters,
    smt,
    virtual_machine,
)

CPU = "sys/devices/system/cpu"


def each(cpus, name, values):
    return {f"{CPU}/cpu{cpu}/{name}": value for cpu, value in zip(cpus, values, strict=True)}


def test_one_cpu_with_another_governor_than_performance_is_a_warning(system):
    root = system(each([0, 1, 2], "cpufreq/scaling_governor", ["performance"] * 2 + ["powersave"]))

    assert governor(root, {0, 1}).status == "good"
    slow = governor(root, {0, 1, 2})
    assert slow.status == "warning"
    assert slow.value == "performance,powersave"
    assert "performance" in slow.advice


@pytest.mark.parametrize(
    ("current", "limit", "status"),
    [
        (3_500_000, 4_000_000, "good"),
        (2_700_000, 4_000_000, "warning"),
        (3_000_000, 3_000_000, "warning"),
    ],
)
def test_a_clock_that_is_held_down_or_limited_is_a_warning(system, current, limit, status):
    root = system(
        {
            **each([0, 1], "cpufreq/scaling_cur_freq", [800_000, current]),
            **each([0, 1], "cpufreq/scaling_max_freq", [limit, limit]),
            **each([0, 1], "cpufreq/cpuinfo_max_freq", [4_000_000, 4_000_000]),
        }
    )

    finding = frequency(root, {0, 1})

    assert finding.status == status
    assert (finding.value, finding.unit) == (current // 1000, "MHz")
    assert ("limited to 3000" in finding.found) == (limit == 3_000_000)


@pytest.mark.parametrize(
    ("file", "text", "value"),
    [
        ("intel_pstate/no_turbo", 0, "on"),
        ("intel_pstate/no_turbo", 1, "off"),
        ("cpufreq/boost", 1, "on"),
        ("cpufreq/boost", 0, "off"),
    ],
)
def test_turbo_is_information_whoever_makes_the_processor(system, file, text, value):
    finding = boost(system({f"{CPU}/{file}": text}))

    assert (finding.status, finding.value) == ("good", value)


def test_a_frequency_without_its_maximum_says_nothing(system):
    root = system(each([0], "cpufreq/scaling_cur_freq", [800_000]))

    assert frequency(root, {0}).status == "unknown"


def test_a_virtual_machine_that_hides_its_clock_alarms_nobody(tmp_path):
    found = [governor(tmp_path, {0}), frequency(tmp_path, {0}), boost(tmp_path)]

    assert [one.status for one in found] == ["unknown"] * 3
    assert all(one.advice is None for one in found)


TWO_A_CORE = ["0,4", "1,5", "2,6", "3,7", "0,4", "1,5", "2,6", "3,7"]


@pytest.mark.parametrize("file", ["core_cpus_list", "thread_siblings_list"])
def test_threads_that_may_share_a_core_are_a_warning_with_a_command(system, file):
    root = system(each(range(8), f"topology/{file}", TWO_A_CORE))

    free = smt(root, frozenset(range(8)), 4)
    crowded = smt(root, frozenset({1, 5}), 2)

    assert (free.status, free.value) == ("warning", 4)
    assert "taskset -c 0-3 attnscale" in free.advice
    assert crowded.status == "warning"
    assert "2 measuring threads and 1 core: threads would share" in crowded.found
    assert "taskset -c 1 attnscale" in crowded.advice


def test_one_cpu_of_each_core_is_good_although_smt_is_on(system):
    root = system(each(range(8), "topology/core_cpus_list", TWO_A_CORE))

    assert smt(root, frozenset({0, 1, 2, 3}), 4).status == "good"


def test_cores_of_one_cpu_each_are_good(system):
    root = system(each(range(3), "topology/core_cpus_list", ["0", "1", "2"]))

    finding = smt(root, frozenset({0, 1, 2}), 3)

    assert (finding.status, finding.value, finding.advice) == ("good", 3, None)


@pytest.mark.parametrize("text", ["", "garbage", "0-"])
def test_cores_that_are_not_told_are_not_guessed(system, text):
    root = system(each(range(2), "topology/core_cpus_list", ["0", text]))

    assert smt(root, frozenset({0, 1}), 2).status == "unknown"


@pytest.mark.parametrize(
    ("cpuinfo", "status", "value"),
    [
        ("flags\t\t: fpu hypervisor sse", "good", "yes"),
        ("flags\t\t: fpu sse\nvmx flags\t: hypervisorish", "good", "no"),
        ("Features\t: fp asimd", "unknown", None),
    ],
)
def test_a_hypervisor_is_seen_where_the_processor_tells(system, cpuinfo, status, value):
    finding = virtual_machine(system({"proc/cpuinfo": cpuinfo}))

    assert (finding.status, finding.value) == (status, value)


def test_performance_counters_are_never_an_alarm(system, tmp_path):
    without = performance_counters(tmp_path)
    root = system(
        {
            "proc/sys/kernel/perf_event_paranoid": 4,
            "sys/bus/event_source/devices/cpu_core/type": 4,
        }
    )
    closed = performance_counters(root)

    assert (without.status, without.advice) == ("unknown", None)
    assert (closed.status, closed.value, closed.advice) == ("good", 4, None)
