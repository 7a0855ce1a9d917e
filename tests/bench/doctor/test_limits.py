"""Limits of containers: control groups of both versions, in files of our own."""

import pytest

from bench.doctor.limits import container_memory, cpu_limit, cpu_set, throttled, throttling
from bench.machine.linux_files import cpu_quota, memory_limit

GIB = 2**30
SELF = "proc/self/cgroup"
TOP = "sys/fs/cgroup"
OLD = "9:cpu,cpuacct:/docker/abc\n5:memory:/docker/abc\n0::/"


@pytest.mark.parametrize(
    "files",
    [
        {SELF: "0::/", f"{TOP}/cpu.max": "150000 100000"},
        {SELF: "0::/user/one", f"{TOP}/user/one/cpu.max": "75000 50000"},
        {SELF: "0::/user/one", f"{TOP}/user/cpu.max": "150000 100000"},
        {SELF: "0::/../outside", f"{TOP}/cpu.max": "150000 100000"},
        {SELF: "8:pids:/\n0::/a", f"{TOP}/unified/a/cpu.max": "150000 100000"},
        {
            SELF: OLD,
            f"{TOP}/cpu,cpuacct/cpu.cfs_quota_us": 150000,
            f"{TOP}/cpu,cpuacct/cpu.cfs_period_us": 100000,
        },
        {
            SELF: OLD,
            f"{TOP}/cpu/docker/abc/cpu.cfs_quota_us": 150000,
            f"{TOP}/cpu/docker/abc/cpu.cfs_period_us": 100000,
        },
        {f"{TOP}/cpu.max": "150000 100000"},
    ],
    ids=["top", "own", "outer", "outside", "both", "old top", "old own", "no list"],
)
def test_a_limit_of_one_core_and_a_half_is_found_wherever_it_stands(system, files):
    assert cpu_quota(system(files)) == 1.5


def test_the_tightest_of_nested_limits_holds(system):
    root = system(
        {
            SELF: "0::/a/b",
            f"{TOP}/a/cpu.max": "250000 100000",
            f"{TOP}/a/b/cpu.max": "max 100000",
            f"{TOP}/cpu.max": "700000 100000",
        }
    )

    assert cpu_quota(root) == 2.5


@pytest.mark.parametrize(
    "files",
    [
        {SELF: "0::/", f"{TOP}/cpu.max": "max 100000"},
        {
            SELF: "3:cpu:/",
            f"{TOP}/cpu/cpu.cfs_quota_us": -1,
            f"{TOP}/cpu/cpu.cfs_period_us": 100000,
        },
        {SELF: "0::/mine", f"{TOP}/other/cpu.max": "10000 100000", f"{TOP}/x": ""},
    ],
    ids=["max", "old", "another's"],
)
def test_no_limit_or_that_of_another_group_is_good(system, files):
    root = system(files)

    assert cpu_quota(root) is None
    assert cpu_limit(root, 2, 2).status == "good"


@pytest.mark.parametrize(
    ("cpus", "threads", "status"), [(2, 2, "problem"), (2, 1, "warning"), (1, 1, "good")]
)
def test_more_threads_than_the_limit_are_a_problem_and_a_limit_in_reach_a_warning(
    system, cpus, threads, status
):
    root = system({SELF: "0::/", f"{TOP}/cpu.max": "150000 100000"})

    finding = cpu_limit(root, cpus, threads)

    assert (finding.status, finding.value) == (status, 1.5)


def test_without_control_groups_limits_are_unknown(tmp_path):
    assert cpu_limit(tmp_path, 2, 2).status == "unknown"


def test_being_stopped_meanwhile_is_a_problem_and_earlier_a_warning(system):
    stat = "nr_periods 90\nnr_throttled {}\nthrottled_usec 1"
    never = throttled(system({SELF: "0::/a", f"{TOP}/a/cpu.stat": stat.format(0)}))
    once = throttled(system({SELF: "0::/a", f"{TOP}/a/cpu.stat": stat.format(11)}))
    again = throttled(system({SELF: "0::/a", f"{TOP}/a/cpu.stat": stat.format(13)}))

    assert throttling(never, never).status == "good"
    assert throttling(once, once).status == "warning"
    assert (throttling(once, again).status, throttling(once, again).value) == ("problem", 2)
    assert throttling({}, {}).status == "good"


def test_being_given_fewer_cpus_than_there_are_is_no_fault():
    assert cpu_set(3, 64).found == "This process may use 3 of 64 CPUs."
    assert cpu_set(3, None).status == cpu_set(3, 64).status == "good"


@pytest.mark.parametrize(
    "files",
    [
        {
            SELF: "0::/a",
            f"{TOP}/a/memory.max": 6 * GIB,
            f"{TOP}/a/memory.current": 3 * GIB,
            f"{TOP}/a/memory.stat": f"anon 5\ninactive_file {GIB}",
        },
        {
            SELF: OLD,
            f"{TOP}/memory/memory.limit_in_bytes": 6 * GIB,
            f"{TOP}/memory/memory.usage_in_bytes": 3 * GIB,
            f"{TOP}/memory/memory.stat": f"inactive_file 7\ntotal_inactive_file {GIB}",
        },
    ],
    ids=["new", "old"],
)
def test_files_that_a_container_holds_in_memory_count_as_left(system, files):
    root = system(files)

    assert memory_limit(root, 20 * GIB) == (6 * GIB, 4 * GIB)
    assert "limits memory to 6.0 GiB; 4.0 GiB are left" in container_memory(root, 20 * GIB).found


def test_a_limit_above_the_machines_memory_is_none(system):
    root = system(
        {
            SELF: OLD,
            f"{TOP}/memory/memory.limit_in_bytes": 9223372036854771712,
            f"{TOP}/memory/memory.usage_in_bytes": 3 * GIB,
        }
    )

    assert memory_limit(root, 20 * GIB) is None
    assert container_memory(root, 20 * GIB).value is None
