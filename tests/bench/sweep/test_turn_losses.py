"""What a turn makes of cells that are lost, refused or found wrong."""

import math
from collections import Counter

import pytest

from bench.checks.gate import Admission
from bench.process.supervisor import MOST_ENDINGS, ImportLost, WorkerEnded, WorkerLost
from bench.records import read_records
from bench.sweep.turns import SHORTEST_LAST_LIMIT_S
from implementations.case import Case
from tests.bench.sweep.making import EVERY, ONE_PASS, SERIES, at, sizes


@pytest.mark.parametrize("status", ["incorrect", "implausible"])
def test_a_cell_that_is_found_wrong_while_it_is_timed_loses_the_times_it_had(making, cheap, status):
    made = making()
    made.make(0)
    cheap.fault = at("visit", answer={"status": status, "reason": "row 3 is off"})
    made.make(1)
    cheap.fault = lambda *_: None
    made.make(2)

    wrong = [one for one in read_records(made.journal_file) if one.status == status]
    assert {(one.implementation, one.seq_len) for one in wrong} == {("matmul", 71)}
    assert {one.round for one in wrong} == {0, 1}  # it was not asked again
    assert {(one.time_s, one.samples_s, one.reason) for one in wrong} == {
        (None, None, "row 3 is off")
    }


def test_readings_that_beat_the_machine_are_implausible_and_not_taken_again(making, cheap):
    made = making()
    made.ledger.ceilings = {"cpu/float32": {"matmul_flops_per_s": 1.0}}

    found = made.make(0)

    assert {one.status for one in found} == {"implausible"}
    assert all("this machine's products reach" in one.reason for one in found)
    assert made.ledger.admitted() == []


def test_a_product_of_all_threads_that_others_disturbed_makes_no_reading_implausible(making, cheap):
    made = making()
    disturbed = {"matmul_flops_per_s": 1.0, "core_flops_per_s": 1e18}
    made.ledger.ceilings = {"cpu/float32": disturbed}

    assert {one.status for one in made.make(0)} == {"measured"}


@pytest.mark.parametrize("operation", ["trial", "visit"])
@pytest.mark.parametrize(
    ("fault", "status", "reason", "processes"),
    [
        ({"loss": WorkerLost("crashed", "died of SIGSEGV")}, "crashed", "died of SIGSEGV", 2),
        ({"loss": WorkerLost("timeout", "no answer")}, "timeout", "no answer", 2),
        (
            {"answer": {"status": "crashed", "reason": "ValueError: x"}},
            "crashed",
            "ValueError: x",
            1,
        ),
        ({"answer": {"status": "incorrect", "reason": "not finite"}}, "incorrect", "not finite", 1),
        ({"answer": {"status": "unsupported", "reason": "no"}}, "unsupported", "no", 1),
    ],
)
def test_a_loss_costs_its_own_cell_and_the_others_go_on_in_a_new_process(
    making, cheap, operation, fault, status, reason, processes
):
    made = making()
    cheap.fault = at(operation, seq_len=109, times=1, **fault)

    found = made.make(0, ONE_PASS)

    (lost,) = (one for one in found if one.status != "measured")
    assert (lost.implementation, lost.seq_len) == ("matmul", 109)
    assert (lost.status, lost.reason, lost.time_s, lost.worker) == (status, reason, None, 0)
    assert made.worker.started == processes
    others = {cell: 1 for cell in EVERY if cell != ("matmul", 109)}
    assert Counter(sizes(cheap.operations("visit"))) - Counter({("matmul", 109): 9}) == others
    assert {len(one.samples_s) for one in found if one is not lost} - {1} == {2}


def test_a_cell_that_was_never_read_is_given_up_and_one_that_was_with_its_second_loss(
    making, cheap
):
    made = making()
    cheap.fault = at("trial", loss=WorkerLost("crashed", "gone"))
    made.make(0, ONE_PASS)
    cheap.fault = at("visit", spec="sdpa", loss=WorkerLost("crashed", "gone"))
    for number in (1, 2, 3):
        made.make(number, ONE_PASS)

    lost = [(r.implementation, r.round) for r in made.records() if r.status == "crashed"]
    assert lost == [("matmul", 0), ("sdpa", 1), ("sdpa", 2)]
    assert sizes(cheap.operations("trial")).count(("matmul", 71)) == 1
    assert sizes(cheap.operations("visit")).count(("sdpa", 71)) == 3
    assert len(made.turns.ready()) == len(EVERY) - 2


def test_a_cell_that_runs_out_of_memory_leaves_its_heap_to_nobody(making, cheap):
    made = making()
    made.make(0, ONE_PASS)
    cheap.fault = at("visit", times=1, answer={"status": "out_of_memory", "reason": "no more"})

    found = made.make(1, ONE_PASS)

    assert Counter(one.status for one in found) == {"measured": 5, "out_of_memory": 1}
    assert made.worker.started == 2


