"""The journal: what was appended stays, whatever happens to the disk, the file or the process."""

import errno
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import records
from bench.records import RECORDS_FILE, Record, RunError, read_records
from bench.sweep.journal import PART_FILE, Journal
from tests.bench.test_records import RECORD


@pytest.fixture
def journal_file(tmp_path):
    return tmp_path / RECORDS_FILE


def lines(*written: Record) -> str:
    return "".join(json.dumps(record.to_dict()) + "\n" for record in written)


def test_records_are_in_the_file_in_order_as_soon_as_they_are_appended(tmp_path, journal_file):
    records = [replace(RECORD, round=number) for number in range(5)]
    with Journal(tmp_path) as journal:
        for first, end in ((0, 2), (2, 2), (2, 5)):
            journal.append(records[first:end])
            assert list(read_records(journal_file)) == records[:end]


def test_a_later_journal_continues_an_earlier_one(tmp_path, journal_file):
    for number in range(3):
        with Journal(tmp_path) as journal:
            journal.append([replace(RECORD, round=number)])

    assert [record.round for record in read_records(journal_file)] == [0, 1, 2]


@given(cut=st.integers(0, len(lines(RECORD)) - 1))
def test_a_tail_torn_at_any_byte_is_cut_off_before_writing_goes_on(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("torn")
    second = replace(RECORD, round=1)
    (folder / RECORDS_FILE).write_text(lines(RECORD) + lines(RECORD)[:cut])

    with Journal(folder) as journal:
        journal.append([second])

    assert list(read_records(folder / RECORDS_FILE)) == [RECORD, second]


PASSES = [{"round": 1, "answers": [[place, {"time_s": 0.5}]]} for place in range(3)]


def test_what_passes_read_is_kept_in_order_until_the_records_of_the_round_are_written(
    tmp_path, journal_file
):
    with Journal(tmp_path) as journal:
        assert journal.kept_readings() == []
        for one in PASSES:
            journal.keep_readings(one)
    with Journal(tmp_path) as journal:
        journal.append([RECORD], finishes=False)  # a cell that was lost meanwhile
        assert journal.kept_readings() == PASSES
        journal.append([RECORD])
        assert journal.kept_readings() == []

    assert [one.name for one in tmp_path.iterdir()] == [journal_file.name]


@given(cut=st.integers(0, 200))
def test_a_kill_in_the_middle_of_keeping_costs_the_last_pass_only(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("cut")
    with Journal(folder) as journal:
        for one in PASSES:
            journal.keep_readings(one)
        written = (folder / PART_FILE).read_bytes()
        (folder / PART_FILE).write_bytes(written[:cut])

    whole = written[:cut].count(b"\n")
    with Journal(folder) as journal:
        assert journal.kept_readings() == PASSES[:whole]
        journal.keep_readings(PASSES[0])
        assert journal.kept_readings() == [*PASSES[:whole], PASSES[0]]


def test_a_second_writer_of_the_same_journal_is_refused(tmp_path):
    pytest.importorskip("fcntl")
    with Journal(tmp_path), pytest.raises(RunError, match="is being written by another attnscale"):
        Journal(tmp_path)

    with Journal(tmp_path) as journal:
        journal.append([RECORD])


def test_a_refused_second_writer_leaves_a_torn_tail_alone(tmp_path, journal_file):
    pytest.importorskip("fcntl")
    with Journal(tmp_path):
        journal_file.write_text(lines(RECORD) + "{")
        with pytest.raises(RunError):
            Journal(tmp_path)
        assert journal_file.read_text().endswith("{")


def test_a_journal_in_a_directory_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(RunError, match=r"cannot write .*records\.jsonl: No such file"):
        Journal(tmp_path / "nowhere")


class FullDisk:
    """The journal's file on a disk that has room for so many more bytes."""

    def __init__(self, file: IO[bytes], room: int) -> None:
        self._file = file
        self._room = room

    def write(self, content: bytes) -> int:
        if not self._room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self._file.write(content[: self._room])
        self._room -= written
        return written

    def truncate(self, size: int) -> int:
        return self._file.truncate(size)

    def fileno(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        self._file.close()


@pytest.mark.parametrize("room", [0, 20])
def test_a_full_disk_is_one_line_and_what_was_written_before_stays_readable(
    tmp_path, journal_file, room
):
    second = replace(RECORD, round=1)
    with Journal(tmp_path) as journal:
        journal.append([RECORD])
        whole = journal_file.read_bytes()
        journal._file = FullDisk(journal._file, room)
        for _ in range(2):  # a turn that ends for it tries to write what it has
            with pytest.raises(RunError, match="No space left on device; ") as refusal:
                journal.append([second])

    assert "\n" not in str(refusal.value)
    assert "what was measured before is kept, --resume continues" in str(refusal.value)
    assert journal_file.read_bytes() == whole  # what was written of the second is taken back
    with Journal(tmp_path) as journal:
        journal.append([second])
    assert list(read_records(journal_file)) == [RECORD, second]


def test_a_pass_that_cannot_be_kept_is_one_line(tmp_path):
    with Journal(tmp_path) as journal:
        (tmp_path / PART_FILE).mkdir()
        with pytest.raises(RunError, match=r"cannot write .*records\.jsonl: ") as refusal:
            journal.keep_readings(PASSES[0])
        assert journal.kept_readings() == []

    assert "\n" not in str(refusal.value)
    assert "what was measured before is kept, --resume continues" in str(refusal.value)


def test_a_journal_whose_file_was_removed_is_one_line(tmp_path, journal_file):
    with Journal(tmp_path) as journal:
        journal.append([RECORD])
        journal_file.unlink()
        with pytest.raises(RunError, match="was removed while it was written") as refusal:
            journal.append([RECORD])
        with pytest.raises(RunError, match="was removed while it was written"):
            journal.keep_readings(PASSES[0])

    assert str(journal_file) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not journal_file.exists()


def test_a_journal_whose_directory_was_removed_is_one_line(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with Journal(folder) as journal:
        (folder / RECORDS_FILE).unlink()
        folder.rmdir()
        with pytest.raises(RunError, match="was removed while it was written"):
            journal.append([RECORD])


def interrupting(monkeypatch: pytest.MonkeyPatch, send: Callable[[], None]) -> list[str]:
    """Let a signal come in the middle of forcing a record to disk; what happened, in order."""
    log: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        log.append("writing")
        send()
        real(descriptor)
        log.append("written")

    monkeypatch.setattr(records.os, "fsync", fsync)
    return log


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM])
def interrupt(request: pytest.FixtureRequest) -> Iterator[int]:
    """A signal that raises KeyboardInterrupt, as both do under the command line."""
    before = signal.signal(request.param, signal.default_int_handler)
    yield request.param
    signal.signal(request.param, before)


posix = pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no signals to hold back")


@posix
def test_an_interrupt_in_the_middle_of_a_record_waits_until_it_is_on_the_disk(
    tmp_path, journal_file, monkeypatch, interrupt
):
    with Journal(tmp_path) as journal:
        with monkeypatch.context() as patch:
            log = interrupting(patch, lambda: signal.raise_signal(interrupt))
            with pytest.raises(KeyboardInterrupt):
                journal.append([RECORD])
        assert list(read_records(journal_file)) == [RECORD]
        journal.append([replace(RECORD, round=1)])

    assert log == ["writing", "written"]
    assert [record.round for record in read_records(journal_file)] == [None, 1]


@posix
def test_an_interrupt_that_another_thread_receives_waits_too(
    tmp_path, journal_file, monkeypatch, interrupt
):
    """Ctrl-C is sent to the process: the kernel gives it to any thread that takes it."""
    ended = threading.Event()
    other = threading.Thread(target=ended.wait)  # such as the one that reads a worker's answers
    other.start()
    log = interrupting(monkeypatch, lambda: os.kill(os.getpid(), interrupt))
    try:
        with Journal(tmp_path) as journal, pytest.raises(KeyboardInterrupt):
            journal.append([RECORD])
    finally:
        ended.set()
        other.join()

    assert log == ["writing", "written"]
    assert list(read_records(journal_file)) == [RECORD]


@posix
def test_signals_do_after_a_record_what_they_did_before(tmp_path, interrupt):
    def state() -> tuple[object, ...]:
        return signal.pthread_sigmask(signal.SIG_BLOCK, []), signal.getsignal(interrupt)

    before = state()
    with Journal(tmp_path) as journal:
        journal.append([RECORD])

    assert state() == before
