"""Real processes, once: a sweep that is killed without warning, resumed, judged and reported."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from bench.records import RECORDS_FILE, Record, read_records, read_run

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 2
CELLS = 2 * 4 * 3
ENOUGH = 3
PATIENCE_S = 60.0

# Visits spend their whole budget, so that the sweep lasts far longer than noticing its start.
PLAN = """
    rounds = 2
    visit_s = 0.05
    min_samples = 3
    precision = 1e-9
    threads = 1

    [[series]]
    implementations = ["matmul", "fragile"]
    seq_lens = [5, 6, 11, 17]
    d_models = [11, 22, 33]
    head_dim = 11
"""

KERNEL = """
    import os
    from implementations.attention.matmul import matmul

    def fragile(query, key, value):
        '''Right, but the death of its process where a case has six queries and two heads.'''
        if query.shape == (1, 2, 6, 11):
            os.write(2, b"no more" + bytes([10]))
            os._exit(3)
        return matmul(query, key, value)
"""


@dataclass(frozen=True, kw_only=True)
class Killed:
    """A run after the kill, and the same directory after it was resumed."""

    folder: Path
    before: tuple[Record, ...]
    journal_before: bytes
    worker_pids: tuple[int, ...]
    resumed: subprocess.CompletedProcess[str]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "attnscale", *map(str, arguments)]


def lines(journal: Path) -> int:
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    folder = tmp_path_factory.mktemp("killed")
    plan, kernel, run = folder / "plan.toml", folder / "fragile_kernel.py", folder / "run"
    plan.write_text(textwrap.dedent(PLAN))
    kernel.write_text(textwrap.dedent(KERNEL))
    with (folder / "log").open("w") as log:
        sweep = subprocess.Popen(
            command("sweep", "--config", plan, "--impl", f"{kernel}:fragile", "--out", run),
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
        journal = run / RECORDS_FILE
        polls = 0
        while lines(journal) < ENOUGH and polls * 0.01 < PATIENCE_S:
            polls += 1
            try:
                sweep.wait(timeout=0.01)
            except subprocess.TimeoutExpired:
                continue
            break
        assert sweep.poll() is None, (folder / "log").read_text()
        workers = tuple(child.pid for child in psutil.Process(sweep.pid).children())
        os.kill(sweep.pid, signal.SIGKILL)
        sweep.wait()
    content = journal.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    (folder / "whole.jsonl").write_bytes(whole)
    before = tuple(read_records(folder / "whole.jsonl"))
    resumed = subprocess.run(
        command("sweep", "--out", run, "--resume"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return Killed(
        folder=run,
        before=before,
        journal_before=whole,
        worker_pids=workers,
        resumed=resumed,
    )


def key(record: Record) -> tuple[object, ...]:
    return (record.implementation, record.seq_len, record.d_model, record.round)


def test_the_kill_came_in_the_middle(killed):
    assert ENOUGH <= len(killed.before) < ROUNDS * CELLS


def test_nothing_that_stood_in_the_journal_is_lost(killed):
    assert (killed.folder / RECORDS_FILE).read_bytes().startswith(killed.journal_before)


def test_after_resuming_every_cell_is_there_once_a_round(killed):
    counts = Counter(key(record) for record in read_run(killed.folder).records)

    assert set(counts.values()) == {1}
    assert len(counts) == ROUNDS * CELLS


def test_resuming_measures_only_what_was_missing_and_a_crash_is_a_failure(killed):
    assert killed.resumed.returncode == 1, killed.resumed.stderr
    missing = ROUNDS * CELLS - len(killed.before)
    assert f"measuring: {missing} visits, " in killed.resumed.stderr
    assert killed.resumed.stdout == ""


def test_a_kernel_that_takes_its_process_down_costs_its_own_cell_only(killed):
    records = read_run(killed.folder).records

    crashed = {(r.implementation, r.seq_len, r.d_model) for r in records if r.status == "crashed"}
    assert crashed == {("fragile", 6, 22)}
    assert {r.status for r in records} == {"measured", "crashed"}
    reasons = {r.reason for r in records if r.status == "crashed"}
    assert reasons == {"the worker exited with 3: no more"}


def test_the_worker_of_a_killed_sweep_ends_by_itself(killed):
    assert len(killed.worker_pids) == 1
    _, alive = psutil.wait_procs(
        [psutil.Process(pid) for pid in killed.worker_pids if psutil.pid_exists(pid)], timeout=30
    )
    assert alive == []


def test_rounds_were_measured_by_different_processes(killed):
    measured = [r for r in read_run(killed.folder).records if r.status == "measured"]

    first, second = ({r.worker for r in measured if r.round == n} for n in range(ROUNDS))
    assert not first & second


def test_page_faults_processor_time_and_memory_are_in_the_records(killed):
    for record in read_run(killed.folder).records:
        if record.status == "measured":
            assert record.cpu_time_s is not None
            assert record.minor_faults is not None
            assert record.threads == 1


def test_run_json_describes_the_machine_and_the_plan(killed):
    info = json.loads((killed.folder / "run.json").read_text())

    assert info["config"]["series"][0]["seq_lens"] == [5, 6, 11, 17]
    assert info["threads"] == 1
    assert info["machine"]["cpu"]
    assert info["verification"]["fail"] == info["verification"]["error"] == 0


def test_the_resumed_run_is_judged_and_reported(killed, tmp_path):
    done = subprocess.run(
        command("report", killed.folder, "--out", tmp_path),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "index.html").stat().st_size > 1000
