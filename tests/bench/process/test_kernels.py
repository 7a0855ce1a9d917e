"""A user's kernel is imported in the worker alone; the parent gets all but its function."""

import json
from importlib.metadata import EntryPoint
from typing import Any

import pytest
import torch

from bench.process.described import Described, describe, source_sha256
from bench.process.kernels import Kernels
from bench.process.supervisor import ImportLost, WorkerLost
from implementations import naming
from implementations.case import Case
from implementations.catalogue import load, suite
from implementations.naming import CatalogueError
from implementations.oracle import softmax_attention

KERNEL = """
    from dataclasses import replace
    from implementations.attention.matmul import IMPLEMENTATION, matmul
    from implementations.oracle import softmax_attention

    def mine(query, key, value, *, is_causal=False):
        'What mine does.'
        return matmul(query, key, value, is_causal=is_causal)

    def odd(query, key, value, mask, scale):
        return softmax_attention(query, key, value, mask, scale)

    DECLARED = replace(
        IMPLEMENTATION,
        name="declared",
        declines=lambda case: "too long" if case.seq_len > 7 else None,
        oracle=odd,
        dtypes=("float32",),
        expected_kernel="math",
    )
"""


@pytest.fixture
def path(write: Any) -> str:
    return str(write("kernels_apart.py", KERNEL))


class Telling:
    """A worker that says what an import elsewhere would: nothing is imported here."""

    def __init__(self, *losses: WorkerLost) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.losses = list(losses)
        self.stopped = 0

    def ask(self, operation: str, *, limit_s: float, **request: Any) -> dict[str, Any]:
        self.asked.append((operation, request))
        if self.losses:
            raise self.losses.pop(0)
        told = describe(load("matmul"), ["the default dtype"])
        kernel = {**told, "spec": request["spec"], "name": "mine"}
        return {"status": "done", "kernel": json.loads(json.dumps(kernel))}

    def stop(self) -> None:
        self.stopped += 1


def test_a_kernel_comes_back_as_it_was_declared_but_for_its_function(
    path: str, direct_workers: Any
) -> None:
    worker = direct_workers(threads=1)

    for spec in (f"{path}:mine", f"{path}:DECLARED", f"other={path}:mine[bshd]"):
        found, here = Kernels(worker).load(spec), load(spec)

        for name in ("name", "title", "source", "kind", "time_law", "workspace_law", "supports"):
            assert getattr(found, name) == getattr(here, name), name
        for name in ("dtypes", "devices", "layout", "spec", "declared", "unmeasured_workspace"):
            assert getattr(found, name) == getattr(here, name), name
        assert found.expected_kernel == here.expected_kernel
        assert source_sha256(found) == source_sha256(here)
        assert (found.oracle is softmax_attention) == (here.oracle is softmax_attention)
        one = torch.ones(1)
        with pytest.raises(RuntimeError, match="is called in measuring processes only"):
            found.call(one, one, one)


def test_what_a_kernel_declines_is_asked_of_the_process(path: str, direct_workers: Any) -> None:
    found = Kernels(direct_workers(threads=1)).load(f"{path}:DECLARED")

    assert found.unsupported(Case(seq_len=11)) == "too long"
    assert found.unsupported(Case(seq_len=11)) == "too long"
    assert found.unsupported(Case(seq_len=5)) is None
    assert len(direct_workers.operations("declined")) == 2
    assert found.unsupported(Case(seq_len=5, dtype="float64")) == "declared does not take float64"


def test_nothing_of_the_users_is_imported_here_and_each_spec_once_there() -> None:
    worker = Telling()
    kernels = Kernels(worker)  # type: ignore[arg-type]  # it stands in for one

    first, again = (kernels.load_all(["sdpa"], ["no_such_file.py:mine"]) for _ in range(2))

    assert [one.name for one in first] == ["sdpa", "mine"]
    assert first == again
    assert worker.asked == [("load", {"spec": "no_such_file.py:mine"})]
    assert isinstance(first[1], Described)
    assert first[1].changed_at_import == ("the default dtype",)


def test_entry_points_are_the_users_code_too(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint("theirs", "no_such_package:kernel", naming.ENTRY_POINT_GROUP)]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points)
    worker = Telling()
    kernels = Kernels(worker)  # type: ignore[arg-type]  # it stands in for one

    kernels.load("theirs")

    assert worker.asked == [("load", {"spec": "theirs=no_such_package:kernel"})]
    assert {one.name for one in kernels.every()} == {*suite(), "mine"}


LOST = ImportLost("timeout", "importing it did not end within 60 s")


def test_an_import_that_was_lost_is_an_error_of_one_line_or_a_kernel_that_says_so() -> None:
    spec = "fast=slow.py:mine[bshd]"
    with pytest.raises(CatalogueError) as refusal:
        Kernels(Telling(LOST)).load(spec)  # type: ignore[arg-type]  # it stands in for one
    assert str(refusal.value) == f"--impl {spec}: importing it did not end within 60 s"

    kept = Kernels(Telling(LOST), keep_lost=True)  # type: ignore[arg-type]  # it stands in for one
    found = kept.load(spec)

    assert isinstance(found, Described)
    assert (found.name, found.layout, found.spec) == ("fast", "bshd", spec)
    assert found.loss == ("timeout", "importing it did not end within 60 s")


def test_a_process_that_is_handed_over_takes_the_place_of_the_one_before() -> None:
    first, second = Telling(), Telling()
    kernels = Kernels(first)  # type: ignore[arg-type]  # it stands in for one

    kernels.hand_over(second)  # type: ignore[arg-type]  # it stands in for one
    kernels.hand_over(second)  # type: ignore[arg-type]  # it stands in for one
    kernels.load("mine.py:mine")

    assert (first.stopped, second.stopped) == (1, 0)
    assert (len(first.asked), len(second.asked)) == (0, 1)
