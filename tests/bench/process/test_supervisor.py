"""A measuring process may crash, hang or chatter; the next request is answered all the same."""

from collections.abc import Sequence
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from bench.checks.situations import check_cases
from bench.process import measuring_process
from bench.process.supervisor import Worker, WorkerEnded, WorkerLost, succeeded
from tests.bench.process.light_process import HELLO, ask, kills_told, numbered

KERNELS = """
    import os, sys
    from implementations.attention.matmul import matmul

    def noisy(query, key, value):
        print("hello", flush=True)
        os.write(1, b'{"status": "done"}' + bytes([10]))
        print("sorry", file=sys.stderr)
        return matmul(query, key, value)

    def crashing(query, key, value):
        os.write(2, b"the kernel's last words" + bytes([10]))
        os._exit(3)

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


def check(worker: Worker, spec: str) -> dict[str, Any]:
    plain = next(one for one in check_cases(["float32"]) if one.name == "plain")
    return worker.ask("check", limit_s=60.0, spec=spec, case=asdict(plain), seed=0)


def test_a_real_worker_survives_kernels_that_chatter_read_and_crash(real, write):
    path = write("kernels_of_all_sorts.py", KERNELS)

    described = ask(real, "describe")
    assert (described["status"], described["gpu"], described["threads"]) == ("done", real_gpu(), 1)
    started = real.started

    chatter = check(real, f"{path}:noisy")
    assert {result["status"] for result in chatter["results"]} == {"pass"}
    assert chatter["printed"].startswith("hello")
    assert "sorry" not in chatter["printed"]

    # It finds nothing on standard input.
    assert {one["status"] for one in check(real, f"{path}:reading")["results"]} == {"pass"}

    child = psutil.Process(int(check(real, f"{path}:starting")["printed"].split()[0]))
    assert child.is_running()
    assert real.started == started

    with pytest.raises(WorkerLost, match="the worker exited with 3: the kernel's last words"):
        check(real, f"{path}:crashing")
    # What a kernel started ends with the process.
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert check(real, "matmul")["status"] == "done"
    assert real.started == started + 1


def real_gpu() -> str | None:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def test_where_a_process_can_be_given_no_pipe_answers_come_through_stdout(write, monkeypatch):
    monkeypatch.setattr(measuring_process, "PASSES_PIPES", False)
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
