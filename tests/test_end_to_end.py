"""Real processes, once: a sweep that is killed without warning and resumed; its report."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.records import RECORDS_FILE, read_run
from bench.sweep.journal import PART_FILE
from tests.planted_sweep import FEW_CHECKS, MARK, NO_CEILINGS, NO_COUNTS, marked

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 2
CELLS = 2 * 3 * 2
# Every first call is kept in a line, and every pass.
ENOUGH = CELLS + 1
PATIENCE_S = 300.0

PLAN = """
    rounds = 2
    turn_s = 0.5
    threads = 1

    [[series]]
    implementations = ["matmul", "fragile"]
    seq_lens = [5, 6, 11]
    d_models = [11, 22]
    head_dim = 11
"""

KERNEL = """
    import os, time
    from implementations.attention.matmul import matmul

    def fragile(query, key, value):
        '''Right, but where a case has six queries and two heads: it forks, and its process ends.'''
        if query.shape == (1, 2, 6, 11):
            while os.fork() == 0:
                time.sleep(600)
            os.write(2, b"no more" + bytes([10]))
            os._exit(3)
        return matmul(query, key, value)
"""


# Each measuring process imports torch, in seconds: two in place of three.
PROCESSES = 2
FEW_PROCESSES = f"""
    from bench.sweep import ledger, sweep
    ledger.PROCESSES = sweep.PROCESSES = {PROCESSES}
"""
SETTINGS = textwrap.dedent(FEW_CHECKS + NO_CEILINGS + NO_COUNTS + FEW_PROCESSES)
ATTNSCALE = f"from attnscale.__main__ import main{SETTINGS}main()"


@dataclass(frozen=True, kw_only=True)
class Killed:
    """A run as the kill left it, and the same directory after it was resumed."""

    folder: Path
    journal_before: bytes
    kept_before: dict[tuple[object, ...], tuple[float, ...]]
    worker_pids: tuple[int, ...]
    left_behind: tuple[int, ...]
    resumed: subprocess.CompletedProcess[str]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-c", ATTNSCALE, *map(str, arguments)]


def lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, kept_readings: Any) -> Killed:
    folder = tmp_path_factory.mktemp("killed")
    plan, kernel, run = folder / "plan.toml", folder / "fragile_kernel.py", folder / "run"
    plan.write_text(textwrap.dedent(PLAN))
    kernel.write_text(textwrap.dedent(KERNEL))
    environment = {**os.environ, MARK: str(folder)}
    with (folder / "log").open("w") as log:
        sweep = subprocess.Popen(
            command("sweep", "--config", plan, "--impl", f"{kernel}:fragile", "--out", run),
            cwd=ROOT,
            stdout=log,
            stderr=log,
            env=environment,
        )
        polls = 0
        while lines(run / PART_FILE) < ENOUGH and polls * 0.01 < PATIENCE_S:
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
    journal, kept = (run / RECORDS_FILE).read_bytes(), kept_readings(run)
    resumed = subprocess.run(
        command("sweep", "--out", run, "--resume"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    left = tuple(marked(folder))
    for pid in left:
        psutil.Process(pid).kill()
    return Killed(
        folder=run,
        journal_before=journal,
        kept_before=kept,
        worker_pids=workers,
        left_behind=left,
        resumed=resumed,
    )


def test_the_kill_came_in_the_middle_of_the_first_round(killed):
    assert b"measured" not in killed.journal_before
    assert len(killed.kept_before) == CELLS - 1
    assert min(map(len, killed.kept_before.values())) >= 3


def test_nothing_that_was_read_before_is_lost_or_doubled(killed):
    assert (killed.folder / RECORDS_FILE).read_bytes().startswith(killed.journal_before)
    records = [one for one in read_run(killed.folder).records if one.status == "measured"]
    found = {(r.implementation, r.seq_len, r.d_model, r.round): r.samples_s for r in records}
    assert len(found) == len(records)
    assert killed.kept_before == {key: found[key] for key in found if key[-1] == 0}
    assert not (killed.folder / PART_FILE).exists()


def test_resuming_makes_as_many_whole_rounds_as_were_asked_for_and_a_crash_is_a_failure(killed):
    assert killed.resumed.returncode == 1, killed.resumed.stderr
    assert "measuring: round 2, " in killed.resumed.stderr
    assert "Traceback" not in killed.resumed.stderr
    assert killed.resumed.stderr.splitlines()[-2].startswith("cells: ")
    assert killed.resumed.stdout.startswith("fastest at ")
    records = [one for one in read_run(killed.folder).records if one.status == "measured"]
    rounds = Counter(one.round for one in records)
    assert rounds == dict.fromkeys(range(1 + ROUNDS), CELLS - 1)


def test_a_kernel_that_takes_its_process_down_costs_its_own_cell_only(killed):
    records = read_run(killed.folder).records

    lost = [r for r in records if r.status != "measured"]
    assert [(r.implementation, r.seq_len, r.d_model, r.round) for r in lost] == [
        ("fragile", 6, 22, 0)
    ]
    assert (lost[0].status, lost[0].reason) == ("crashed", "the worker exited with 3: no more")


def test_the_workers_of_a_killed_sweep_end_by_themselves(killed):
    assert len(killed.worker_pids) >= PROCESSES
    _, alive = psutil.wait_procs(
        [psutil.Process(pid) for pid in killed.worker_pids if psutil.pid_exists(pid)], timeout=30
    )
    assert alive == []


def test_what_a_kernel_forked_ends_with_its_process(killed):
    assert killed.left_behind == ()


def test_processes_took_turns(killed):
    records = read_run(killed.folder).records

    assert {(r.round, r.worker) for r in records} == {(n, n % PROCESSES) for n in range(1 + ROUNDS)}


def test_page_faults_processor_time_and_memory_are_in_the_records(killed):
    for record in read_run(killed.folder).records:
        if record.status == "measured":
            assert record.cpu_time_s is not None
            assert record.minor_faults is not None
            assert record.threads == 1


def test_run_json_describes_the_machine_and_the_plan(killed):
    info = json.loads((killed.folder / "run.json").read_text())

    assert info["config"]["series"][0]["seq_lens"] == [5, 6, 11]
    assert info["threads"] == 1
    assert info["machine"]["cpu"]
    assert info["verification"]["fail"] == info["verification"]["error"] == 0


@pytest.mark.usefixtures("one_figure")
def test_the_resumed_run_is_judged_and_reported(killed, attnscale_, tmp_path):
    done = attnscale_("report", killed.folder, "--out", tmp_path)

    assert done.code == 0, done
    assert (tmp_path / "index.html").stat().st_size > 1000
