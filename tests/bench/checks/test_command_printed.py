"""What verify prints, and the document of --json."""

import ast
import io
import json
from typing import Any

import pytest
from rich.console import Console

from bench.checks.command import Verification, Verified
from bench.checks.results import LOST, CheckResult
from bench.checks.situations import check_cases
from bench.checks.tables import LEGEND, PLAIN_WIDTH, wide_console
from bench.process.supervisor import WorkerLost
from tests.bench.checks.verified import printed

pytestmark = pytest.mark.usefixtures("workers")


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
    assert wide_console(Console(file=io.StringIO(), width=40)).width == PLAIN_WIDTH
    terminal = Console(file=io.StringIO(), width=40, force_terminal=True)
    assert wide_console(terminal) is terminal
