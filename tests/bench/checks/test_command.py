"""What `attnscale verify` does, from its options to what it prints; workers answer right here."""

from typing import Any

import pytest
import torch

from bench.checks import command
from bench.checks.command import Verification, Verified
from bench.checks.results import CheckResult
from bench.checks.run_in_worker import CASE_LIMIT_S
from bench.checks.situations import check_cases
from bench.process.supervisor import WorkerLost
from implementations.case import CaseError
from implementations.catalogue import suite
from implementations.naming import CatalogueError
from tests.bench.checks.verified import CHECKED, printed

pytestmark = pytest.mark.usefixtures("workers")


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"pass_": "sideways"}, "CaseError", "pass must be one of .* got 'sideways'"),
        ({"device": "tpu"}, "PlanError", "--device: expected cpu or cuda, got 'tpu'"),
        ({"dtypes": ["int8"]}, "CaseError", "dtype must be one of .* got 'int8'"),
        ({"names": ["flashy"]}, "CatalogueError", "no implementation is called 'flashy'"),
        ({"specs": ["nosuch.py:f"]}, "CatalogueError", "there is no file nosuch.py"),
        (
            {"specs": ["math:sin"], "layout": "sbhd"},
            "CatalogueError",
            "--layout: expected bhsd or bshd, got 'sbhd'",
        ),
        ({"specs": ["math:sin[sbhd]"]}, "CatalogueError", "expected .bhsd. or .bshd., got .sbhd."),
    ],
)
def test_a_wrong_option_is_a_value_error_of_one_line(options, kind, message, workers):
    with pytest.raises(ValueError, match=message) as refusal:
        Verification(**{"names": () if "specs" in options else ["matmul"], **options}).run()

    assert type(refusal.value).__name__ == kind
    assert "\n" not in str(refusal.value)
    assert workers.operations("check") == []


@pytest.mark.parametrize("layout", ["bshd", "sbhd"])
@pytest.mark.parametrize("names", [["matmul"], []])
def test_a_layout_is_refused_where_no_kernel_is_given_that_it_could_be_of(layout, names, workers):
    with pytest.raises(CatalogueError) as refusal:
        Verification(names=names, layout=layout, dtypes=["float32"]).run()

    assert str(refusal.value) == f"--layout {layout}: expected --impl beside it, got none"
    assert workers.asked == []


def test_the_usual_layout_may_be_named_without_a_kernel():
    assert not Verification(names=["matmul"], layout="bhsd", dtypes=["float32"]).run().failed


def test_cuda_where_there_is_none_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    with pytest.raises(ValueError, match="torch sees no CUDA device here; use --device cpu"):
        Verification(names=["matmul"], device="cuda").run()


def test_importing_a_kernel_may_take_a_process_down_and_not_ours(kernel, workers):
    def fault(operation: str, request: dict[str, Any]) -> None:
        raise WorkerLost("crashed", "the worker exited with 3")

    workers.fault = fault
    with pytest.raises(CatalogueError, match="importing it took the process down") as refusal:
        Verification(specs=[kernel("mine")]).run()

    assert str(refusal.value).endswith("the worker exited with 3")
    assert [operation for operation, _ in workers.asked] == ["load"]


def test_without_a_choice_all_that_does_not_compile_is_checked_in_every_dtype(workers):
    workers.fault = lambda *_: {"status": "crashed", "reason": "not this time"}
    told: list[str] = []

    found = Verification().run(lambda name, done, total: told.append(name))

    expected = [name for name, one in suite().items() if not one.compiles]
    places = [f"{name} ({place} of {len(expected)})" for place, name in enumerate(expected, 1)]
    assert list(dict.fromkeys(told)) == [place for place in places if place in told]
    assert {one.case.case.dtype for one in found.results} == {
        "float32",
        "float64",
        "bfloat16",
        "float16",
    }
    # The situations that stand in for all are of cores.
    cores = {name for name in expected if suite()[name].kind == "core"}
    assert {one.implementation for one in found.results} == cores
    assert {place.partition(" ")[0] for place in told} == cores


def test_kernels_of_ones_own_are_checked_alone_and_beside_those_that_are_named(kernel, workers):
    alone = Verification(specs=[kernel("mine")], dtypes=["float32"]).run()
    beside = Verification(names=["matmul"], specs=[kernel("mine")], dtypes=["float32"]).run()

    assert {one.implementation for one in alone.results} == {"mine"}
    assert {one.implementation for one in beside.results} == {"matmul", "mine"}
    assert {one.area for one in beside.results} - {one.area for one in alone.results} == {
        "agreement"
    }