@pytest.mark.parametrize("status", ["timeout", "out_of_memory"])
def test_what_a_first_call_ran_out_of_larger_cells_of_its_kind_are_not_tried_for(
    making, cheap, status
):
    made = making()
    cheap.fault = at("trial", answer={"status": status, "reason": "it was too much"})
    for number in range(2):
        made.make(number, ONE_PASS)

    made.turns.leave_out("the sweep took 7 s")
    made.turns.leave_out("the sweep took 9 s")

    assert made.statuses() == {
        ("matmul", 53): "measured",
        ("matmul", 71): status,
        ("matmul", 109): "skipped",
        **{("sdpa", n): "measured" for n in SERIES.seq_lens},
    }
    (skipped,) = (one for one in made.records() if one.status == "skipped")
    assert (
        f"a smaller cell, {Case(seq_len=71, num_heads=1, head_dim=13)}, ended with {status}"
        == skipped.reason
    )
    # After an allocation that failed what is left of the heap is nobody's measure.
    assert made.worker.started == (2 if status == "out_of_memory" else 1)


def test_what_the_gate_refuses_is_never_called_and_has_one_record(making, cheap):
    refused = Admission(status="incorrect", reason="output", max_error=7.0, allowed_error=1.0)
    made = making(matmul=refused)
    made.make()

    for _ in range(2):
        made.turns.leave_out("the sweep took 7 s")

    assert {request["spec"] for request in cheap.operations("trial", "visit")} == {"sdpa"}
    found = [one for one in made.records() if one.implementation == "matmul"]
    assert sorted(one.seq_len for one in found) == [53, 71, 109]
    assert {(one.status, one.reason, one.max_error, one.worker) for one in found} == {
        ("incorrect", "output", 7.0, None)
    }


def test_a_process_that_was_ended_from_outside_is_not_blamed_on_its_cell(making, cheap):
    made = making()
    ended = WorkerEnded("crashed", "SIGKILL ended the worker 3 times")
    cheap.fault = at("visit", times=MOST_ENDINGS - 1, loss=ended)

    found = made.make(0, 10.0)

    assert {one.status for one in found} == {"measured"}
    assert made.worker.started == MOST_ENDINGS
    read = {(one.implementation, one.seq_len): len(one.samples_s) for one in found}
    assert read.pop(("matmul", 71)) == made.passes + 1 - (MOST_ENDINGS - 1)
    assert set(read.values()) == {made.passes + 1}


def test_a_process_that_is_ended_again_and_again_is_in_the_end_blamed_on_its_cell(making, cheap):
    made = making()
    cheap.fault = at("trial", loss=WorkerEnded("crashed", "SIGKILL ended the worker 3 times"))

    for number in range(MOST_ENDINGS):
        assert made.ledger.admitted() == made.ledger.cells
        made.make(number, ONE_PASS)

    (lost,) = (one for one in made.records() if one.status != "measured")
    assert (lost.seq_len, lost.round, lost.status) == (71, MOST_ENDINGS - 1, "crashed")


@pytest.mark.parametrize("operation", ["trial", "visit"])
def test_a_timeout_at_the_deadline_blames_nobody_and_nobody_is_waited_for_beyond(
    making, cheap, operation
):
    deadline = cheap.now + 20.0
    made = making(deadline=deadline)
    if operation == "visit":
        made.make(0, ONE_PASS)
    cheap.slowed = lambda spec, case: math.inf

    made.make(1, 60.0)

    assert {one.status for one in made.records()} <= {"measured"}
    assert made.ledger.admitted() == made.ledger.cells
    # A last process may have been started, to tell of the load.
    assert deadline <= cheap.now < deadline + SHORTEST_LAST_LIMIT_S + 1.1 * cheap.START_S


@pytest.mark.parametrize("operation", ["trial", "visit"])
def test_a_kernel_that_one_process_cannot_import_is_lost_there_once_and_measured_by_others(
    making, cheap, operation
):
    made = making()
    if operation == "visit":
        made.make(0)
    bad = 0 if operation == "trial" else 1

    def fault(asked, request):
        if request.get("spec") == "matmul" and cheap.number == bad:
            raise ImportLost("timeout", "importing it did not end")

    cheap.fault = fault
    for number in range(bad, bad + 3):
        cheap.number = number
        made.make(number)

    found = Counter(
        (one.status, one.reason, one.round)
        for one in made.records()
        if one.implementation == "matmul"
    )
    measured = {("measured", None, number): 3 for number in range(bad + 3) if number != bad}
    assert found == {("timeout", "importing it did not end", bad): 3, **measured}
    others = Counter(one.round for one in made.records() if one.implementation == "sdpa")
    assert others == dict.fromkeys(range(bad + 3), 3)
