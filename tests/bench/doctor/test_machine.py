"""What the examination reads from the real machine by default."""

import os

import psutil
import pytest

from bench.doctor import machine

STAT = """cpu  9999 9999 9999 9999 9999 9999 9999 9999 0 0
cpu0 100 10 20 5000 700 3 4 50 0 0
cpu1 1000 1000 1000 5000 700 1000 1000 1000 0 0
cpu2 200 20 30 5000 700 5 6 70 0 0
intr 123456
ctxt 7"""


def test_only_the_cpus_that_may_be_used_are_counted_and_waiting_is_not_work(system):
    tick_s = 1 / os.sysconf("SC_CLK_TCK")

    found = machine.cpu_times(system({"proc/stat": STAT}), {0, 2})

    assert found.busy_s == pytest.approx((137 + 261) * tick_s)
    assert found.steal_s == pytest.approx(120 * tick_s)


def test_without_proc_all_cpus_are_asked_of_the_system_and_steal_is_unknown_to_it(tmp_path):
    found = machine.cpu_times(tmp_path, {0})

    assert found.busy_s > 0
    assert found.steal_s == 0


def test_a_proc_without_stat_tells_nothing(system):
    assert machine.cpu_times(system({"proc/other": ""}), {0}) is None


def test_this_process_knows_itself_among_the_others():
    found = machine.processes()
    own = {key[0]: one for key, one in found.items() if one.kin == "self"}

    assert own.keys() == {os.getpid()}
    assert own[os.getpid()].cpu_s > 0


def test_a_process_that_hides_its_times_is_left_out(monkeypatch):
    class Hidden:
        info = {"pid": 17, "name": "secret", "cpu_times": None, "create_time": 1.0}  # noqa: RUF012

    monkeypatch.setattr(psutil, "process_iter", lambda attributes: [Hidden()])

    assert machine.processes() == {}


def test_sensors_that_a_platform_lacks_are_no_error(monkeypatch):
    monkeypatch.delattr(psutil, "sensors_battery", raising=False)
    monkeypatch.delattr(psutil, "sensors_temperatures", raising=False)

    assert machine.battery() is None
    assert machine.temperatures() == {}


def test_memory_that_is_free_is_part_of_all_memory():
    found = machine.memory()

    assert 0 < found.available_bytes < found.total_bytes
    assert found.swapped_bytes >= 0


def test_the_work_is_the_same_each_time():
    assert machine.work() == machine.work() == machine.WORK_STEPS * (machine.WORK_STEPS - 1) // 2


def test_a_measuring_process_tells_the_faults_of_a_block_used_again():
    answer = machine.describe_worker()

    assert answer["status"] == "done"
    assert "large_block_faults" in answer
