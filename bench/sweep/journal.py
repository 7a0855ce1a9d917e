"""Writes `records.jsonl`, one flushed line a record, and keeps what a round has read so far.

Records are written when a round ends. Until then every batch of readings, some two seconds, stands
in a file beside them, so that a kill costs the batch in flight and no more.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

from bench.records import RECORDS_FILE, Record, RunError

PART_FILE = "round.part.jsonl"


class Journal:
    """Append-only writer of `records.jsonl`, flushed to disk a round at a time, one writer only.

    A tail that a kill left half-written is cut off on opening, so that the next record starts on
    a line of its own.

    Raises:
        RunError: the file cannot be written, or another process writes it.

    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / RECORDS_FILE
        self._part = folder / PART_FILE
        try:
            self._file: IO[bytes] = self._path.open("ab+", buffering=0)
        except OSError as problem:
            raise RunError(f"cannot write {self._path}: {problem.strerror}") from None
        _lock(self._file, self._path)
        _cut_torn_tail(self._file)
        if self._part.exists():
            with self._part.open("ab+") as part:
                _cut_torn_tail(part)

    def append(self, records: Sequence[Record], *, finishes: bool = True) -> None:
        """Write records and force them to disk; an interrupt waits until they stand there.

        If they are those that a round ends with (`finishes`), what was kept of it goes.

        Raises:
            RunError: the disk is full, or the file is gone. What was appended before is kept.

        """
        lines = "".join(_line(record.to_dict()) for record in records).encode()
        with self._writing():
            before = os.fstat(self._file.fileno()).st_size
            try:
                while lines:  # a disk that becomes full takes a part
                    lines = lines[self._file.write(lines) :]
                os.fsync(self._file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    self._file.truncate(before)
                raise
            if finishes:
                self._part.unlink(missing_ok=True)

    def keep_readings(self, read: Mapping[str, Any]) -> None:
        """Keep what a batch has read until the round's records are written.

        Raises:
            RunError: the disk is full, or the file is gone.

        """
        with self._writing(), self._part.open("a", encoding="utf-8") as file:
            file.write(_line(read))

    def kept_readings(self) -> list[dict[str, Any]]:
        """What was kept of a round whose records were never written, a line a batch."""
        batches = []
        with contextlib.suppress(OSError):
            for line in self._part.read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError):  # the last line may be torn
                    batches.append(json.loads(line))
        return batches

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with _uninterrupted():
                if not os.fstat(self._file.fileno()).st_nlink:
                    raise RunError(
                        f"{self._path} was removed while it was written; begin again with --out"
                    )
                yield
        except OSError as problem:
            raise RunError(
                f"cannot write {self._path}: {problem.strerror}; what was measured before is kept, "
                "--resume continues"
            ) from None

    def close(self) -> None:
        """Close the file and release the lock."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, allow_nan=False, separators=(",", ":")) + "\n"


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold back Ctrl-C and SIGTERM for the moment of writing (in the main thread).

    A signal mask would not do: the kernel gives the signal to any other thread, and Python's
    handler runs in this one all the same.
    """
    came: list[int] = []
    before: dict[signal.Signals, Any] = {}
    with contextlib.suppress(ValueError):  # only the main thread may set handlers, and runs them
        for caught in (signal.SIGINT, signal.SIGTERM):
            before[caught] = signal.signal(caught, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for caught, handler in before.items():
            signal.signal(caught, handler)
    for number in came[:1]:
        signal.raise_signal(number)


def _cut_torn_tail(file: IO[bytes]) -> None:
    file.seek(0)
    content = file.read()
    if content and not content.endswith(b"\n"):
        file.truncate(content.rfind(b"\n") + 1)
    file.seek(0, os.SEEK_END)


def _lock(file: IO[bytes], path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows has no flock: there two sweeps into one directory are not caught
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise RunError(
            f"{path} is being written by another attnscale; wait for it, or choose another --out"
        ) from None
