"""The measuring process: reads batches of requests, a JSON object a line, and answers each request.

An answer carries the number of its batch, its place in it, and the process's own number, so that
answers can never be taken for those of other requests, whatever a kernel does to this process.

It may crash, hang or run out of memory; `bench.process.supervisor` replaces it. Requests and
answers have descriptors of their own: a kernel finds nothing on standard input, and may print what
it likes.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from functools import partial
from os import getpid
from pathlib import Path
from typing import IO, Any

import torch

from bench.machine.environment import available_bytes
from bench.process.answers import named, one_line
from bench.process.confinement import die_with, limit_memory, offer_as_victim
from bench.process.global_state import put_back, state_at_start
from bench.timing.stopwatch import harness_costs
from bench.worker.operations import OPERATIONS, imported, is_imported
from bench.worker.revision_imports import import_from
from implementations.interface import UnsupportedCaseError

STDOUT, STDERR = 1, 2
THREADED_ELEMENTS = 2**20
# Threads and libraries need some memory even where there is none for tensors.
FEWEST_BYTES = 2**28
OUT_OF_MEMORY = (
    "can't allocate memory",
    "can't start new thread",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


def main() -> None:
    """Serve requests from standard input until it closes.

    Arguments: the number of threads, the descriptor for answers, and the process that this one may
    not outlive; for kernels of a revision, its folder and the repository.
    """
    threads, descriptor, parent = map(int, sys.argv[1:4])
    if revision := sys.argv[4:]:
        import_from(*map(Path, revision))
    torch.set_num_threads(threads)
    die_with(parent)
    offer_as_victim()
    torch.ones(THREADED_ELEMENTS).exp_()  # its threads start before memory is limited
    state_at_start()
    harness_costs()  # a kernel may patch the clock: what reads it is bound and calibrated before
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    lines = os.fdopen(_moved(0), encoding="utf-8")
    threading.Thread(target=_listen, args=(lines, requests), daemon=True).start()
    if descriptor == STDOUT:  # no pipe could be given: what a kernel prints goes to stderr
        descriptor = os.dup(STDOUT)
        os.dup2(STDERR, STDOUT)
    os.set_inheritable(descriptor, False)
    own = getpid()
    with os.fdopen(descriptor, "w", encoding="utf-8") as answers:

        def say(**line: Any) -> None:
            if getpid() != own:  # a kernel forked, and the child came back
                os._exit(0)
            answers.write(json.dumps({"pid": own, **line}, allow_nan=False) + "\n")
            answers.flush()

        say()
        while True:
            batch = json.loads(requests.get())
            if not torch.cuda.is_available():  # a driver reserves more than it uses
                limit_memory(max(available_bytes(), FEWEST_BYTES))
            for place, request in enumerate(batch["requests"]):
                _serve(request, partial(say, batch=batch["batch"], place=place))


def _serve(request: dict[str, Any], say: Callable[..., None]) -> None:
    """Answer a request, and tell before which kernel is imported for it."""
    operation = OPERATIONS[request.pop("op")]

    def answered(**request: Any) -> dict[str, Any]:
        for spec in (request.get("spec"), *request.get("specs", ())):
            if spec is not None and not is_imported(spec):
                say(importing=spec)
                imported(spec)
                say(importing=None)
        return operation(**request)

    answer = _answer(answered, request)
    sys.stdout.flush()
    try:
        say(answer=answer)
    except (TypeError, ValueError) as problem:
        say(answer={"status": "crashed", "reason": f"no answer can be made: {one_line(problem)}"})


def _moved(descriptor: int) -> int:
    """Another descriptor for the file behind this one, which leads nowhere from now on."""
    moved = os.dup(descriptor)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
    return moved


def _listen(lines: IO[str], requests: queue.SimpleQueue[str]) -> None:
    """Hand requests over; at their end the process ends, even in the middle of a call."""
    for line in lines:
        requests.put(line)
    os._exit(0)


def _answer(operation: Callable[..., dict[str, Any]], request: dict[str, Any]) -> dict[str, Any]:
    """The answer; what the kernel changed for whoever comes next is put back, and no reading."""
    before = state_at_start()
    try:
        answer = {"status": "done", **operation(**request)}
    except UnsupportedCaseError as problem:
        answer = {"status": "unsupported", "reason": str(problem)}
    except (Exception, SystemExit, KeyboardInterrupt) as problem:
        # Ctrl-C does not reach this session: it is the kernel that raised it.
        if isinstance(problem, MemoryError | torch.OutOfMemoryError) or any(
            text in str(problem) for text in OUT_OF_MEMORY
        ):
            answer = {"status": "out_of_memory", "reason": one_line(problem)}
        else:
            answer = {"status": "crashed", "reason": named(problem)}
    changes = put_back(before)
    if not changes or answer["status"] != "measured":
        return answer
    return {"status": "incorrect", "reason": f"a timed call changed {' and '.join(changes)}"}


if __name__ == "__main__":
    main()
