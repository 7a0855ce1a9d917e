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
            self._file: IO[bytes] = self._path.open("ab+")
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
        lines = "".join(_line(record.to_dict()) for record in records)
        before: int | None = None
        try:
            with _uninterrupted():
                self._check_there()
                before = os.fstat(self._file.fileno()).st_size
                self._file.write(lines.encode())
                self._file.flush()
                os.fsync(self._file.fileno())
                if finishes:
                    self._part.unlink(missing_ok=True)
        except OSError as problem:
            if before is not None:
                self._forget_beyond(before)
            raise RunError(self._trouble(problem)) from None

    def keep_readings(self, read: Mapping[str, Any]) -> None:
        """Keep what a batch has read until the round's records are written.

        Raises:
            RunError: the disk is full, or the file is gone.

        """
        try:
            with _uninterrupted():
                self._check_there()
                with self._part.open("a", encoding="utf-8") as file:
                    file.write(_line(read))
        except OSError as problem:
            raise RunError(self._trouble(problem)) from None

    def kept_readings(self) -> list[dict[str, Any]]:
        """What was kept of a round whose records were never written, a line a batch."""
        found = []
        with contextlib.suppress(OSError):
            for line in self._part.read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError):  # the last line may be torn
                    found.append(json.loads(line))
        return found

    def _check_there(self) -> None:
        if not os.fstat(self._file.fileno()).st_nlink:
            raise RunError(f"{self._path} was removed while it was written; begin again with --out")

    def _trouble(self, problem: OSError) -> str:
        return (
            f"cannot write {self._path}: {problem.strerror}; what was measured before is kept, "
            "--resume continues"
        )

    def _forget_beyond(self, size: int) -> None:
        """Take back a line that a full disk cut off, as far as the disk lets us."""
        with contextlib.suppress(OSError):
            self._file.close()  # what it still holds would follow later
        with contextlib.suppress(OSError):
            os.truncate(self._path, size)

    def close(self) -> None:
        """Close the file and release the lock."""
        try:
            self._file.close()
        except OSError:  # what could not be written has been reported; the descriptor is released
            return

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
    held: list[int] = []
    before: dict[signal.Signals, Any] = {}
    with contextlib.suppress(ValueError):  # only the main thread may set handlers, and runs them
        for one in (signal.SIGINT, signal.SIGTERM):
            before[one] = signal.signal(one, lambda number, frame: held.append(number))
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    for number in held[:1]:
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
