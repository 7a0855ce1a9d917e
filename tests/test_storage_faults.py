"""Disks that fill up, directories that vanish, runs from elsewhere: one line, and nothing lost."""

import errno
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench import records as records_module
from bench.records import RECORDS_FILE, RUN_FILE, Record, read_info, read_run
from bench.sweep.journal import PART_FILE, Journal
from tests.daily import daily

pytestmark = pytest.mark.usefixtures("without_answer")

ROUNDS = 3
CELLS = 2 * 2 * 2
DAY_S = 86_400.0

PLAN = """
    rounds = 3
    turn_s = 1e-9
    time_budget_s = 86400  # a command's time begins with its process, here that of all tests
    threads = 1

    [[series]]
    implementations = ["matmul", "sdpa"]
    seq_lens = [5, 7]
    d_models = [11, 22]
    head_dim = 11
"""


@pytest.fixture
def sweep(attnscale_, checking, write, tmp_path, monkeypatch) -> Callable[..., Any]:
    """Run the sweep of the plan into a directory, in this process."""
    import torch

    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    plan = write("plan.toml", PLAN)

    def run(folder: Path, *options: object) -> Any:
        return attnscale_("sweep", "--config", plan, "--out", folder, *options)

    return run


@pytest.fixture
def at_visit(checking) -> Callable[..., None]:
    """Have something happen at the beginning of a visit, once."""

    def arrange(number: int, what: Callable[[], object]) -> None:
        visits = itertools.count(1)

        def fault(operation: str, request: dict[str, Any]) -> None:
            if operation == "visit" and next(visits) == number:
                what()

        checking.fault = fault

    return arrange


def nothing() -> None:
    pass


def assert_ended(outcome: Any, *words: str) -> None:
    """Exit code 2, and beside the progress one line that tells what happened."""
    assert outcome.code == 2, outcome
    assert "Traceback" not in outcome.err
    last = outcome.err.splitlines()[-1]
    assert last.startswith("attnscale: ")
    assert outcome.err.count("attnscale: ") == 1
    for word in words:
        assert word in last


def key(record: Record) -> tuple[object, ...]:
    return (record.implementation, record.seq_len, record.d_model, record.round)


def assert_complete(folder: Path) -> None:
    """Every cell is measured in as many rounds as were asked for, and once in each."""
    found = read_run(folder).records
    once = {key(one) for one in found}
    rounds = Counter(one[:3] for one in once)
    assert len(once) == len(found)
    assert len(rounds) == CELLS
    assert min(rounds.values()) >= ROUNDS
    assert {record.status for record in found} == {"measured"}
    assert not (folder / PART_FILE).exists()


# At the records of the first round, when the schedule is noted, at the records of the second.
@pytest.mark.parametrize(("room", "kept"), [(4, 2 * CELLS), (5, 0), (7, CELLS)])
def test_a_disk_that_fills_up_ends_the_sweep_and_resuming_completes_it(
    sweep, attnscale_, tmp_path, monkeypatch, kept_readings, room, kept
):
    fsync, calls = os.fsync, itertools.count()

    def full(descriptor: int) -> None:
        if next(calls) >= room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(records_module.os, "fsync", full)
    assert_ended(sweep(tmp_path / "run"), "No space left on device", "--resume continues")
    written = (tmp_path / "run" / RECORDS_FILE).read_bytes()
    beside = kept_readings(tmp_path / "run")
    assert sum(map(len, beside.values())) == kept

    monkeypatch.setattr(records_module.os, "fsync", fsync)
    assert sweep(tmp_path / "run", "--resume").code == 0
    assert (tmp_path / "run" / RECORDS_FILE).read_bytes().startswith(written)
    assert_complete(tmp_path / "run")
    found = {key(one): one.samples_s for one in read_run(tmp_path / "run").records}
    assert beside.items() <= found.items()
    assert attnscale_("fit", tmp_path / "run").code in (0, 1, 3)


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A file system of its own in the folder; skips where mounting is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if sys.platform != "linux" or shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("needs the right to mount")
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_really_full_keeps_every_whole_record(sweep, tmp_path):
    disk = tmp_path / "disk"
    with mounted(disk, "size=24k"):
        assert_ended(sweep(disk / "run"), "No space left on device")
        kept = read_run(disk / "run").records
        assert 0 < len(kept) < ROUNDS * CELLS

        resize = ["mount", "-o", "remount,size=4m", str(disk)]
        subprocess.run(resize, capture_output=True, check=True)
        assert sweep(disk / "run", "--resume").code == 0
        assert read_run(disk / "run").records[: len(kept)] == kept
        assert_complete(disk / "run")


def test_a_file_system_that_cannot_be_written_is_refused(sweep, tmp_path):
    with mounted(tmp_path / "disk", "ro"):
        outcome = sweep(tmp_path / "disk" / "run")

    assert_ended(outcome, f"--out {tmp_path / 'disk' / 'run'}", "Read-only file system")


def test_a_directory_that_is_removed_ends_the_sweep_with_one_line(sweep, at_visit, tmp_path):
    at_visit(3, lambda: shutil.rmtree(tmp_path / "run"))

    assert_ended(sweep(tmp_path / "run"), "was removed")


