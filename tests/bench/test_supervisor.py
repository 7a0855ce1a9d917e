"""A measuring process may crash, hang or chatter; the next request is answered all the same."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain, repeat
from typing import Any

import psutil
import pytest

from bench import supervisor
from bench.situations import check_cases
from bench.supervisor import MOST_ENDINGS, Worker, WorkerLost, succeeded

# Stands in for bench.worker where a test needs no torch: it does what the request says.
SCRIPT = """
import json, os, signal, sys, time
print("a line of the log", file=sys.stderr, flush=True)
for line in sys.stdin:
    request = json.loads(line)
    if request["op"] == "exit":
        print("the last words", file=sys.stderr, flush=True)
        os._exit(request["code"])
    if request["op"] == "kill":
        os.kill(os.getpid(), request["signal"])
    if request["op"] == "killed_at_first":
        before = len(os.listdir(request["folder"]))
        if before < request["times"]:
            open(os.path.join(request["folder"], str(before)), "w").close()
            os.kill(os.getpid(), request["signal"])
    if request["op"] == "hang":
        signal.pause()
    if request["op"] == "answer_and_exit":
        print(json.dumps({"status": "done"}), flush=True)
        os._exit(0)
    if request["op"] == "fail":
        print(json.dumps({"status": "crashed", **request}), flush=True)
        continue
    wanted = {name: os.environ.get(name) for name in request.get("names", ())}
    print(json.dumps({"status": "done", "pid": os.getpid(), "sid": os.getsid(0), **wanted}))
    sys.stdout.flush()
"""

KERNELS = """
    import os, sys, threading
    from implementations.attention.matmul import matmul

    def noisy(query, key, value):
        print("hello", flush=True)
        os.write(1, b'{"status": "done"}' + bytes([10]))
        print("sorry", file=sys.stderr)
        return matmul(query, key, value)

    def crashing(query, key, value):
        os.write(2, b"the kernel's last words" + bytes([10]))
        os._exit(3)

    def hanging(query, key, value):
        threading.Event().wait()
