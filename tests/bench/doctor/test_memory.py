"""Memory's findings, from files of our own."""

import pytest

from bench.doctor.limits import allocator, available, huge_pages, swap, swapped_pages
from bench.doctor.machine import Memory
from bench.process.supervisor import WorkerLost

GIB = 2**30


def memory(available_gib: float, swapped_gib: float = 0.0) -> Memory:
    return Memory(
        total_bytes=23 * GIB,
        available_bytes=int(available_gib * GIB),
        swapped_bytes=int(swapped_gib * GIB),
    )


@pytest.mark.parametrize(("gib", "status"), [(17, "good"), (3, "warning"), (0.5, "problem")])
def test_little_memory_is_a_warning_and_hardly_any_a_problem(tmp_path, gib, status):
    finding = available(tmp_path, memory(gib))

    assert finding.status == status
    assert finding.found.startswith(f"{gib:.1f} of 23.0 GiB")


def test_a_containers_limit_counts_as_the_machines_memory(system):
    root = system(
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.max": 5 * GIB,
            "sys/fs/cgroup/memory.current": 3 * GIB,
        }
    )

    finding = available(root, memory(17))

    assert (finding.status, finding.value) == ("warning", 2 * GIB)
    assert finding.found.startswith("2.0 of 5.0 GiB")


@pytest.mark.parametrize(
    ("swapped_gib", "moved", "status"),
    [
        (0, 0, "good"),
        (0.5, 0, "good"),
        (3, 0, "warning"),
        (0.5, 11, "warning"),
        (0.5, 999, "problem"),
    ],
)
def test_swapping_now_is_worse_than_having_swapped(system, swapped_gib, moved, status):
    before = swapped_pages(system({"proc/vmstat": "pgfault 1\npswpin 100\npswpout 200"}))
    after = swapped_pages(
        system({"proc/vmstat": f"pswpin {100 + moved // 2}\npswpout {200 + moved - moved // 2}"})
    )

    finding = swap(memory(17, swapped_gib), before, after)

    assert finding.status == status
    assert (f"{moved} pages moved" in finding.found) == (moved > 0)


def test_swap_traffic_that_is_not_told_is_not_taken_for_traffic(tmp_path):
    assert swapped_pages(tmp_path) is None
    assert swap(memory(17), None, None).status == "good"


@pytest.mark.parametrize("setting", ["always", "madvise", "never", "inherit"])
def test_the_setting_in_brackets_is_the_chosen_one(system, setting):
    others = " ".join(f"[{one}]" if one == setting else one for one in ("no", setting, "yes"))
    root = system({"sys/kernel/mm/transparent_hugepage/enabled": others})

    assert (huge_pages(root).status, huge_pages(root).value) == ("good", setting)


def test_a_system_without_the_setting_is_unknown(tmp_path):
    assert huge_pages(tmp_path).status == "unknown"


@pytest.mark.parametrize(
    ("answer", "status", "value"),
    [
        ({"large_block_faults": 3.0}, "good", 3.0),
        ({"large_block_faults": 16_385}, "warning", 16_385),
        ({"large_block_faults": None}, "unknown", None),
        ({"status": "crashed", "reason": "no torch"}, "unknown", None),
    ],
)
def test_an_allocator_that_gives_memory_back_is_a_warning(answer, status, value):
    finding = allocator(lambda: answer)

    assert (finding.status, finding.value) == (status, value)
    assert answer.get("reason", "") in finding.found


def test_a_measuring_process_that_does_not_come_up_is_a_problem_with_its_reason():
    def lost() -> dict[str, object]:
        raise WorkerLost("crashed", "the worker exited with 1: No module named torch")

    finding = allocator(lost)

    assert finding.status == "problem"
    assert "No module named torch" in finding.found
