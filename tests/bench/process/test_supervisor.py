"""A measuring process may crash, hang or chatter; the next request is answered all the same."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import chain, repeat
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from bench.checks.situations import check_cases
from bench.process import drain, measuring_process, supervisor
from bench.process.supervisor import (
    MOST_ENDINGS,
    ImportLost,
    Worker,
    WorkerEnded,
    WorkerLost,
    succeeded,
)

# Stands in for bench.worker where a test needs no torch: it does what the request says.
SCRIPT = """
import json, os, signal, sys, time
print("a line of the log", file=sys.stderr, flush=True)
answers = os.fdopen(int(sys.argv[2]), "w")

def say(**line):
    print(json.dumps({"pid": os.getpid(), **line}), file=answers, flush=True)

def killed(request):
    if "folder" in request:
        before = len(os.listdir(request["folder"]))
        if before == request["times"]:
            return
        open(os.path.join(request["folder"], str(before)), "w").close()
    os.kill(os.getpid(), request["signal"])

def answer(request):
    if request["op"] == "exit":
        print("the last words", file=sys.stderr, flush=True)
        os._exit(request["code"])
    if request["op"] == "kill":
        killed(request)
    if request["op"] == "hang":
        signal.pause()
    if request["op"] == "compute":
        until = time.process_time() + request["seconds"]
        while time.process_time() < until:
            pass
    if request["op"] == "print":
        for _ in range(request["times"]):
            os.write(request["to"], request["text"].encode())
    if request["op"] == "fail":
        return {"status": "crashed", **request}
    wanted = {name: os.environ.get(name) for name in request.get("names", ())}
    who = {"pid": os.getpid(), "sid": os.getsid(0), "number": request.get("number")}
    return {"status": "done", **who, **wanted}

def serve(batch, place, request):
    if request["op"] == "garble":
        text = request["text"].replace("BATCH", str(batch)).replace("PID", str(os.getpid()))
        print(text.replace("PLACE", str(place)), file=answers, flush=True)
        return
    if request["op"] == "import":
        say(batch=batch, place=place, importing=request["spec"])
        answer(request["doing"])
        say(batch=batch, place=place, importing=None)
    if request["op"] == "say":
        say(batch=batch, place=place, answer=request["answer"])
        return
    say(batch=batch, place=place, answer=answer(request))
    if request["op"] == "answer_and_exit":
        os._exit(0)

say()
for line in sys.stdin:
    batch = json.loads(line)
    for place, request in enumerate(batch["requests"]):
        serve(batch["batch"], place, request)
"""

HELLO = {"op": "hello"}

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

    def reading(query, key, value):
        assert sys.stdin.read() == "" and os.read(0, 1) == b""
        return matmul(query, key, value)

    def starting(query, key, value):
        import subprocess
        made = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"],
                                start_new_session=True)
        print(made.pid)
        return matmul(query, key, value)
"""


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    real = subprocess.Popen

    def start(command: list[str], **options: Any) -> Any:
        return real([sys.executable, "-c", SCRIPT, *command[4:]], **options)

    monkeypatch.setattr(measuring_process.subprocess, "Popen", start)
    with Worker(threads=3) as worker:
        yield worker


@pytest.fixture(scope="module")
def real() -> Iterator[Worker]:
    with Worker(threads=1) as worker:
        yield worker


def ask(worker: Worker, operation: str, limit_s: float = 60.0, **request: Any) -> dict[str, Any]:
    return worker.ask(operation, limit_s=limit_s, **request)


def lost(worker: Worker, operation: str, limit_s: float = 60.0, **request: Any) -> WorkerLost:
    """What became of the worker; whoever asks next is answered, by another process."""
    with pytest.raises(WorkerLost) as loss:
        ask(worker, operation, limit_s, **request)
    assert "\n" not in str(loss.value)
    started = worker.started
    assert ask(worker, "hello")["status"] == "done"
    assert worker.started == started + 1
    return loss.value


@pytest.mark.parametrize("begun", [False, True])
def test_a_process_is_started_by_the_first_request_or_before_and_kept(light, begun):
    if begun:
        light.begin()
    assert light.started == begun

    first = ask(light, "hello")
    light.begin()
    second = ask(light, "hello")

    assert first["pid"] == second["pid"]
    assert light.started == 1


def test_what_keeps_a_process_from_starting_is_said_by_the_first_request(light, monkeypatch):
    def full() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(measuring_process.os, "pipe", full)
    light.begin()

    with pytest.raises(WorkerLost, match="no measuring process: Too many open files"):
        ask(light, "hello")


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


def numbered(*numbers: int) -> list[dict[str, Any]]:
    return [{"op": "hello", "number": number} for number in numbers]


def test_a_batch_is_answered_in_order_and_each_answer_comes_at_once(light):
    answers = light.answers([*numbered(7, 3, 5), {"op": "hang"}], limit_s=60.0)

    assert [next(answers)["number"] for _ in range(3)] == [7, 3, 5]
    light.stop()
    assert [one["number"] for one in light.answers(numbered(11, 2), limit_s=60.0)] == [11, 2]


def loss_after(worker: Worker, kept: Sequence[int], request: dict[str, Any]) -> WorkerLost:
    """How a batch of these numbers, of the request and of another one was lost.

    The numbers are answered, and so is the next batch, by another process.
    """
    answers = worker.answers([*numbered(*kept), request, *numbered(13)], limit_s=60.0)
    assert [next(answers)["number"] for _ in kept] == list(kept)
    with pytest.raises(WorkerLost) as loss:
        next(answers)
    assert list(answers) == []
    assert [one["number"] for one in worker.answers(numbered(2), limit_s=60.0)] == [2]
    assert worker.started == 2
    return loss.value


