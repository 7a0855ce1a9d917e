"""What `attnscale verify` does, from its options to what it prints; workers answer right here."""

import ast
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from rich.console import Console

from bench.checks import command
from bench.checks.command import Verification, Verified
from bench.checks.results import LOST, CheckResult
from bench.checks.run_in_worker import CASE_LIMIT_S
from bench.checks.situation import CheckCase
from bench.checks.situations import check_cases
from bench.checks.tables import LEGEND, PLAIN_WIDTH, wide
from bench.process.supervisor import WorkerLost
from implementations.case import CaseError
from implementations.catalogue import suite
from implementations.specs import CatalogueError

CHECKED = ("plain", "more_keys", "causal", "calls_in_turn")
KERNELS = """
    from dataclasses import replace
    from implementations.attention.matmul import IMPLEMENTATION, matmul

    def mine(query, key, value, *, is_causal=False):
        return matmul(query, key, value, is_causal=is_causal)

    def wrong(query, key, value):
        return matmul(query, key, value, scale=1.0)

    def chatty(query, key, value):
        print("[bold]hello[/bold]")
        return matmul(query, key, value)

    def refusing(query, key, value):
        raise ValueError("not [red]today[/red]")

    def heads_third(query, key, value):
        query, key, value = (t.transpose(1, 2) for t in (query, key, value))
        return matmul(query, key, value).transpose(1, 2)

    def scores_of_heads(query, key, value):
        return 2 * heads_third(query, key, value)

    def declining(query, key, value):
        raise NotImplementedError("needs a GPU of another kind")

    def any_keywords(query, key, value, **_):
        return heads_third(query, key, value)

    DECLARED = replace(IMPLEMENTATION, name="declared", fn=any_keywords)
"""


@pytest.fixture(autouse=True)
def workers(direct_workers, monkeypatch):
    """Workers in this process, and four situations in place of all."""

    def few(*dtypes: Any, **options: Any) -> list[CheckCase]:
        return [one for one in check_cases(*dtypes, **options) if one.name in CHECKED]

    monkeypatch.setattr(command, "Worker", direct_workers)
    monkeypatch.setattr(command, "check_cases", few)
    return direct_workers


@pytest.fixture
def kernel(write) -> Callable[[str], str]:
    path = write("kernels_to_verify.py", KERNELS)
    return lambda name: f"{path}:{name}"


def printed(found: Verified, width: int | None = None) -> str:
    output = io.StringIO()
    found.print(Console(file=output, width=width))
    return output.getvalue()


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"pass_": "sideways"}, "PlanError", "--pass: expected forward or forward_backward, got"),
        ({"time_limit_s": 0.0}, "PlanError", "--time-limit: expected seconds above 0, got 0.0"),
        ({"time_limit_s": -1.0}, "PlanError", "--time-limit: expected seconds above 0, got -1.0"),
        ({"time_limit_s": float("inf")}, "PlanError", "--time-limit: expected .* got inf"),
        ({"time_limit_s": float("nan")}, "PlanError", "--time-limit: expected .* got nan"),
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
    names: list[str] = []

    found = Verification().run(names.append)

    expected = [name for name, one in suite().items() if not one.compiles]
    assert names == expected
    assert {one.case.case.dtype for one in found.results} == {
        "float32",
        "float64",
        "bfloat16",
        "float16",
    }
    assert {one.implementation for one in found.results} == set(expected)


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
    told: list[str] = []

    found = Verification(names=["matmul_compiled"], dtypes=["float32"]).run(told.append)

    assert found.hints == [
        f"matmul_compiled compiles anew in every situation, and was asked 2 of {len(CHECKED)}; "
        "the code that is timed is checked where it is timed"
    ]
    assert told[:2] == ["matmul_compiled", "matmul_compiled, which compiles: 1 of 2"]


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


def test_the_document_has_exactly_the_keys_of_the_contract(kernel):
    found = Verification(specs=[kernel("mine"), kernel("wrong")], dtypes=["float32"]).run()

    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))

    assert set(document) == {"results", "summary"}
    assert set(document["summary"]) == {"pass", "fail", "unsupported", "error"}
    counted = [row["status"] for row in document["results"]]
    assert document["summary"] == {name: counted.count(name) for name in document["summary"]}
    for row in document["results"]:
        assert set(row) == {
            "implementation",
            "case",
            "check",
            "status",
            "error",
            "allowed",
            "reason",
        }
        assert {"name", "seq_len", "key_len", "dtype", "pass", "mask", "is_causal", "leading"} <= (
            set(row["case"])
        )