def test_options_reach_the_checks(kernel, workers):
    limits: set[float] = set()
    opened = workers.__call__

    def watched(**options: Any) -> Any:
        worker = opened(**options)
        ask = worker.ask

        def timed(operation: str, *, limit_s: float, **request: Any) -> Any:
            if operation == "check":
                limits.add(limit_s)
            return ask(operation, limit_s=limit_s, **request)

        worker.ask = timed
        return worker

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "Worker", watched)
        Verification(
            specs=[kernel("heads_third")],
            layout="bshd",
            dtypes=["float64", "float64"],
            pass_="forward",
            time_limit_s=7.0,
            seed=11,
        ).run()

    requests = workers.operations("check")
    assert {one["spec"] for one in requests} == {f"{kernel('heads_third')}[bshd]"}
    assert {one["seed"] for one in requests} == {11}
    assert {one["case"]["case"]["pass_"] for one in requests} == {"forward"}
    assert [one["case"]["case"]["dtype"] for one in requests] == ["float64"] * len(requests)
    assert limits == {7.0}
    assert Verification().time_limit_s == CASE_LIMIT_S


def test_a_kernel_with_heads_third_passes_in_its_layout_and_fails_in_the_other(kernel):
    right = Verification(
        specs=[kernel("heads_third")], layout="bshd", dtypes=["float32"], pass_="forward"
    ).run()
    mistaken = Verification(
        specs=[kernel("heads_third")], dtypes=["float32"], pass_="forward"
    ).run()

    assert not right.failed
    assert any(one.status == "pass" for one in right.results)
    assert mistaken.failed


HINT = "is right for (batch, seq, heads, dim): --layout bshd"


@pytest.mark.parametrize("pass_", ["forward", "forward_backward"])
def test_a_kernel_that_is_right_in_the_other_layout_is_told_so(kernel, workers, pass_):
    spec = f"turned={kernel('heads_third')}"

    found = Verification(specs=[spec], dtypes=["float32"], pass_=pass_).run()

    assert found.failed
    assert found.hints == [f"turned {HINT}"]
    assert f"turned {HINT}" in printed(found).splitlines()
    asked = [one for one in workers.operations("check") if one["spec"] == f"{spec}[bshd]"]
    assert {one["case"]["name"] for one in asked} == {"plain"}
    assert {one["case"]["case"]["pass_"] for one in asked} == {pass_}
    assert {one.implementation for one in found.results} == {"turned"}


@pytest.mark.parametrize("name", ["mine", "wrong", "scores_of_heads"])
def test_a_kernel_that_is_right_or_wrong_in_both_layouts_gets_no_hint(kernel, name):
    found = Verification(specs=[kernel(name)], dtypes=["float32"]).run()

    assert found.hints == []
    assert "--layout" not in printed(found)


def test_a_kernel_whose_layout_was_given_gets_no_hint(kernel, workers):
    found = Verification(specs=[kernel("mine")], layout="bshd", dtypes=["float32"]).run()

    assert found.failed
    assert found.hints == []
    assert {one["spec"] for one in workers.operations("check")} == {f"{kernel('mine')}[bshd]"}


def test_of_what_compiles_it_is_said_how_far_it_is_and_how_little_it_was_asked(workers):
    workers.fault = lambda *_: {"status": "crashed", "reason": "not this time"}
    told: list[tuple[str, int, int]] = []

    found = Verification(names=["matmul_compiled"], dtypes=["float32"]).run(
        lambda *one: told.append(one)
    )

    assert found.hints == [
        f"matmul_compiled compiles anew in every situation, and was asked 2 of {len(CHECKED)}; "
        "the code that is timed is checked where it is timed"
    ]
    assert told == [("matmul_compiled", 0, 2), ("matmul_compiled", 1, 2)]


def test_a_kernel_that_declares_itself_gets_no_hint(kernel):
    found = Verification(specs=[kernel("DECLARED")], dtypes=["float32"]).run()

    assert found.failed
    assert found.hints == []


def test_only_the_kernel_that_is_turned_gets_the_hint(kernel):
    specs = [kernel("mine"), kernel("heads_third"), kernel("wrong")]

    found = Verification(names=["matmul"], specs=specs, dtypes=["float32"]).run()

    assert found.hints == [f"heads_third {HINT}"]


def of_status(*statuses: str) -> Verified:
    case = check_cases(["float32"])[0]
    results = [
        CheckResult(implementation="mine", case=case, check="output", status=status, reason="no")
        for status in statuses
    ]
    return Verified(results=results, dtypes=["float32"])


@pytest.mark.parametrize(
    ("statuses", "empty"),
    [
        ((), True),
        (("unsupported",), True),
        (("unsupported", "unsupported"), True),
        (("unsupported", "pass"), False),
        (("unsupported", "fail"), False),
        (("error",), False),
        (("pass",), False),
    ],
)
def test_a_run_is_empty_where_everything_was_unsupported(statuses, empty):
    assert of_status(*statuses).empty == empty


def test_a_kernel_that_declines_everything_leaves_an_empty_run_with_its_reason(kernel):
    found = Verification(specs=[kernel("declining")], dtypes=["float32"]).run()

    assert found.empty
    assert not found.failed
    assert "unsupported: needs a GPU of another kind" in printed(found).splitlines()
    assert found.reproductions == []
    assert found.hints == []


def test_a_kernel_that_raises_everywhere_has_failed_and_its_run_is_not_empty(kernel):
    found = Verification(specs=[kernel("refusing")], dtypes=["float32"]).run()

    assert found.failed
    assert not found.empty


def test_a_case_error_is_a_value_error():
    assert issubclass(CaseError, ValueError)
