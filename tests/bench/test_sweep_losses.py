"""What becomes of cells that fail: each gets its status, and the rest of the sweep is complete."""

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from bench import environment
from bench.records import RunError, read_info, read_run
from bench.supervisor import WorkerLost

KERNELS = """
    from implementations.attention.matmul import matmul

    def right(query, key, value):
        return matmul(query, key, value)

    def wrong(query, key, value):
        return matmul(query, key, value, scale=1.0)

    def fragile(query, key, value):
        if query.shape[-2] == 6:
            raise ValueError("six queries are too many")
        return matmul(query, key, value)
"""


def test_a_wrong_kernel_is_incorrect_everywhere_and_never_timed(tmp_path, write, sweeps):
    path = write("kernels_wrong.py", KERNELS)
    series = replace(sweeps.series, implementations=("wrong", "matmul"))

    sweeps.run(sweeps.plan(series, specs=(f"{path}:wrong",)), tmp_path)

    records = read_run(tmp_path).records
    wrong = [r for r in records if r.implementation == "wrong"]
    assert {r.status for r in wrong} == {"incorrect"}
    for record in wrong:
        assert (record.time_s, record.samples_s, record.worker) == (None, None, None)
        assert record.reason is not None
        assert record.reason.startswith("wrong: output in case ")
        assert record.max_error is not None
        assert record.allowed_error is not None
        assert record.max_error > record.allowed_error
    assert {r.status for r in records if r.implementation == "matmul"} == {"measured"}
    timed = [r["spec"] for op, r in sweeps.workers.asked if op in ("pilot", "measure")]
    assert set(timed) == {"matmul"}
    assert read_info(tmp_path)["verification"]["failures"][0].startswith("wrong: output in case")


def test_a_kernel_that_raises_at_one_size_crashes_there_and_nowhere_else(tmp_path, write, sweeps):
    path = write("kernels_fragile.py", KERNELS)
    series = replace(sweeps.series, implementations=("fragile",), seq_lens=(4, 6, 8))

    sweeps.run(sweeps.plan(series, specs=(f"{path}:fragile",)), tmp_path)

    records = read_run(tmp_path).records
    assert sweeps.statuses(records) == {
        ("fragile", 4): {"measured"},
        ("fragile", 6): {"crashed"},
        ("fragile", 8): {"measured"},
    }
    crashed = [r for r in records if r.status == "crashed"]
    assert {r.reason for r in crashed} == {"ValueError: six queries are too many"}
    assert set(sweeps.visits(records).values()) == {1}


def test_a_cell_that_was_given_up_is_not_tried_again_but_stands_in_every_round(
    tmp_path, write, sweeps
):
    path = write("kernels_again.py", KERNELS)
    series = replace(sweeps.series, implementations=("fragile",), seq_lens=(4, 6), d_models=(22,))

    sweeps.run(sweeps.plan(series, rounds=3, specs=(f"{path}:fragile",)), tmp_path)

    tried = [r["case"]["seq_len"] for r in sweeps.workers.operations("measure")]
    assert Counter(tried) == {4: 3, 6: 1}
    assert [r.round for r in read_run(tmp_path).records if r.status == "crashed"] == [0, 1, 2]


def test_what_an_implementation_does_not_support_is_recorded_with_the_reason(tmp_path, sweeps):
    series = [
        replace(sweeps.series, implementations=("loop",), pass_="forward_backward"),
        replace(sweeps.series, implementations=("sdpa_efficient",)),
    ]

    sweeps.run(sweeps.plan(*series, rounds=1), tmp_path)

    reasons = {r.implementation: (r.status, r.reason) for r in read_run(tmp_path).records}
    assert reasons == {
        "loop": ("unsupported", "loop does not support backward"),
        "sdpa_efficient": ("unsupported", "sdpa_efficient runs on cuda only"),
    }
    assert sweeps.workers.operations("measure") == []


def test_an_unmeasurable_workspace_is_null_with_the_reason(tmp_path, sweeps):
    series = replace(
        sweeps.series, implementations=("loop",), seq_lens=(3, 5), d_models=(2,), num_heads=1
    )

    sweeps.run(sweeps.plan(series), tmp_path)

    for record in read_run(tmp_path).records:
        assert (record.status, record.workspace_bytes) == ("measured", None)
        assert "tensor allocator does not see" in str(record.reason)
    asked = [request["with_workspace"] for request in sweeps.workers.operations("measure")]
    assert asked == [True, True, False, False, False, False]


@pytest.mark.parametrize("status", ["timeout", "out_of_memory"])
def test_a_loss_takes_larger_cells_with_it_and_the_sweep_goes_on(tmp_path, sweeps, status):
    def fault(operation: str, request: dict[str, Any]) -> None:
        case = request.get("case", {})
        if operation == "measure" and (request["spec"], case["seq_len"]) == ("matmul", 7):
            raise WorkerLost(status, "it was too much")

    sweeps.workers.fault = fault
    sweeps.run(sweeps.plan(rounds=3), tmp_path)

    records = read_run(tmp_path).records
    found = sweeps.statuses(records)
    assert found["matmul", 5] == {"measured"}
    assert status in found["matmul", 7] <= {status, "skipped"}
    assert found["matmul", 11] <= {"measured", "skipped"}
    assert {key: value for key, value in found.items() if key[0] == "sdpa"} == {
        ("sdpa", n): {"measured"} for n in (5, 7, 11)
    }
    for record in records:
        if record.status == "skipped":
            assert f"ended with {status}" in str(record.reason)
    # What had been measured before the loss goes on; what had not is not tried.
    for record in records:
        if (record.implementation, record.seq_len, record.round) == ("matmul", 11, 2):
            before = {
                r.status
                for r in records
                if (r.implementation, r.seq_len, r.d_model) == ("matmul", 11, record.d_model)
            }
            assert record.status == ("measured" if "measured" in before else "skipped")
    assert set(sweeps.visits(records).values()) == {1}


