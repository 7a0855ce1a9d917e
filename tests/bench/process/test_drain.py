"""What a kernel prints never makes it wait, and little of it is kept."""

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import pytest

from bench.process.measuring_process import Drain


@dataclass(frozen=True)
class Pipe:
    source: IO[bytes]
    sink: int


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    source, sink = os.pipe()
    yield Pipe(os.fdopen(source, "rb", buffering=0), sink)
    os.close(sink)


@pytest.mark.parametrize(("kept", "found"), [({"first": 4}, "head"), ({"last": 4}, "tail")])
def test_the_first_or_the_last_bytes_are_kept_of_more_than_any_pipe_holds(
    pipe: Pipe, kept: dict[str, Any], found: str
) -> None:
    drain = Drain(pipe.source, **kept)

    os.write(pipe.sink, b"head")
    for _ in range(64):
        os.write(pipe.sink, b"x" * 2**16)
    os.write(pipe.sink, b"tail")

    assert drain.taken() == found
    assert drain.taken() == ""


def test_what_stands_in_the_pipe_when_it_is_asked_for_is_taken_with_it(pipe: Pipe) -> None:
    drain = Drain(pipe.source, first=300)

    for number in range(50):
        os.write(pipe.sink, f"line {number}\n".encode())
        assert drain.taken() == f"line {number}"


def test_whoever_writes_without_end_is_not_read_without_end(pipe: Pipe) -> None:
    drain = Drain(pipe.source, last=3)
    is_over = threading.Event()

    def write() -> None:
        while not is_over.is_set():
            os.write(pipe.sink, b"x" * 2**16)

    writer = threading.Thread(target=write)
    writer.start()
    assert drain.taken() in ("", "xxx")
    is_over.set()
    writer.join()


def test_the_end_of_a_pipe_leaves_what_was_kept() -> None:
    source, sink = os.pipe()
    file = os.fdopen(source, "rb", buffering=0)
    drain = Drain(file, last=300)
    os.write(sink, b"the last words \xff")
    os.close(sink)

    assert drain.taken() == "the last words \N{REPLACEMENT CHARACTER}"
    assert drain.taken() == ""
