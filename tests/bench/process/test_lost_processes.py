"""What becomes of a request whose process is killed, crashes, hangs or cannot import a kernel."""

import signal
import time
from typing import Any

import psutil
import pytest

from bench.process import measuring_process, supervisor
from bench.process.supervisor import MOST_ENDINGS, ImportLost, Worker, WorkerLost
from tests.bench.process.light_process import HELLO, ask, kills_told, numbered


def lost(worker: Worker, operation: str, limit_s: float = 60.0, **request: Any) -> WorkerLost:
    """What became of the worker; whoever asks next is answered, by another process."""
    with pytest.raises(WorkerLost) as loss:
        ask(worker, operation, limit_s, **request)
    assert "\n" not in str(loss.value)
    started = worker.started
    assert ask(worker, "hello")["status"] == "done"
    assert worker.started == started + 1
    return loss.value


def test_a_kill_that_the_kernel_counts_is_running_out_of_memory(light, monkeypatch):
    kills_told(monkeypatch, 3, 4)

    loss = lost(light, "kill", signal=int(signal.SIGKILL))

    assert (loss.status, str(loss)) == (
        "out_of_memory",
        "the kernel killed the worker for its memory",
    )
    assert light.started == 2  # with that of the next request


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGHUP"])
def test_a_worker_that_somebody_ended_is_replaced_and_asked_again(
    light, monkeypatch, tmp_path, name
):
    kills_told(monkeypatch, 3)
    number = getattr(signal, name)
    # Under nohup this process ignores SIGHUP, and its children would too.
    before = signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None

    try:
        answer = ask(light, "kill", signal=int(number), times=2, folder=str(tmp_path))
    finally:
        if before is not None:
            signal.signal(number, before)

    assert answer["status"] == "done"
    assert light.started == 3


def test_a_worker_that_is_ended_three_times_is_a_crash_that_says_so(light, monkeypatch):
    kills_told(monkeypatch, 3)

    loss = lost(light, "kill", signal=int(signal.SIGKILL))

    assert (loss.status, str(loss)) == ("crashed", "SIGKILL ended the worker 3 times")
    assert light.started == MOST_ENDINGS + 1


def test_where_kills_for_memory_are_not_counted_three_of_them_are_taken_for_that(
    light, monkeypatch
):
    kills_told(monkeypatch, None)

    loss = lost(light, "kill", signal=int(signal.SIGKILL))

    assert loss.status == "out_of_memory"
    assert "most likely for its memory" in str(loss)
    assert light.started == MOST_ENDINGS + 1


def test_a_kernel_that_dies_by_its_own_fault_is_not_tried_again(light):
    assert lost(light, "kill", signal=int(signal.SIGSEGV)).status == "crashed"
    assert lost(light, "exit", code=3).status == "crashed"

    assert light.started == 3


def test_no_answer_in_time_is_a_timeout_and_ends_the_process(light):
    pid = ask(light, "hello")["pid"]

    loss = lost(light, "hang", limit_s=0.01)

    assert (loss.status, str(loss)) == ("timeout", "no answer within 0.01 s")
    assert not psutil.pid_exists(pid)


def importing(spec: str, doing: dict[str, Any]) -> dict[str, Any]:
    return {"op": "import", "spec": spec, "doing": doing}


def test_an_import_has_a_limit_of_its_own(light, monkeypatch):
    monkeypatch.setattr(supervisor, "IMPORT_LIMIT_S", 60.0)
    slow = {"op": "compute", "seconds": 0.3}

    answers = list(light.answers([importing("mine.py:f", slow), HELLO], limit_s=0.2))

    assert [one["status"] for one in answers] == ["done", "done"]


@pytest.mark.parametrize(
    ("doing", "status", "reason"),
    [
        ({"op": "hang"}, "timeout", "importing it did not end within 0.1 s"),
        (
            {"op": "exit", "code": 3},
            "crashed",
            "importing it took the process down: the worker exited with 3: the last words",
        ),
    ],
    ids=["never_ends", "exits"],
)
def test_an_import_that_was_lost_is_not_tried_again_and_costs_nobody_else(
    light, monkeypatch, doing, status, reason
):
    monkeypatch.setattr(supervisor, "IMPORT_LIMIT_S", 0.1)
    request = importing("mine.py:f", doing)
    for kept in ((7,), (3, 5), ()):
        answers = light.answers([*numbered(*kept), request, *numbered(13)], limit_s=60.0)
        assert [next(answers)["number"] for _ in kept] == list(kept)
        with pytest.raises(ImportLost) as loss:
            next(answers)
        assert (loss.value.status, str(loss.value)) == (status, reason)

    assert [one["number"] for one in light.answers(numbered(2), limit_s=60.0)] == [2]
    assert light.started == 2


def test_a_limit_of_computing_ends_what_computes_when_it_is_over(light):
    with pytest.raises(WorkerLost, match=r"no answer within 0\.2 s"):
        light.ask("compute", limit_s=0.2, patience=1000.0, seconds=60.0)


def test_a_limit_of_computing_waits_some_times_as_long_for_what_does_not_compute(light):
    began = time.monotonic()

    with pytest.raises(WorkerLost, match=r"no answer within 0\.2 s"):
        light.ask("hang", limit_s=0.2, patience=4.0)

    assert time.monotonic() - began > 4.0 * 0.2


def test_a_process_that_a_busy_machine_keeps_waiting_has_longer(light, monkeypatch):
    monkeypatch.setattr(measuring_process, "_cpu_s", lambda process: 0.0)

    assert light.ask("compute", limit_s=0.1, patience=600.0, seconds=0.4)["status"] == "done"
