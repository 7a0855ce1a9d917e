"""Settings of the whole suite, a worker without a process, and the command line; imports late."""

from __future__ import annotations

import gc
import json
import math
import os
import subprocess
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import settings

# They assert for the tests.
pytest.register_assert_rewrite("tests.implementations.situations", "tests.implementations.laws")

# Several test processes share a machine: one thread each, before torch reads the variable.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("KINETO_LOG_LEVEL", "99")

# A slow machine is no failure, and the same commit gives the same answer twice.
settings.register_profile("attnscale", deadline=None, derandomize=True, database=None)
settings.load_profile("attnscale")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files of this folder first: they have real sweeps, for which others would wait."""
    items.sort(key=lambda item: item.path.parent != Path(__file__).parent)


def pytest_collection_finish() -> None:
    """Search what stays anyway, thousands of tests and torch, for garbage no more."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


class DirectWorkers:
    """Stands in for `bench.process.supervisor.Worker`: requests as JSON, answered right here.

    `asked` has every request in order; `fault` may raise in place of an answer, or give one.
    Counts and ceilings, which take long and have tests of their own, are `COUNTED` and `CEILINGS`
    whatever is asked.
    """

    COUNTED = MappingProxyType(
        {
            "flops_executed": 13 * 10**9,
            "transcendentals": 17,
            "bytes_moved": 19,
            "operator_launches": 23,
        }
    )
    CEILINGS = MappingProxyType({"matmul_flops_per_s": 31e12, "copy_bytes_per_s": 37e9})

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.opened = 0
        self.fault: Callable[[str, dict[str, Any]], dict[str, Any] | None] = lambda *_: None

    def __call__(
        self,
        *,
        threads: int,
        allocator: str = "pinned",
        checkout: Any = None,
        import_limit_s: float | None = None,
    ) -> DirectWorker:
        self.opened += 1
        return DirectWorker(self, checkout)

    def operations(self, name: str) -> list[dict[str, Any]]:
        return [request for operation, request in self.asked if operation == name]


class DirectWorker:
    def __init__(self, workers: DirectWorkers, checkout: Any = None) -> None:
        self.started = 0
        self._checkout = checkout
        self._workers = workers
        self._lost = True

    def begin(self) -> None:
        self.started += self._lost
        self._lost = False

    def ask(
        self, operation: str, *, limit_s: float, patience: float = 1.0, **request: Any
    ) -> dict[str, Any]:
        (answer,) = self.answers([{"op": operation, **request}], limit_s=limit_s)
        return answer

    def answers(
        self, requests: Sequence[Mapping[str, Any]], *, limit_s: float, patience: float = 1.0
    ) -> Iterator[dict[str, Any]]:
        self.begin()
        for one in requests:
            self._lost = True  # unless it answers
            answer = self._answer(**json.loads(json.dumps(one)))
            self._lost = False
            yield json.loads(json.dumps(answer, allow_nan=False))

    def _answer(self, *, op: str, **request: Any) -> dict[str, Any]:
        from bench.worker.__main__ import _answer
        from bench.worker.operations import OPERATIONS

        self._workers.asked.append((op, request))
        answer = self._workers.fault(op, request)
        if answer is not None:
            return answer
        if op == "count":
            counts = [dict(self._workers.COUNTED) for _ in request["cases"]]
            return {"status": "done", "counts": counts}
        if op == "workspace_law":
            return {"status": "done", "law": None}
        if op == "ceiling":
            return {"status": "done", **self._workers.CEILINGS}
        asked = dict(request)
        if self._checkout is not None and "spec" in request:  # where its process would stand
            asked["spec"] = request["spec"].replace("=", f"={self._checkout.place}/", 1)
        answer = _answer(OPERATIONS[op], asked)
        if "kernel" in answer:
            answer["kernel"]["spec"] = request["spec"]
        return answer

    def stop(self) -> None:
        self._lost = True

    def __enter__(self) -> DirectWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@pytest.fixture
