"""Each version of a kernel has a process of its own, and all are asked as if they were one."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.process.checkout import Checkout
from bench.process.side_by_side import SideBySide, worker_for
from bench.process.supervisor import Worker, WorkerLost, succeeded

CHECKOUT = Checkout(rev="main", commit="0123", repository=Path("/a"), folder=Path("/b"))
TREE, REVISION = "mine.py:mine", "mine@main=mine.py:mine"


class Fake(Worker):
    """A worker that says who it is and what it was asked; `last` answers end with so many."""

    def __init__(self, log: list[tuple[str, list[Any]]], checkout: Checkout | None = None) -> None:
        super().__init__(threads=1)
        self.name = "revision" if checkout else f"worker {len({one for one, _ in log})}"
        self.log, self.stopped = log, 0
        self.most = 99
        log.append((self.name, []))

    def answers(
        self, requests: Sequence[Mapping[str, Any]], *, limit_s: float, patience: float = 1.0
    ) -> Iterator[dict[str, Any]]:
        self.log.append((self.name, [one.get("spec") or one.get("specs") for one in requests]))
        usage = {"wall_s": 7.0, "busy_s": 11.0, "cpu_time_s": 2.0, "minor_faults": None}
        for one in requests[: self.most]:
            yield {"status": "done", "by": self.name, "spec": one.get("spec")} | usage

    def begin(self) -> None:
        self._started += 1

    def stop(self) -> None:
        self.stopped += 1


@pytest.fixture
def log() -> list[tuple[str, list[Any]]]:
    return []


@pytest.fixture
def worker(log: list[tuple[str, list[Any]]]) -> SideBySide:
    made = SideBySide(CHECKOUT, lambda **options: Fake(log, **options))
    log.clear()
    return made


SUITE_PROCESS, TREE_PROCESS, REVISION_PROCESS = "worker 0", "worker 1", "revision"


def visits(*specs: str) -> list[dict[str, str]]:
    return [{"op": "visit", "spec": spec} for spec in specs]


def test_each_kernel_is_asked_in_the_process_of_its_version_and_answers_keep_their_order(
    worker, log
):
    asked = ["sdpa", REVISION, TREE, TREE, REVISION, "sdpa", "matmul"]

    told = list(worker.answers(visits(*asked), limit_s=1.0))

    assert [one["spec"] for one in told] == asked
    by = {"sdpa": SUITE_PROCESS, TREE: TREE_PROCESS, REVISION: REVISION_PROCESS}
    assert [one["by"] for one in told] == [by.get(spec, SUITE_PROCESS) for spec in asked]
    # A request for each change of the version: neighbours go together.
    assert [specs for _, specs in log] == [
        ["sdpa"],
        [REVISION],
        [TREE, TREE],
        [REVISION],
        ["sdpa", "matmul"],
    ]


def test_what_needs_no_kernel_is_for_the_suite_and_a_load_for_its_version(worker, log):
    assert worker.ask("describe", limit_s=1.0)["by"] == SUITE_PROCESS
    assert worker.ask("load", limit_s=1.0, spec=TREE)["by"] == TREE_PROCESS
    assert worker.ask("load", limit_s=1.0, spec=REVISION)["by"] == REVISION_PROCESS


def test_versions_are_never_compared_in_one_process(worker, log):
    worker.ask("compare", limit_s=1.0, specs=["sdpa", TREE, REVISION])

    assert log == [(TREE_PROCESS, [["sdpa", TREE]])]


def test_the_usage_is_that_of_all_processes_on_one_machine(worker):
    told = worker.ask("usage", limit_s=1.0)

    assert succeeded(told)
    assert (told["cpu_time_s"], told["wall_s"], told["busy_s"]) == (6.0, 7.0, 11.0)
    assert told["minor_faults"] is None


def test_all_processes_begin_and_end_together(worker):
    worker.begin()
    with worker:
        assert worker.started == 3

    assert [one.stopped for one in worker._all] == [1, 1, 1]


def test_answers_end_where_a_process_has_lost_its_gpu_and_a_loss_passes_through(
    worker, monkeypatch
):
    asked = visits("sdpa", TREE, TREE, REVISION)
    worker._tree.most = 1

    assert len(list(worker.answers(asked, limit_s=1.0))) == 2

    def lost(*_: Any, **__: Any) -> Iterator[dict[str, Any]]:
        raise WorkerLost("crashed", "gone")
        yield

    monkeypatch.setattr(worker._tree, "answers", lost)
    found = worker.answers(asked, limit_s=1.0)
    assert next(found)["spec"] == "sdpa"
    with pytest.raises(WorkerLost, match="gone"):
        next(found)


def test_without_a_revision_there_is_one_worker(log):
    assert isinstance(worker_for(None, lambda **options: Fake(log, **options)), Fake)