def test_whether_anything_failed_is_said(kernel):
    assert not Verification(specs=[kernel("mine")], dtypes=["float32"]).run().failed
    assert Verification(specs=[kernel("wrong")], dtypes=["float32"]).run().failed


def test_a_failing_kernel_prints_matrix_causes_the_smallest_case_and_code(kernel):
    found = Verification(specs=[kernel("wrong")], dtypes=["float32"]).run()

    text = printed(found)

    lines = text.splitlines()
    assert lines[0].split()[:3] == ["implementation", "shapes", "scores"]
    assert lines[1].split()[:2] == ["wrong", "FAIL"]
    assert lines[2] == LEGEND
    assert any(line.startswith("fail: shapes: wrong: output in case ") for line in lines)
    assert "unsupported: wrong does not support causal" in lines
    start = lines.index("The smallest failing case found for wrong; paste to see it:")
    end = next(n for n, line in enumerate(lines) if " checks: " in line)
    code = "\n".join(lines[start + 1 : end])
    ast.parse(code)
    assert "from kernels_to_verify import wrong as kernel" in code
    (small, shown) = found.reproductions[0]
    assert shown == code.strip()
    assert small.case.size < min(one.case.size for one in found.results if one.bad)
    passed = sum(one.status == "pass" for one in found.results)
    assert lines[end].startswith(f"{len(found.results)} checks: {passed} pass, ")


def test_a_right_kernel_prints_no_code(kernel):
    text = printed(Verification(specs=[kernel("mine")], dtypes=["float32"]).run())

    assert "smallest failing case" not in text
    assert "FAIL" not in text.replace(LEGEND, "")
    assert " 0 fail, " in text


def test_differences_between_implementations_are_printed_for_the_first_dtype():
    found = Verification(names=["matmul", "sdpa"], dtypes=["float64", "float32"]).run()

    text = printed(found)

    assert "differences, float64" in text
    assert "differences, float32" not in text


def test_what_a_kernel_printed_is_a_remark_and_markup_is_left_as_it_is(kernel):
    chatty = printed(
        Verification(specs=[kernel("chatty")], dtypes=["float32"], pass_="forward").run()
    )
    refusing = printed(Verification(specs=[kernel("refusing")], dtypes=["float32"]).run())

    assert "not [red]today[/red]" in refusing
    assert "unsupported: chatty printed" not in chatty


def test_names_that_look_like_markup_are_shown_in_the_matrix_as_they_are():
    case = check_cases(["float32"])[0]
    result = CheckResult(
        implementation="[bold]mine[/bold]", case=case, check="output", status="fail", reason="[x]"
    )

    text = printed(Verified(results=[result], dtypes=["float32"]), width=200)

    assert text.splitlines()[1].startswith("[bold]mine[/bold]")
    assert "fail: shapes: [bold]mine[/bold]: output in case plain" in text


def test_remarks_come_without_being_called_unsupported():
    case = check_cases(["float32"])[0]
    said = CheckResult(
        implementation="mine",
        case=case,
        check="stdout",
        status="pass",
        reason="mine printed to stdout: [bold]hello[/bold]",
    )

    lines = printed(Verified(results=[said], dtypes=["float32"])).splitlines()

    assert said.reason in lines


def test_a_kernel_that_loses_its_worker_is_reproduced_by_its_call(kernel, workers):
    def fault(operation: str, request: dict[str, Any]) -> dict[str, Any] | None:
        if operation == "check":
            raise WorkerLost("crashed", "the worker exited with 3")
        return None

    workers.fault = fault
    found = Verification(specs=[kernel("mine")], dtypes=["float32"]).run()

    (result, code) = found.reproductions[0]
    assert (result.check, result.case.name) == (LOST, "more_keys")
    assert code.splitlines()[-1] == "kernel(query, key, value)"
    assert workers.operations("reduce") == []
    assert "mine: 2 cases were not checked" in printed(found)


def test_without_a_terminal_the_table_has_a_width_of_its_own():
    assert wide(Console(file=io.StringIO(), width=40)).width == PLAIN_WIDTH
    terminal = Console(file=io.StringIO(), width=40, force_terminal=True)
    assert wide(terminal) is terminal


def test_a_case_error_is_a_value_error():
    assert issubclass(CaseError, ValueError)
