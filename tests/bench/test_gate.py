"""Which cells may be timed, from what the checks said."""

from dataclasses import replace

import pytest

from bench.gate import Gate, cases_for, run_checks
from bench.situations import check_cases
from bench.supervisor import WorkerLost
from bench.verify import CheckResult
from implementations.case import Case
from implementations.catalogue import load, load_all


def situation(name: str, **condition):
    found = next(one for one in check_cases(["float32"]) if one.name == name)
    return replace(found, case=replace(found.case, **condition))


def result(status: str, name: str = "plain", check: str = "output", **values) -> CheckResult:
    condition = {"pass_": values.pop("pass_", "forward")}
    errors = {"error": 1e-7, "allowed": 1e-6} if status == "pass" else {}
    return CheckResult(
        implementation="matmul",
        case=situation(name, **condition),
        check=check,
        status=status,
        **{**errors, **values},
    )


CELL = Case(seq_len=512)
BACKWARD = Case(seq_len=512, pass_="forward_backward")


def test_a_cell_is_admitted_with_the_error_that_came_nearest_to_what_is_allowed():
    gate = Gate([result("pass"), result("pass", error=5e-7), result("pass", error=3e-7)])

    found = gate.admits("matmul", CELL)

    assert (found.status, found.max_error, found.allowed_error) == ("pass", 5e-7, 1e-6)


@pytest.mark.parametrize("status", ["fail", "error"])
def test_one_failed_check_of_many_bars_the_cell_and_is_its_reason(status):
    failed = result(status, error=1.0, allowed=1e-6, reason="wrong")

    found = Gate([result("pass"), failed, result("pass")]).admits("matmul", CELL)

    assert found.status == "incorrect"
    assert found.reason == str(failed)
    assert (found.max_error, found.allowed_error) == (1.0, 1e-6)


@pytest.mark.parametrize(
    "cell",
    [
        replace(CELL, dtype="float64"),
        replace(CELL, device="cuda"),
        replace(CELL, is_causal=True),
        replace(CELL, mask="boolean"),
    ],
)
def test_checks_under_other_conditions_neither_admit_nor_bar(cell):
    found = Gate([result("pass"), result("fail")]).admits("matmul", cell)

    assert (found.status, found.reason) == ("unsupported", "nothing was checked")


def test_checks_of_another_implementation_say_nothing():
    assert Gate([result("pass")]).admits("sdpa", CELL).status == "unsupported"


def test_a_wrong_gradient_bars_the_backward_pass_only():
    gate = Gate(
        [
            result("pass"),
            result("pass", pass_="forward_backward"),
            result("fail", check="grad_key", pass_="forward_backward", error=1.0, allowed=0.1),
        ]
    )

    assert gate.admits("matmul", CELL).status == "pass"
    assert gate.admits("matmul", BACKWARD).status == "incorrect"


def test_a_backward_pass_is_not_admitted_by_forward_checks():
    assert Gate([result("pass")]).admits("matmul", BACKWARD).status == "unsupported"


def test_a_backward_pass_that_raises_leaves_the_forward_pass_alone():
    raised = result("error", pass_="forward_backward", reason="raised RuntimeError: no graph")
    gate = Gate([result("pass"), raised])

    assert gate.admits("matmul", CELL).status == "pass"
    assert gate.admits("matmul", BACKWARD).status == "incorrect"


def test_an_unsupported_cell_says_why():
    gate = Gate([result("unsupported", reason="no mask on this device")])

    found = gate.admits("matmul", CELL)

    assert (found.status, found.reason) == ("unsupported", "no mask on this device")


def test_a_situation_that_is_unsupported_does_not_bar_the_others():
    gate = Gate([result("unsupported", "five_dimensions", reason="four only"), result("pass")])

    assert gate.admits("matmul", CELL).status == "pass"


def test_a_check_that_took_the_worker_down_bars_everything():
    gate = Gate([result("error", check="all", reason="checking ended with crashed: exit 3")])

    for cell in (CELL, BACKWARD, replace(CELL, dtype="bfloat16", is_causal=True)):
        found = gate.admits("matmul", cell)
        assert found.status == "incorrect"
        assert "exit 3" in str(found.reason)


def test_cells_are_checked_in_their_own_passes_and_masks_and_half_precision_in_float32_too():
    cells = [
        Case(seq_len=512),
        Case(seq_len=1024),
        Case(seq_len=512, dtype="bfloat16", is_causal=True, pass_="forward_backward"),
    ]

    found = cases_for(cells)

    kinds = {(one.case.dtype, one.case.pass_) for one in found}
    assert kinds == {
        ("float32", "forward"),
        ("bfloat16", "forward_backward"),
        ("float32", "forward_backward"),
    }
    assert {(one.case.mask, one.case.is_causal) for one in found} == {
        ("none", False),
        ("none", True),
    }
    assert len(set(found)) == len(found)


def test_a_lost_worker_is_one_error_and_the_next_implementation_is_checked(direct_workers):
    def fault(operation, request):
        if request["spec"] == "sdpa":
            raise WorkerLost("crashed", "the worker exited with 3")

    direct_workers.fault = fault
    cases = [situation("plain"), situation("causal")]
    names: list[str] = []

    results = list(
        run_checks(
            load_all(["sdpa", "matmul"]),
            cases,
            direct_workers(threads=1),
            on_progress=names.append,
        )
    )

    assert names == ["sdpa", "matmul"]
    assert [(r.check, r.status) for r in results if r.implementation == "sdpa"] == [
        ("all", "error")
    ]
    assert results[0].reason == "checking ended with crashed: the worker exited with 3"
    rest = [r for r in results if r.implementation == "matmul"]
    assert {r.status for r in rest} == {"pass"}
    assert {r.case.name for r in rest} == {"plain", "causal"}


def test_results_from_a_worker_equal_those_of_this_process(direct_workers):
    from bench.verify import verify

    cases = [situation("more_keys"), situation("masked_rows_float")]
    near = list(verify(load("matmul"), cases, seed=3))

    far = list(run_checks([load("matmul")], cases, direct_workers(threads=1), seed=3))

    assert far == near
