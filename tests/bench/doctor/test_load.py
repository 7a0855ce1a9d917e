"""Other processes and a host's theft, with processes and counters of our own."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from bench.doctor.load import Others, load_average, other_load, steal, watch
from bench.doctor.machine import Machine, Process
from bench.machine.os_counters import CpuTimes


def in_turn(values: Iterable[object]) -> Callable[..., object]:
    remaining = iter(values)
    return lambda *_: next(remaining)


def cpu(busy_s: float, steal_s: float = 0.0) -> CpuTimes:
    return CpuTimes(busy_s=busy_s, steal_s=steal_s)


def watched(first: dict, last: dict, *, busy_s: float, own_s: float = 0.0, elapsed_s: float = 1.0):
    slept: list[float] = []
    machine = Machine(
        root=Path("nowhere"),
        clock=in_turn([100.0, 100.0 + elapsed_s]),
        sleep=slept.append,
        own_cpu_s=in_turn([5.0, 5.0 + own_s]),
        allowed_cpus=lambda: {0, 1},
        cpu_times=in_turn([cpu(1000.0), cpu(1000.0 + busy_s)]),
        processes=in_turn([first, last]),
    )
    others = watch(machine)
    assert slept == [1.0]
    return others


def process(name: str, cpu_s: float, kin: str = "other") -> Process:
    return Process(name=name, cpu_s=cpu_s, kin=kin)


def test_own_time_and_that_of_children_is_not_other_load():
    first = {(1, 0.0): process("me", 5, "self"), (2, 0.0): process("mine", 0, "child")}
    last = {(1, 0.0): process("me", 9, "self"), (2, 0.0): process("mine", 0.5, "child")}

    others = watched(first, last, busy_s=1.7, own_s=0.2)

    assert others.cores == pytest.approx(1.0)
    assert others.busiest == ()


def test_the_three_busiest_others_are_named_with_their_shares_of_the_time_that_passed():
    used = {"a": 0.4, "b": 1.6, "c": 0.01, "d": 0.8, "e": 0.6}
    first = {(number, 0.0): process(name, 7.0) for number, name in enumerate(used)}
    last = {
        (number, 0.0): process(name, 7.0 + seconds)
        for number, (name, seconds) in enumerate(used.items())
    }

    others = watched(first, last, busy_s=3.5, elapsed_s=2.0)

    assert others.cores == pytest.approx(1.75)
    assert [name for name, _ in others.busiest] == [
        "b (process 1)",
        "d (process 3)",
        "e (process 4)",
    ]
    assert [share for _, share in others.busiest] == pytest.approx([0.8, 0.4, 0.3])
    assert others.seen_cores == pytest.approx(3.41 / 2)


def test_a_new_process_with_an_old_number_counts_from_nothing():
    others = watched(
        {(3, 10.0): process("old", 50.0)}, {(3, 20.0): process("new", 0.3)}, busy_s=0.3
    )

    assert others.busiest == (("new (process 3)", pytest.approx(0.3)),)


@pytest.mark.parametrize(
    ("cores", "cpus", "status"),
    [
        (0.08, 2, "good"),
        (0.2, 2, "warning"),
        (0.49, 2, "warning"),
        (0.6, 2, "problem"),
        (0.5, 64, "good"),
        (1.0, 64, "warning"),
        (20.0, 64, "problem"),
    ],
)
def test_a_load_is_judged_beside_the_cpus_there_are(cores, cpus, status):
    finding = other_load(Others(cores=cores, seen_cores=cores, busiest=()), cpus)

    assert finding.status == status
    assert finding.found.startswith(f"{cores:.2f} of {cpus} CPUs are busy")
    assert finding.value == cores
    assert (finding.advice is None) == (status == "good")


def test_load_that_no_visible_process_explains_is_said():
    seen = other_load(Others(cores=1.5, seen_cores=1.4, busiest=(("x", 1.4),)), 2)
    unseen = other_load(Others(cores=1.5, seen_cores=0.4, busiest=(("x", 0.4),)), 2)

    assert "cannot be seen" not in seen.found
    assert "busiest: x 0.40; the rest has ended meanwhile, or cannot be seen" in unseen.found


def test_cpus_that_are_not_counted_give_no_load():
    machine = Machine(
        clock=in_turn([0.0, 1.0]),
        sleep=lambda _: None,
        cpu_times=lambda root, cpus: None,
        processes=dict,
    )

    assert other_load(watch(machine), 2).status == "unknown"


def test_a_moment_reads_the_allowed_cpus_only():
    asked = []
    machine = Machine(
        root=Path("root"),
        allowed_cpus=lambda: {3, 5},
        cpu_times=lambda root, cpus: asked.append((root, cpus)),
        sleep=lambda _: None,
        processes=dict,
    )

    watch(machine)

    assert asked == [(Path("root"), {3, 5})] * 2


@pytest.mark.parametrize(("load", "status"), [(0.4, "good"), (0.6, "warning"), (None, "unknown")])
def test_a_minutes_load_is_a_warning_at_most(load, status):
    assert load_average(load, 2).status == status


@pytest.mark.parametrize(
    ("stolen", "status", "share"),
    [(0.0, "good", 0.0), (0.05, "warning", 0.05), (0.2, "problem", 0.2)],
)
def test_what_the_host_withheld_is_a_share_of_what_was_wanted(stolen, status, share):
    finding = steal(cpu(50.0, 3.0), cpu(50.0 + 1.0 - stolen, 3.0 + stolen))

    assert (finding.status, finding.value) == (status, pytest.approx(share))


@pytest.mark.parametrize(
    "moments", [(None, None), (cpu(1.0), None), (cpu(1.0, 2.0), cpu(1.0, 2.0))]
)
def test_cpus_that_wanted_nothing_or_tell_nothing_say_nothing_of_theft(moments):
    assert steal(*moments).status == "unknown"
