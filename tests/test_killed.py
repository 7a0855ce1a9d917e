"""Sweeps that are killed, interrupted and resumed, in real processes: nothing is lost."""

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import psutil
import pytest

from bench.process import measuring_process, supervisor
from bench.process.supervisor import Worker, WorkerLost
from bench.records import RECORDS_FILE, Record, read_run
from bench.sweep.journal import PART_FILE

ROOT = Path(__file__).resolve().parents[1]
POLL_S = 0.005
# A process that does not come so far in this time hangs.
PATIENCE_S = 120.0
KILLS = 20
SEED = 20
ROUNDS = 30
CELLS = 2 * 4 * 3
Key = tuple[object, ...]

PLAN = """
    rounds = 30
    turn_s = 0.5
    time_budget_s = 3600
    threads = 1

    [[series]]
    implementations = ["matmul", "sdpa"]
    seq_lens = [5, 6, 11, 17]
    d_models = [11, 22, 33]
    head_dim = 11
"""

# One regular expression is a single call that does not let go of the interpreter.
HANGING = """
    import pathlib, re

    def hanging(query, key, value):
        pathlib.Path(__file__).with_name("hangs").touch()
        re.match(r"(a+)+$", "a" * 60 + "b")
"""

# A stand-in for bench.worker that is killed at a moment of the test's choosing.
SCRIPT = """
import json, os, pathlib, signal, sys
answers = int(sys.argv[2])
own = {"pid": os.getpid()}
os.write(answers, json.dumps(own).encode() + b"\\n")
for line in sys.stdin:
    batch = json.loads(line)
    (request,) = batch["requests"]
    left = pathlib.Path(request["left"])
    number = int(left.read_text())
    left.write_text(str(max(0, number - 1)))
    answer = {"status": "done", "text": "x" * 100_000}
    answer = {**own, "batch": batch["batch"], "place": 0, "answer": answer}
    answer = json.dumps(answer) + chr(10)
    if number:
        os.write(answers, answer[: request["written"]].encode())
        os.kill(os.getpid(), signal.SIGKILL)
    os.write(answers, answer.encode())
"""


@dataclass(kw_only=True)
class Sweep:
    """A sweep through the command line that can be started again and again in one directory."""

    folder: Path
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def journal(self) -> bytes:
        """The whole lines."""
        file = self.run / RECORDS_FILE
        content = file.read_bytes() if file.exists() else b""
        return content[: content.rfind(b"\n") + 1]

    @property
    def size(self) -> int:
        """Of the records, and of what is kept beside them: it changes with every pass."""
        files = (self.run / name for name in (RECORDS_FILE, PART_FILE))
        return sum(file.stat().st_size for file in files if file.exists())

    def start(self) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", "attnscale", "sweep", "--out", str(self.run), *self.options]
        resume = ["--resume"] if self.starts else []
        with (self.folder / f"log{self.starts}").open("wb") as log:
            self.process = subprocess.Popen(
                [*words, *resume], cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )
        self.starts += 1
        return self.process

    def workers(self) -> list[psutil.Process]:
        """The measuring processes of the one that runs."""
        assert self.process is not None
        found = []
        for child in psutil.Process(self.process.pid).children():
            try:
                if "bench.worker" in child.cmdline():
                    found.append(child)
            except psutil.Error:
                continue  # it has just ended
        return found

    def until(self, reached: Callable[[], bool]) -> bool:
        """Wait for something; False if the sweep ended before."""
        assert self.process is not None
        end = monotonic() + PATIENCE_S
        while not reached():
            try:
                self.process.wait(timeout=POLL_S)
                return False
            except subprocess.TimeoutExpired:
                assert monotonic() < end, self.said()
        return True

    def said(self) -> str:
        """What the newest process wrote."""
        return (self.folder / f"log{self.starts - 1}").read_text()

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def sweep(tmp_path: Path) -> Iterator[Sweep]:
    (tmp_path / "plan.toml").write_text(textwrap.dedent(PLAN))
    one = Sweep(folder=tmp_path, options=("--config", str(tmp_path / "plan.toml")))
    yield one
    one.end()


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=30)
    for process in alive:
        process.kill()
    return not alive


def hang(sweep: Sweep) -> list[psutil.Process]:
    """Start the sweep and wait until its measuring process hangs in a kernel."""
    kernel = sweep.folder / "hanging_kernel.py"
    kernel.write_text(textwrap.dedent(HANGING))
    (sweep.folder / "plan.toml").write_text(
        textwrap.dedent(PLAN).replace('"matmul", "sdpa"', '"hanging"')
    )
    sweep.options += ("--impl", f"{kernel}:hanging")
    sweep.start()
    assert sweep.until((sweep.folder / "hangs").exists), sweep.said()
    workers = sweep.workers()
    assert len(workers) == 1
    return workers


@pytest.mark.slow
def test_a_worker_that_holds_the_interpreter_dies_with_its_killed_parent(sweep):
    workers = hang(sweep)

    os.kill(sweep.process.pid, signal.SIGKILL)

    assert sweep.process.wait() == -signal.SIGKILL
    assert gone(workers)


@pytest.mark.parametrize(
    "signals",
    [
        [signal.SIGINT],
        pytest.param([signal.SIGINT, signal.SIGINT], marks=pytest.mark.slow),
        pytest.param([signal.SIGTERM], marks=pytest.mark.slow),
        pytest.param([signal.SIGTERM, signal.SIGINT], marks=pytest.mark.slow),
    ],
)
def test_an_interrupt_ends_a_sweep_whose_worker_hangs(sweep, signals):
    workers = hang(sweep)

    for one in signals:
        os.kill(sweep.process.pid, one)

    assert sweep.process.wait(timeout=PATIENCE_S) == 130
    assert gone(workers)
    message = f"interrupted; what was measured is kept (attnscale sweep --resume --out {sweep.run}"
    assert message in sweep.said().splitlines()[-1]
    assert "Traceback" not in sweep.said()