"""


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    real = subprocess.Popen

    def start(command: list[str], **options: Any) -> Any:
        return real([sys.executable, "-c", SCRIPT], **options)

    monkeypatch.setattr(supervisor.subprocess, "Popen", start)
    with Worker(threads=3) as worker:
        yield worker


@pytest.fixture(scope="module")
def real() -> Iterator[Worker]:
    with Worker(threads=1) as worker:
        yield worker


def ask(worker: Worker, operation: str, limit_s: float = 60.0, **request: Any) -> dict[str, Any]:
    return worker.ask(operation, limit_s=limit_s, **request)


def lost(worker: Worker, operation: str, limit_s: float = 60.0, **request: Any) -> WorkerLost:
    with pytest.raises(WorkerLost) as loss:
        ask(worker, operation, limit_s, **request)
    assert "\n" not in str(loss.value)
    return loss.value


def test_a_process_is_started_on_the_first_request_and_kept(light):
    assert light.started == 0

    first, second = ask(light, "hello"), ask(light, "hello")

    assert first["pid"] == second["pid"]
    assert light.started == 1


def test_a_process_that_was_begun_answers_the_first_request(light):
    light.begin()
    assert light.started == 1

    pid = ask(light, "hello")["pid"]
    light.begin()

    assert ask(light, "hello")["pid"] == pid
    assert light.started == 1


def test_what_keeps_a_process_from_starting_is_said_by_the_first_request(light, monkeypatch):
    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(supervisor.tempfile, "TemporaryFile", full)
    light.begin()

    assert str(lost(light, "hello")) == "no measuring process: No space left on device"


def test_threads_and_allocator_are_pinned_before_the_process_starts(light):
    names = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MALLOC_TOP_PAD_"]

    found = ask(light, "hello", names=names)

    assert [found[name] for name in names[:3]] == ["3", "3", "3"]
    assert int(found["MALLOC_TOP_PAD_"]) > 0


def test_the_default_allocator_is_left_as_it_is(light, monkeypatch):
    monkeypatch.delenv("MALLOC_TOP_PAD_", raising=False)
    with Worker(threads=1, allocator="default") as worker:
        found = ask(worker, "hello", names=["MALLOC_TOP_PAD_", "MALLOC_MMAP_THRESHOLD_"])

    assert (found["MALLOC_TOP_PAD_"], found["MALLOC_MMAP_THRESHOLD_"]) == (None, None)


def test_ctrl_c_does_not_reach_the_process_by_itself(light):
    found = ask(light, "hello")

    assert found["sid"] == found["pid"]


def test_a_process_whose_gpu_no_longer_answers_is_replaced_and_another_failing_one_is_not(light):
    first = ask(light, "hello")["pid"]

    ask(light, "fail", reason="ValueError: no such shape")
    assert ask(light, "hello")["pid"] == first
    failed = ask(light, "fail", reason="AcceleratorError: CUDA error: misaligned address")

    assert failed["status"] == "crashed"
    second = ask(light, "hello")["pid"]
    assert second != first
    ask(light, "fail", reason=None, graph_reason="AcceleratorError: CUDA error: misaligned address")
    assert ask(light, "hello")["pid"] not in (first, second)
    assert light.started == 3


def test_an_exit_is_a_crash_with_its_code_and_last_words(light):
    loss = lost(light, "exit", code=3)

    assert loss.status == "crashed"
    assert str(loss) == "the worker exited with 3: the last words"


def test_a_signal_is_a_crash_with_its_name(light):
    loss = lost(light, "kill", signal=int(signal.SIGSEGV))

    assert (loss.status, str(loss)) == ("crashed", "the worker died of SIGSEGV")


def kills_told(monkeypatch: pytest.MonkeyPatch, *counts: int | None) -> None:
    """What the machine tells of its kills for memory, asked again and again; the last stays."""
    told = chain(counts, repeat(counts[-1]))
    monkeypatch.setattr(supervisor, "oom_kills", lambda: next(told))


def test_a_kill_that_the_kernel_counts_is_running_out_of_memory(light, monkeypatch):
    kills_told(monkeypatch, 3, 4)

    loss = lost(light, "kill", signal=int(signal.SIGKILL))

    assert (loss.status, str(loss)) == (
        "out_of_memory",
        "the kernel killed the worker for its memory",
    )
    assert light.started == 1


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGHUP"])
def test_a_worker_that_somebody_ended_is_replaced_and_asked_again(
    light, monkeypatch, tmp_path, name
):
    kills_told(monkeypatch, 3)
    number = getattr(signal, name)
    # Under nohup this process ignores SIGHUP, and its children would too.
    before = signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None

    try:
        answer = ask(light, "killed_at_first", signal=int(number), times=2, folder=str(tmp_path))
    finally:
        if before is not None:
            signal.signal(number, before)

    assert answer["status"] == "done"
    assert light.started == 3


def test_a_worker_that_is_ended_three_times_is_a_crash_that_says_so(light, monkeypatch):
    kills_told(monkeypatch, 3)

    loss = lost(light, "kill", signal=int(signal.SIGKILL))

    assert (loss.status, str(loss)) == ("crashed", "SIGKILL ended the worker 3 times")
    assert light.started == MOST_ENDINGS == 3


def test_where_kills_for_memory_are_not_counted_three_of_them_are_taken_for_that(
    light, monkeypatch
):
    kills_told(monkeypatch, None)

    loss = lost(light, "kill", signal=int(signal.SIGKILL))

    assert loss.status == "out_of_memory"
    assert "most likely for its memory" in str(loss)
    assert light.started == 3


def test_a_kernel_that_dies_by_its_own_fault_is_not_tried_again(light):
    lost(light, "kill", signal=int(signal.SIGSEGV))
    lost(light, "exit", code=3)

    assert light.started == 2


def test_no_answer_in_time_is_a_timeout_and_ends_the_process(light):
    pid = ask(light, "hello")["pid"]

    loss = lost(light, "hang", limit_s=0.01)

    assert (loss.status, str(loss)) == ("timeout", "no answer within 0.01 s")
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize("how", [("exit", {"code": 1}), ("hang", {"limit_s": 0.01})])
def test_the_request_after_a_loss_is_answered_by_a_new_process(light, how):
    before = ask(light, "hello")["pid"]
    lost(light, how[0], **how[1])

    after = ask(light, "hello")["pid"]

    assert after != before
    assert light.started == 2


def test_a_process_that_ends_between_requests_is_replaced_or_reported(light):
    ask(light, "answer_and_exit")
    light._process.wait()

    assert ask(light, "hello")["status"] == "done"
    assert light.started == 2


def test_stopping_ends_the_process_and_may_be_repeated(light):
    pid = ask(light, "hello")["pid"]

    light.stop()
    light.stop()

    assert not psutil.pid_exists(pid)


def test_what_counts_as_success():
    assert succeeded({"status": "measured"})
    assert succeeded({"status": "done"})
    assert not succeeded({"status": "crashed"})


def check(worker: Worker, spec: str, limit_s: float = 60.0) -> dict[str, Any]:
    plain = next(one for one in check_cases(["float32"]) if one.name == "plain")
    return worker.ask("check", limit_s=limit_s, spec=spec, case=asdict(plain), seed=0)


def test_a_real_worker_survives_kernels_that_chatter_crash_and_hang(real, write):
    path = write("kernels_of_all_sorts.py", KERNELS)

    described = ask(real, "describe")
    assert (described["status"], described["gpu"], described["threads"]) == ("done", real_gpu(), 1)

    chatter = check(real, f"{path}:noisy")
    assert {result["status"] for result in chatter["results"]} == {"pass"}
    assert chatter["printed"].startswith("hello")
    assert "sorry" not in chatter["printed"]

    with pytest.raises(WorkerLost, match="the worker exited with 3: the kernel's last words"):
        check(real, f"{path}:crashing")
    assert check(real, "matmul")["status"] == "done"

    with pytest.raises(WorkerLost) as loss:
        check(real, f"{path}:hanging", limit_s=0.2)
    assert loss.value.status == "timeout"
    assert check(real, "matmul")["status"] == "done"
    assert real.started == 3


def real_gpu() -> str | None:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None
