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
from bench.records import RECORDS_FILE, RUN_FILE, read_info, read_run
from bench.sweep.journal import Journal

ROUNDS = 3
CELLS = 2 * 2 * 2
DAY_S = 86_400.0

PLAN = """
    rounds = 3
    visit_s = 0.001
    precision = 0.9
    retakes = 0
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
            if operation == "measure" and next(visits) == number:
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


def assert_complete(folder: Path) -> None:
    """Every cell is measured exactly once in each round."""
    found = read_run(folder).records
    counts = Counter((r.implementation, r.seq_len, r.d_model, r.round) for r in found)
    assert set(counts.values()) == {1}
    assert len(counts) == ROUNDS * CELLS
    assert {record.status for record in found} == {"measured"}


def test_a_disk_that_fills_up_ends_the_sweep_and_resuming_completes_it(
    sweep, attnscale_, tmp_path, monkeypatch
):
    fsync, calls = os.fsync, itertools.count()

    def full(descriptor: int) -> None:
        if next(calls) >= 9:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(records_module.os, "fsync", full)
    assert_ended(sweep(tmp_path / "run"), "No space left on device", "--resume continues")
    kept = (tmp_path / "run" / RECORDS_FILE).read_bytes()
    assert read_run(tmp_path / "run").records
    assert attnscale_("fit", tmp_path / "run").code in (0, 1, 3)

    monkeypatch.setattr(records_module.os, "fsync", fsync)
    assert sweep(tmp_path / "run", "--resume").code == 0
    assert (tmp_path / "run" / RECORDS_FILE).read_bytes().startswith(kept)
    assert_complete(tmp_path / "run")


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
    with mounted(disk, "size=28k"):
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

    assert_ended(sweep(tmp_path / "run"), f"cannot write {tmp_path / 'run' / RUN_FILE}")

    at_visit(0, nothing)
    assert len(read_run(tmp_path / "elsewhere").records) >= 3
    assert sweep(tmp_path / "elsewhere", "--resume").code == 0
    assert_complete(tmp_path / "elsewhere")


def test_a_run_json_that_cannot_be_written_any_more_costs_no_record(sweep, at_visit, tmp_path):
    obstacle = tmp_path / "run" / f"{RUN_FILE}.part"
    at_visit(3, obstacle.mkdir)

    assert_ended(sweep(tmp_path / "run"), f"cannot write {tmp_path / 'run' / RUN_FILE}")

    obstacle.rmdir()
    at_visit(0, nothing)
    assert len(read_run(tmp_path / "run").records) >= 3
    assert sweep(tmp_path / "run", "--resume").code == 0
    assert_complete(tmp_path / "run")


def test_torn_and_foreign_lines_are_left_out_and_their_visits_made_again(
    sweep, attnscale_, tmp_path
):
    assert sweep(tmp_path / "run").code == 0
    journal = tmp_path / "run" / RECORDS_FILE
    lines = journal.read_bytes().splitlines(keepends=True)
    foreign = [b"garbage {\n", b"[1]\n", b"\xff\xfe\x00\n", b'{"implementation": "matmul"}\n']
    journal.write_bytes(b"".join([*lines[:5], *foreign, *lines[5:9], lines[9][:100]]))

    outcome = sweep(tmp_path / "run", "--resume")

    assert outcome.code == 0
    said = [line for line in outcome.err.splitlines() if "left out" in line]
    assert len({line.partition(" left out")[0] for line in said}) == len(foreign)
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


@pytest.mark.parametrize(
    ("keys", "there"),
    [
        (("machine", "cpu"), "Other CPU 9000"),
        (("machine", "gpu"), "Other GPU 9000"),
        (("versions", "torch"), "1.0.0"),
        (("threads",), 97),
    ],
)
def test_a_run_of_another_machine_is_not_continued(sweep, tmp_path, keys, there):
    assert sweep(tmp_path / "run").code == 0
    journal = tmp_path / "run" / RECORDS_FILE
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:5]))
    before = journal.read_bytes()
    info = read_info(tmp_path / "run")
    place = info
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


@pytest.mark.parametrize("step_s", [-DAY_S, DAY_S])
def test_a_clock_that_is_set_by_a_day_at_every_look_changes_nothing(
    sweep, tmp_path, monkeypatch, step_s
):
    real, looks = time.time, itertools.count()
    monkeypatch.setattr(time, "time", lambda: real() + next(looks) * step_s)

    assert sweep(tmp_path / "run").code == 0

    assert next(looks) > 0
    assert_complete(tmp_path / "run")
    for record in read_run(tmp_path / "run").records:
        assert 0 < record.time_s < 1
        assert 0 < record.visit_s < 100