@pytest.fixture
def mortal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Ask a worker that is killed `deaths` times, `written` characters into its answer."""
    start, workers = subprocess.Popen, []

    def script(command: list[str], **options: Any) -> Any:
        return start([sys.executable, "-c", SCRIPT, *command[4:]], **options)

    def ask(deaths: int, written: int) -> tuple[dict[str, Any], int]:
        (tmp_path / "left").write_text(str(deaths))
        workers.append(Worker(threads=1))
        request = {"left": str(tmp_path / "left"), "written": written}
        return workers[-1].ask("anything", limit_s=60, **request), workers[-1].started

    monkeypatch.setattr(measuring_process.subprocess, "Popen", script)
    monkeypatch.setattr(supervisor, "oom_kills", lambda: 0)
    yield ask
    for worker in workers:
        worker.stop()


@pytest.mark.parametrize("written", [0, 1, 100_000])
@pytest.mark.parametrize("deaths", [1, 2])
def test_a_worker_that_was_killed_is_asked_again_though_it_had_begun_to_answer(
    mortal, deaths, written
):
    answer, started = mortal(deaths, written)

    assert answer["text"] == "x" * 100_000
    assert started == deaths + 1


def test_a_worker_that_is_killed_again_and_again_is_given_up(mortal):
    with pytest.raises(WorkerLost, match="SIGKILL ended the worker 3 times") as loss:
        mortal(supervisor.MOST_ENDINGS, 0)

    assert loss.value.status == "crashed"


@pytest.mark.slow
@pytest.mark.parametrize(
    "signals", [[signal.SIGINT], [signal.SIGINT, signal.SIGINT], [signal.SIGTERM]]
)
def test_an_interrupted_sweep_keeps_what_it_measured_and_resumes(sweep, kept_readings, signals):
    sweep.start()
    assert sweep.until(lambda: sweep.journal.count(b"\n") >= CELLS), sweep.said()
    workers = sweep.workers()
    for one in signals:
        os.kill(sweep.process.pid, one)

    assert sweep.process.wait(timeout=PATIENCE_S) == 130
    assert gone(workers)
    assert "Traceback" not in sweep.said()
    before, kept = sweep.journal, kept_readings(sweep.run)
    assert sweep.start().wait(timeout=PATIENCE_S) == 0, sweep.said()
    assert sweep.journal.startswith(before)
    assert_complete(sweep, kept)


def assert_complete(sweep: Sweep, kept: Mapping[Key, tuple[float, ...]]) -> None:
    """Every cell has as many rounds as were asked for, and all that was kept, each exactly once."""
    records = read_run(sweep.run).records
    found = {key(record): record.samples_s for record in records}
    assert len(found) == len(records)
    assert {record.status for record in records} == {"measured"}
    assert {cell: found.get(cell) for cell in kept} == dict(kept)
    whole = [number for number, have in Counter(one[-1] for one in found).items() if have == CELLS]
    assert len(whole) >= ROUNDS
    assert not (sweep.run / PART_FILE).exists()
    lines = (sweep.run / RECORDS_FILE).read_bytes().splitlines()
    assert len([json.loads(line) for line in lines]) == len(records)


def key(record: Record) -> Key:
    return (record.implementation, record.seq_len, record.d_model, record.round)


@pytest.mark.slow
def test_twenty_random_kills_of_parent_or_worker_lose_and_double_nothing(sweep, kept_readings):
    drawn = random.Random(SEED)
    victims = ["parent", "worker"] * (KILLS // 2)
    drawn.shuffle(victims)
    written, fresh = b"", True
    kept: dict[Key, tuple[float, ...]] = {}
    for number, victim in enumerate(victims):
        if fresh:
            sweep.start()
        assert sweep.until(moment(sweep, drawn, fresh)), f"over after {number}: {sweep.said()}"
        assert victim == "parent" or sweep.until(lambda: bool(sweep.workers()))
        workers = sweep.workers()
        if victim == "parent":
            sweep.end()
            kept |= kept_readings(sweep.run)
        else:
            workers = [drawn.choice(workers)]
            workers[0].kill()
        assert gone(workers)
        assert sweep.journal.startswith(written)
        assert "Traceback" not in sweep.said()
        written, fresh = sweep.journal, victim == "parent"
        print(f"{number} {victim}: {written.count(10)} records, {len(kept)} cells were cut off")
    process = sweep.start() if fresh else sweep.process

    assert process.wait(timeout=PATIENCE_S) == 0, sweep.said()
    assert sweep.journal.startswith(written)
    assert len(kept) > CELLS
    assert_complete(sweep, kept)
    print(f"{KILLS} kills, {sweep.starts - 1} resumes, {CELLS} cells, {ROUNDS} rounds")


def moment(sweep: Sweep, drawn: random.Random, fresh: bool) -> Callable[[], bool]:
    """A random moment: so long after the start, or so long after so many further passes."""
    if fresh and drawn.random() < 0.5:
        due = monotonic() + drawn.uniform(0.3, 6.0)
        return lambda: monotonic() >= due
    wanted, later_s = drawn.randint(1, 4), drawn.uniform(0.0, 0.1)
    sizes = [sweep.size]
    reached: list[float] = []

    def due_after_passes() -> bool:
        if sweep.size != sizes[-1]:
            sizes.append(sweep.size)
        if not reached and len(sizes) > wanted:
            reached.append(monotonic())
        return bool(reached) and monotonic() >= reached[0] + later_s

    return due_after_passes