def test_a_directory_that_is_renamed_takes_all_records_along(sweep, at_visit, tmp_path):
    at_visit(3, lambda: (tmp_path / "run").rename(tmp_path / "elsewhere"))

    assert_ended(sweep(tmp_path / "run"), f"cannot write {tmp_path / 'run' / RECORDS_FILE}")

    at_visit(0, nothing)
    assert len(read_run(tmp_path / "elsewhere").records) == CELLS
    assert sweep(tmp_path / "elsewhere", "--resume").code == 0
    assert_complete(tmp_path / "elsewhere")


def test_a_run_json_that_cannot_be_written_any_more_costs_no_record(sweep, at_visit, tmp_path):
    obstacle = tmp_path / "run" / f"{RUN_FILE}.part"
    at_visit(3, obstacle.mkdir)

    assert_ended(sweep(tmp_path / "run"), f"cannot write {tmp_path / 'run' / RUN_FILE}")

    obstacle.rmdir()
    at_visit(0, nothing)
    assert len(read_run(tmp_path / "run").records) == CELLS
    assert sweep(tmp_path / "run", "--resume").code == 0
    assert_complete(tmp_path / "run")


def interrupt() -> None:
    raise KeyboardInterrupt


def test_torn_and_foreign_lines_are_left_out_and_measuring_goes_on_behind_them(
    sweep, at_visit, attnscale_, tmp_path
):
    at_visit(2 * CELLS, interrupt)
    assert sweep(tmp_path / "run").code == 130
    at_visit(0, nothing)
    journal = tmp_path / "run" / RECORDS_FILE
    lines = journal.read_bytes().splitlines(keepends=True)
    foreign = [b"garbage {\n", b"[1]\n", b"\xff\xfe\x00\n", b'{"implementation": "matmul"}\n']
    journal.write_bytes(b"".join([*lines[:5], *foreign, *lines[5:9], lines[9][:100]]))

    outcome = sweep(tmp_path / "run", "--resume")

    assert outcome.code == 0
    said = [line for line in outcome.err.splitlines() if "left out" in line]
    assert len(set(said)) == 1
    assert said[0].endswith(f"(and {len(foreign) - 1} more)")
    assert all(line.startswith("warning: ") for line in said)
    assert journal.read_bytes().startswith(b"".join([*lines[:5], *foreign, *lines[5:9]]))
    with pytest.warns(records_module.CorruptRecordWarning):
        assert_complete(tmp_path / "run")
    assert attnscale_("fit", tmp_path / "run").code in (0, 1, 3)


def test_a_second_sweep_into_the_same_directory_is_refused(sweep, tmp_path):
    pytest.importorskip("fcntl")
    assert sweep(tmp_path / "run").code == 0
    journal, info = (tmp_path / "run" / name for name in (RECORDS_FILE, RUN_FILE))
    before = journal.read_bytes(), info.read_bytes()

    with Journal(tmp_path / "run"):
        outcome = sweep(tmp_path / "run", "--resume")

    assert_ended(outcome, "is being written by another attnscale", "choose another --out")
    assert (journal.read_bytes(), info.read_bytes()) == before
    sweep(tmp_path / "run").assert_refused("already holds a run", "--resume")


OTHERS = [
    (("machine", "cpu"), "Other CPU 9000"),
    (("machine", "gpu"), "Other GPU 9000"),
    (("versions", "torch"), "1.0.0"),
    (("threads",), 97),
]


def test_a_run_of_another_machine_is_not_continued(sweep, tmp_path):
    assert sweep(tmp_path / "run").code == 0
    journal = tmp_path / "run" / RECORDS_FILE
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:5]))
    before = journal.read_bytes()
    here = json.dumps(read_info(tmp_path / "run"))
    for keys, there in OTHERS:
        info = place = json.loads(here)
        for name in keys[:-1]:
            place = place[name]
        place[keys[-1]] = there
        (tmp_path / "run" / RUN_FILE).write_text(json.dumps(info))

        outcome = sweep(tmp_path / "run", "--resume")

        assert_ended(outcome, f"was measured with {keys[-1]} {there}, here it is ", "another --out")
        assert journal.read_bytes() == before
        assert read_info(tmp_path / "run") == info


def test_a_run_of_another_plan_is_not_continued_and_what_differs_is_said(sweep, tmp_path):
    assert sweep(tmp_path / "run").code == 0
    before = (tmp_path / "run" / RECORDS_FILE).read_bytes()

    outcome = sweep(tmp_path / "run", "--resume", "--seq-lens", "5,11")

    outcome.assert_refused("other settings", "seq_lens 5,7 there, 5,11 asked for", "--out")
    assert (tmp_path / "run" / RECORDS_FILE).read_bytes() == before


@pytest.mark.parametrize("step_s", daily([-DAY_S, DAY_S]))
def test_a_clock_that_is_set_by_a_day_at_every_look_changes_nothing(
    sweep, tmp_path, monkeypatch, step_s
):
    real, looks = time.time, itertools.count()
    monkeypatch.setattr(time, "time", lambda: real() + next(looks) * step_s)

    assert sweep(tmp_path / "run").code == 0

    assert next(looks) > 0
    assert_complete(tmp_path / "run")
    assert all(0 < record.time_s < 1 for record in read_run(tmp_path / "run").records)
    # A command has begun with its process, which is that of all tests here: minutes, but no day.
    assert 0 < read_info(tmp_path / "run")["schedule"]["spent_s"] < DAY_S / 2
