"""What the operating system counts, from files of our own in place of those of Linux."""

import os
from pathlib import Path

import pytest

from bench.machine import os_counters
from bench.machine.os_counters import Usage, oom_kills, read_process, read_usage

TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def usage(wall_s: float, **known: float | None) -> Usage:
    unknown = {"cpu_time_s": None, "minor_faults": None}
    return Usage(wall_s=wall_s, **{**unknown, **known})


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Two threads that waited 2.5 s and 0.5 s, and a machine of two cores."""
    folder = tmp_path / "proc"
    for thread, schedstat in (("11", "9000 2500000000 7\n"), ("13", "9000 500000000 7\n")):
        (folder / "self" / "task" / thread).mkdir(parents=True)
        (folder / "self" / "task" / thread / "schedstat").write_text(schedstat)
    ticks = [n * TICKS for n in (3, 5, 7, 1000, 2000, 11, 13, 17, 10_000, 10_000)]
    line = " ".join(map(str, ticks))
    (folder / "stat").write_text(f"cpu  {line}\ncpu0 1 2 3 4 5 6 7 8 9 10\nintr 99\n")
    return folder


@pytest.fixture
def cpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three cores of which this process may use two."""
    for cpu, khz in ((0, 9_000_000), (3, 2_000_000), (5, 3_000_000)):
        folder = tmp_path / "cpu" / f"cpu{cpu}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_cur_freq").write_text(f"{khz}\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {5, 3}, raising=False)
    return tmp_path / "cpu"


def test_waiting_is_summed_over_the_threads(proc, cpus):
    assert read_usage(proc, cpus).waiting_s == pytest.approx(3.0)


def test_busy_time_leaves_idling_waiting_for_disks_guests_and_theft_out(proc, cpus):
    found = read_usage(proc, cpus)

    # user + nice + system + interrupts + soft interrupts; guests are part of user already.
    assert found.busy_s == pytest.approx(3 + 5 + 7 + 11 + 13)
    assert found.steal_s == pytest.approx(17)


def test_the_frequency_is_the_mean_over_the_cores_of_this_process(proc, cpus):
    assert read_usage(proc, cpus).frequency_hz == pytest.approx(2.5e9)


def test_of_many_cores_a_few_are_read(proc, cpus, monkeypatch):
    many = set(range(100))
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: many, raising=False)

    # Of cores 0 to 3 only 0 and 3 have a frequency.
    assert read_usage(proc, cpus).frequency_hz == pytest.approx((9e9 + 2e9) / 2)


def test_where_there_are_no_files_the_counters_are_unknown(tmp_path):
    found = read_usage(tmp_path / "no_proc", tmp_path / "no_cpus")

    assert (found.waiting_s, found.busy_s, found.steal_s, found.frequency_hz) == (None,) * 4
    assert found.cpu_time_s is not None


@pytest.mark.parametrize("content", ["", "cpu\n", "cpu 1 2 3\n", "intr 5 6 7 8 9 10 11 12 13\n"])
def test_a_stat_file_of_another_form_is_unknown(proc, cpus, content):
    (proc / "stat").write_text(content)

    found = read_usage(proc, cpus)

    assert (found.busy_s, found.steal_s) == (None, None)


@pytest.mark.parametrize("content", ["", "7\n", "a b c\n"])
def test_schedstats_of_another_form_are_unknown(proc, cpus, content):
    for thread in (proc / "self" / "task").iterdir():
        (thread / "schedstat").write_text(content)

    assert read_usage(proc, cpus).waiting_s is None


def test_a_thread_that_ended_meanwhile_is_left_out(proc, cpus):
    (proc / "self" / "task" / "11" / "schedstat").unlink()

    assert read_usage(proc, cpus).waiting_s == pytest.approx(0.5)


def test_a_frequency_that_is_no_number_is_unknown(proc, cpus):
    for cpu in (3, 5):
        (cpus / f"cpu{cpu}" / "cpufreq" / "scaling_cur_freq").write_text("<unknown>\n")

    assert read_usage(proc, cpus).frequency_hz is None


def test_where_the_platform_has_no_getrusage_its_counters_are_unknown(monkeypatch):
    monkeypatch.setattr(os_counters, "resource", None)

    found = read_process()

    assert found.minor_faults is None
    assert found.cpu_time_s is not None


def test_kills_for_memory_are_counted(tmp_path):
    (tmp_path / "vmstat").write_text("nr_free_pages 5\noom_kill_other 9\noom_kill 3\npgfault 7\n")

    assert oom_kills(tmp_path) == 3


@pytest.mark.parametrize("content", [None, "", "nr_free_pages 5\n", "oom_kill many\n"])
def test_kills_that_the_platform_does_not_count_are_unknown(tmp_path, content):
    if content is not None:
        (tmp_path / "vmstat").write_text(content)

    assert oom_kills(tmp_path) is None


def test_counters_of_a_span_are_differences_but_the_frequency_is_that_of_its_end():
    later = usage(5.0, cpu_time_s=3.0, minor_faults=7, busy_s=9.0, waiting_s=2.0, frequency_hz=3e9)
    earlier = usage(2.0, cpu_time_s=1.0, minor_faults=7, busy_s=4.0, frequency_hz=2e9)

    assert later.since(earlier) == usage(
        3.0, cpu_time_s=2.0, minor_faults=0, busy_s=5.0, waiting_s=None, frequency_hz=3e9
    )


def test_shares_are_per_second_of_the_span():
    span = usage(4.0, cpu_time_s=2.0, waiting_s=1.0, busy_s=8.0, steal_s=3.0)

    assert span.waiting_share == 0.25
    assert span.other_load == (8.0 - 2.0) / 4.0
    assert span.stolen_cores == 0.75


def test_a_tick_that_was_not_yet_counted_is_no_negative_load():
    assert usage(1.0, cpu_time_s=1.0, busy_s=0.99).other_load == 0.0


@pytest.mark.parametrize("span", [usage(1.0), usage(0.0, cpu_time_s=0.0, waiting_s=0.0)])
def test_shares_of_nothing_are_unknown(span):
    assert (span.waiting_share, span.other_load, span.stolen_cores) == (None, None, None)


def test_counters_never_run_backwards():
    pytest.importorskip("resource")
    before = read_usage()
    used = read_usage().since(before)

    assert used.wall_s >= 0
    assert used.minor_faults is not None
    assert used.minor_faults >= 0
    assert used.waiting_s is None or used.waiting_s >= 0