def test_a_worker_that_is_replaced_has_a_number_of_its_own(tmp_path, sweeps):
    def fault(operation: str, request: dict[str, Any]) -> None:
        if operation == "measure" and len(sweeps.workers.operations("measure")) == sweeps.cells + 5:
            raise WorkerLost("crashed", "the worker exited with 3")

    sweeps.workers.fault = fault
    sweeps.run(sweeps.plan(), tmp_path)

    first, second = ([r for r in read_run(tmp_path).records if r.round == n] for n in (0, 1))
    assert [r.status for r in second].index("crashed") == 4
    spans = [{r.worker for r in span} for span in (first, second[:5], second[5:])]
    assert [len(numbers) for numbers in spans] == [1, 1, 1]
    assert len(set.union(*spans)) == 3


def test_a_cell_predicted_to_take_too_long_is_skipped_and_says_so(tmp_path, sweeps):
    def fault(operation: str, request: dict[str, Any]) -> dict[str, Any] | None:
        if operation != "pilot":
            return None
        return {"status": "measured", "time_s": 0.1, "workspace_bytes": 0}

    sweeps.workers.fault = fault
    series = replace(sweeps.series, seq_lens=(5, 500), d_models=(22,))
    sweeps.run(sweeps.plan(series, rounds=1, call_limit_s=0.2), tmp_path)

    skipped = [r for r in read_run(tmp_path).records if r.status == "skipped"]
    assert {r.seq_len for r in skipped} == {500}
    reasons = {str(r.reason) for r in skipped}
    assert "predicted 1e+03 s a call, over the limit of 0.2 s" in reasons
    # A smaller cell may have been measured by then, in a time of its own.
    assert all(re.fullmatch(r"predicted \S+ s a call, over the limit of 0.2 s", r) for r in reasons)
    assert {r["case"]["seq_len"] for r in sweeps.workers.operations("pilot")} == {5}


def test_cells_that_do_not_fit_into_memory_are_skipped_and_say_so(tmp_path, monkeypatch, sweeps):
    monkeypatch.setattr(environment, "available_bytes", lambda: 2**20)
    series = replace(sweeps.series, seq_lens=(16, 4096), d_models=(22,))

    sweeps.run(sweeps.plan(series, rounds=1), tmp_path)

    found = read_run(tmp_path).records
    assert {r.seq_len for r in found if r.status == "measured"} == {16}
    reasons = {str(r.reason) for r in found if r.status == "skipped"}
    assert all("more than 80% of the 0.00098 GiB available" in reason for reason in reasons)
    assert {r["case"]["seq_len"] for r in sweeps.workers.operations("measure")} == {16}


def test_a_lost_pilot_costs_larger_cells_only(tmp_path, sweeps):
    def fault(operation: str, request: dict[str, Any]) -> None:
        if operation == "pilot" and request["case"]["seq_len"] == 7:
            raise WorkerLost("timeout", "no answer within 30 s")

    sweeps.workers.fault = fault
    sweeps.run(sweeps.plan(rounds=1), tmp_path)

    by_size = {
        (r.seq_len, r.d_model): r.status
        for r in read_run(tmp_path).records
        if r.implementation == "matmul"
    }
    # The pilots ran at (5, 22), (7, 33) and (11, 33).
    assert by_size.pop((11, 33)) == "skipped"
    assert set(by_size.values()) == {"measured"}


def test_a_pilot_that_runs_out_of_memory_by_itself_costs_larger_cells_too(tmp_path, sweeps):
    def fault(operation: str, request: dict[str, Any]) -> dict[str, Any] | None:
        if operation == "pilot" and request["case"]["seq_len"] == 7:
            return {"status": "out_of_memory", "reason": "no more"}
        return None

    sweeps.workers.fault = fault
    sweeps.run(sweeps.plan(rounds=1), tmp_path)

    skipped = {(r.seq_len, r.d_model) for r in read_run(tmp_path).records if r.status == "skipped"}
    assert skipped == {(11, 33)}


def test_a_pilot_that_crashes_costs_no_other_cell(tmp_path, sweeps):
    def fault(operation: str, request: dict[str, Any]) -> None:
        if operation == "pilot" and request["case"]["seq_len"] == 7:
            raise WorkerLost("crashed", "the worker exited with 3")

    sweeps.workers.fault = fault
    sweeps.run(sweeps.plan(rounds=1), tmp_path)

    assert {r.status for r in read_run(tmp_path).records} == {"measured"}


def test_a_worker_that_does_not_start_is_one_line(tmp_path, sweeps):
    def fault(operation: str, request: dict[str, Any]) -> None:
        raise WorkerLost("crashed", "the worker exited with 1: no module named torch")

    sweeps.workers.fault = fault

    with pytest.raises(RunError, match="the measuring process did not start: the worker exited"):
        sweeps.run(sweeps.plan(), tmp_path)