def test_every_answer_of_a_batch_has_the_limit_to_itself(light, monkeypatch):
    now, step = [0.0], [0.0]

    def clock() -> float:
        now[0] += step[0]
        return now[0]

    ask(light, "hello")
    monkeypatch.setattr(measuring_process, "time", SimpleNamespace(monotonic=clock))
    answers = light.answers([HELLO, HELLO, {"op": "hang"}], limit_s=60.0)

    for _ in range(2):
        assert next(answers)["status"] == "done"
        now[0] += 59.0
    step[0] = 61.0  # from one look to the next
    with pytest.raises(WorkerLost) as loss:
        next(answers)
    assert (loss.value.status, str(loss.value)) == ("timeout", "no answer within 60 s")


@pytest.mark.parametrize(
    ("request_", "kind", "message"),
    [
        ({"op": "exit", "code": 3}, WorkerLost, "the worker exited with 3: the last words"),
        ({"op": "kill", "signal": 11}, WorkerLost, "the worker died of SIGSEGV"),
        ({"op": "kill", "signal": 9}, WorkerEnded, "SIGKILL ended the worker"),
    ],
    ids=["exit", "fault", "kill"],
)
def test_a_process_that_ends_within_a_batch_costs_the_request_it_was_at_and_those_after_it(
    light, monkeypatch, request_, kind, message
):
    kills_told(monkeypatch, 3)

    loss = loss_after(light, [7, 3], request_)

    assert type(loss) is kind
    assert message in str(loss)


@pytest.mark.parametrize(
    "text",
    [
        '{"pid": PID, "batch": 0, "place": PLACE, "answer": {"status": "done"}}',
        '{"pid": PID, "batch": BATCH, "place": 0, "answer": {"status": "done"}}',
        '{"pid": 1, "batch": BATCH, "place": PLACE, "answer": {"status": "done"}}',
        '{"batch": BATCH, "place": PLACE, "answer": {"status": "done"}}',
        '{"pid": PID}',
        '{"status": "done"}',
        "[1, 2]",
        "null",
        "hello",
        "",
    ],
)
def test_a_line_that_belongs_to_no_request_costs_the_process_and_no_other_answer(light, text):
    loss = loss_after(light, [7], {"op": "garble", "text": text})

    assert (loss.status, type(loss)) == ("crashed", WorkerLost)
    assert str(loss) == "the worker gave an answer that belongs to no request"


@pytest.mark.parametrize("reason", ["reason", "graph_reason", "energy_reason"])
def test_a_process_whose_gpu_no_longer_answers_is_replaced_and_the_rest_of_its_batch_left(
    light, reason
):
    failing = {"op": "fail", reason: "AcceleratorError: CUDA error: misaligned address"}

    found = list(light.answers([HELLO, failing, HELLO], limit_s=60.0))

    assert [one["status"] for one in found] == ["done", "crashed"]
    assert ask(light, "hello")["pid"] != found[0]["pid"]


def test_a_process_that_fails_otherwise_goes_on(light):
    failing = {"op": "fail", "reason": "ValueError: no such shape"}

    first, failed, last = light.answers([HELLO, failing, HELLO], limit_s=60.0)

    assert failed["status"] == "crashed"
    assert first["pid"] == last["pid"]


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


@pytest.mark.parametrize(("to", "text"), [(1, "x" * 2**16), (2, "y" * 2**16)])
def test_what_is_printed_without_measure_costs_neither_disk_nor_the_answer(light, to, text):
    answer = light.ask("print", limit_s=60.0, to=to, text=text, times=2000)

    assert answer["status"] == "done"
    assert answer.get("printed", "") == ("x" * 300 if to == 1 else "")


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ({"status": "measured", "time_s": 0.0, "calls": 1}, "crashed"),
        ({"status": "fine"}, "crashed"),
        (["done"], "crashed"),
        ({"status": "unsupported"}, "unsupported"),
    ],
)
def test_an_answer_that_is_none_becomes_one_that_says_so(light, told, status):
    first, odd, last = light.answers([HELLO, {"op": "say", "answer": told}, HELLO], limit_s=60.0)

    assert (odd["status"], bool(odd["reason"])) == (status, True)
    assert first["pid"] == last["pid"]


def test_a_process_that_ends_between_requests_is_replaced_or_reported(light):
    ask(light, "answer_and_exit")
    light._process._process.wait()

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


def test_a_kernel_finds_nothing_on_standard_input(real, write):
    path = write("kernels_that_read.py", KERNELS)

    found = check(real, f"{path}:reading")

    assert {result["status"] for result in found["results"]} == {"pass"}


def test_what_a_kernel_started_ends_with_the_process(write):
    path = write("kernels_that_start.py", KERNELS)
    with Worker(threads=1) as worker:
        started = psutil.Process(int(check(worker, f"{path}:starting")["printed"].split()[0]))
        assert started.is_running()

    assert not started.is_running() or started.status() == psutil.STATUS_ZOMBIE


def real_gpu() -> str | None:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def test_where_a_process_can_be_given_no_pipe_answers_come_through_stdout(write, monkeypatch):
    monkeypatch.setattr(measuring_process, "PASSES_PIPES", False)
    monkeypatch.setattr(drain, "WAITS_FOR_PIPES", False)
    path = write(
        "loud.py",
        """
        import sys
        import torch.nn.functional as F
        def loud(query, key, value):
            print("out" * 1000)
            print("err" * 1000, file=sys.stderr)
            return F.scaled_dot_product_attention(query, key, value)
        """,
    )
    with Worker(threads=1) as worker:
        answers = [check(worker, f"{path}:loud") for _ in range(3)]

    assert [one["status"] for one in answers] == ["done"] * 3
    assert all("printed" not in one for one in answers)
    assert {one["status"] for answer in answers for one in answer["results"]} == {"pass"}
