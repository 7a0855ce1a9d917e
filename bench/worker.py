"""The measuring process: reads batches of requests, a JSON object a line, and answers each request.

An answer carries the number of its batch and its place in it, so that answers can never be taken
for those of other requests, whatever a kernel does to this process.

It may crash, hang or run out of memory; `bench.supervisor` replaces it. The answers have a
descriptor of their own; what a kernel prints to stdout is kept apart and comes with the answer.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import IO, Any

import torch

from bench.confinement import die_with, limit_memory, offer_as_victim
from bench.environment import available_bytes
from bench.operations import OPERATIONS
from bench.timing.visit import one_line
from implementations.interface import UnsupportedCaseError

MOST_PRINTED = 300
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

    Arguments: the number of threads, and the process that this one may not outlive.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    own = os.getpid()
    threads = int(sys.argv[1])
    torch.set_num_threads(threads)
    die_with(int(sys.argv[2]))
    offer_as_victim()
    torch.ones(THREADED_ELEMENTS).exp_()  # its threads start before memory is limited
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), 1)
        while True:
            batch = json.loads(requests.get())
            if not torch.cuda.is_available():  # a driver reserves more than it uses
                limit_memory(max(available_bytes(), FEWEST_BYTES))
            for place, request in enumerate(batch["requests"]):
                answer = _with_threads_as_they_were(
                    _answer(OPERATIONS[request.pop("op")], request), threads
                )
                if os.getpid() != own:  # a kernel forked, and the child came back
                    os._exit(0)
                text = _taken(printed)
                if text:
                    answer["printed"] = text
                line = {"batch": batch["batch"], "place": place, "answer": answer}
                answers.write(json.dumps(line, allow_nan=False) + "\n")
                answers.flush()


def _with_threads_as_they_were(answer: dict[str, Any], threads: int) -> dict[str, Any]:
    """A kernel that changes their number would be timed with others than the record says."""
    found = torch.get_num_threads()
    if found == threads:
        return answer
    torch.set_num_threads(threads)
    if answer["status"] != "measured":
        return answer
    reason = f"changed the number of threads from {threads} to {found}"
    return {"status": "incorrect", "reason": reason}


def _listen(requests: queue.SimpleQueue[str]) -> None:
    """Hand requests over; at their end the process ends, even in the middle of a call."""
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


def _taken(printed: IO[bytes]) -> str:
    """What was printed since the last time, from its beginning; the file is emptied."""
    sys.stdout.flush()
    if not os.fstat(1).st_size:
        return ""
    printed.seek(0)
    text = printed.read(MOST_PRINTED).decode(errors="replace").strip()
    # The descriptors share their place in the file.
    printed.seek(0)
    printed.truncate()
    return text


def _answer(operation: Callable[..., dict[str, Any]], request: dict[str, Any]) -> dict[str, Any]:
    try:
        return operation(**request)
    except UnsupportedCaseError as problem:
        return {"status": "unsupported", "reason": str(problem)}
    except (MemoryError, torch.OutOfMemoryError) as problem:
        return {"status": "out_of_memory", "reason": one_line(problem)}
    except (Exception, SystemExit, KeyboardInterrupt) as problem:
        # Ctrl-C does not reach this session: it is the kernel that raised it.
        if any(text in str(problem) for text in OUT_OF_MEMORY):
            return {"status": "out_of_memory", "reason": one_line(problem)}
        return {"status": "crashed", "reason": f"{type(problem).__name__}: {one_line(problem)}"}


if __name__ == "__main__":
    main()