def direct_workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[DirectWorkers]:
    """Measuring without processes, so that a test starts no torch and injects every failure."""
    from bench.checks import command
    from bench.process import global_state, supervisor
    from bench.sweep import sweep
    from bench.timing import ceilings
    from bench.worker import operations, visit

    workers = DirectWorkers()
    for module in (supervisor, sweep, command):
        monkeypatch.setattr(module, "Worker", workers)
    monkeypatch.setattr(ceilings, "FAULTING_BYTES", 4096)

    def forget() -> None:
        operations._imported.clear()
        visit.ready_cells.cache_clear()
        global_state.state_at_start.cache_clear()

    forget()
    yield workers
    forget()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write an indented text to a file below the test's own directory."""

    def file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return file


@pytest.fixture
def repository(
    tmp_path: Path, write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Commit files to a git repository in `tmp_path / "repository"`, the current folder; its id."""
    for name in ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL"):
        monkeypatch.setenv(f"GIT_{name}", "somebody")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *words],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    git("init", "--quiet", "--initial-branch", "main")

    def commit(**files: str) -> str:
        for name, text in files.items():
            write(f"repository/{name}.py", text)
        git("add", ".")
        git("commit", "--quiet", "--message", "a change")
        return git("rev-parse", "HEAD")

    return commit


Readings = dict[tuple[object, ...], tuple[float, ...]]


@pytest.fixture(scope="session")
def kept_readings() -> Callable[[Path], Readings]:
    """What a run keeps beside its records of a round that is not over.

    The readings of (implementation, seq_len, d_model, round), rounded as in records; of a kill in
    the middle of a line, the lines before.
    """

    def read(folder: Path) -> Readings:
        from bench.plan.cells import cells_of
        from bench.plan.run_directory import resumable_plan
        from bench.sweep.journal import PART_FILE

        found: dict[tuple[object, ...], list[float]] = {}
        part = folder / PART_FILE
        cells = cells_of(resumable_plan(folder)) if part.exists() else []
        for text in part.read_text().splitlines(keepends=True) if cells else ():
            line = json.loads(text) if text.endswith("\n") else {"answers": ()}
            for place, answer in line["answers"]:
                name, case = cells[place].key
                key = (name, case.seq_len, case.d_model, line["round"])
                found.setdefault(key, []).append(float(f"{answer['time_s']:.5g}"))
        return {key: tuple(times) for key, times in found.items()}

    return read


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a command gave back."""

    code: int
    out: str
    err: str

    def assert_refused(self, *words: str) -> None:
        """Exit code 2, one line on stderr beside those of progress, nothing on stdout."""
        assert self.code == 2, self
        assert self.out == ""
        progress = ("starting: ", "importing ", "counting ")
        (line,) = (one for one in self.err.splitlines() if not one.startswith(progress))
        assert line.startswith("attnscale: ")
        for word in words:
            assert word in line


@pytest.fixture
def attnscale_(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    """Run the command line in this process, as on a quick machine that nobody else uses."""
    from attnscale.__main__ import main
    from bench.doctor import examination
    from bench.sweep import progress

    monkeypatch.setattr(examination, "sharing", list)
    monkeypatch.setattr(progress, "COUNTED_EVERY_S", math.inf)

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        assert isinstance(exit_.value.code, int)
        return Outcome(code=exit_.value.code, out=shown.out, err=shown.err)

    return run


@pytest.fixture
def without_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps that end when they have measured: for tests of what is measured and recorded."""
    from attnscale.commands import sweep

    monkeypatch.setattr(sweep, "answer", lambda *_: None)


@pytest.fixture
def one_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages with time against n alone: for tests of what stands around the figures."""
    from reports.page import pictures

    monkeypatch.setattr(pictures, "CHARTS", pictures.CHARTS[:1])


@pytest.fixture
def checking(direct_workers: DirectWorkers, monkeypatch: pytest.MonkeyPatch) -> DirectWorkers:
    """Workers in this process, and a gate of four situations: these tests are not about it."""
    from bench.checks import command, gate
    from bench.checks.situations import check_cases

    def few(*dtypes: Any, **options: Any) -> list[Any]:
        chosen = ("plain", "more_keys", "causal", "scale")
        return [one for one in check_cases(*dtypes, **options) if one.name in chosen]

    monkeypatch.setattr(gate, "check_cases", few)
    monkeypatch.setattr(command, "check_cases", few)
    return direct_workers
