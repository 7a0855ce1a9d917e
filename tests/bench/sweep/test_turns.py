"""A turn on a simulated machine: first calls, passes, and one record a cell whatever happens."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from bench.process.supervisor import WorkerLost
from bench.sweep.turns import SHORTEST_LAST_LIMIT_S, SHORTEST_LIMIT_S
from tests.bench.sweep.making import EVERY, ONE_PASS, PLAN, SERIES, at, sizes


def test_first_calls_come_once_a_run_those_with_least_work_first(making, cheap):
    made = making()
    for number in range(3):
        made.make(number, ONE_PASS)

    tried = sizes(cheap.operations("trial"))
    assert [n for _, n in tried] == [53, 53, 71, 71, 109, 109]
    assert Counter(tried) == EVERY
    operations = [operation for operation, _ in cheap.asked]
    assert operations[:8] == ["usage", *["trial"] * 6, "visit"]
    assert Counter(sizes(cheap.operations("visit"))) == dict.fromkeys(EVERY, 3)


def test_a_turn_lasts_so_long_and_ends_with_a_whole_pass(making, cheap):
    made = making()
    made.make(0, ONE_PASS)
    began = cheap.now

    made.make(1, 1.0)

    assert 1.0 <= cheap.now - began < 1.1
    assert made.passes > 10
    assert set(Counter(sizes(cheap.operations("visit"))).values()) == {made.passes}


def test_a_round_gives_one_record_a_cell_with_all_readings_in_order(making, cheap):
    made = making(replace(PLAN, energy=True))
    made.ledger.counted = {cell.key: {"flops_executed": 19 * 2**40} for cell in made.ledger.cells}

    first, second = made.make(0), made.make(1)

    for found in (first, second):
        assert Counter((one.implementation, one.seq_len) for one in found) == EVERY
    for one, other in zip(first, second, strict=True):
        assert (one.status, one.threads, one.worker, other.worker) == ("measured", 1, 0, 1)
        assert (one.max_error, one.allowed_error, one.flops_executed) == (0.25, 1.0, 19 * 2**40)
        # The machine tells each reading a little longer than the last.
        both = (*one.samples_s, *other.samples_s)
        assert len(both) == made.passes + 1
        assert all(earlier < later for earlier, later in pairwise(both))
        # The first call's alone.
        assert (one.workspace_bytes, one.energy_j) == (8 * one.seq_len, 2.5)
        assert (other.workspace_bytes, other.energy_j) == (None, None)
    assert not made.part.exists()


def test_energy_is_asked_for_where_the_plan_does_and_the_workspace_goes_with_each_visit(
    making, cheap
):
    making().make(0, ONE_PASS)

    assert not any(request["with_energy"] for request in cheap.operations("trial"))
    for request in cheap.operations("visit"):
        assert request["workspace_bytes"] == 8 * request["case"]["seq_len"]
        assert request["seed"] == 3


def test_the_last_pass_of_a_turn_is_checked_throughout_and_some_readings_before_it(making, cheap):
    made = making()
    made.make(0, 1.0)

    checked = [request["check"] for request in cheap.operations("visit")]
    before, last = checked[: -len(EVERY)], checked[-len(EVERY) :]
    assert all(last)
    assert 0.02 < sum(before) / len(before) < 0.3


def test_why_an_instrument_gave_nothing_is_kept_once(making, cheap):
    made = making()
    cheap.fault = at(
        "visit",
        answer={"status": "measured", "time_s": 1.0, "calls": 1}
        | {"graph_reason": "it waits for the GPU"},
    )

    made.make()

    assert made.ledger.missing == {"graph_time_s": "matmul: it waits for the GPU"}


def test_a_cell_that_takes_too_long_is_skipped_with_the_prediction_as_reason(making, machine):
    made = making(replace(PLAN, call_limit_s=0.2), machine(1e-5))
    made.make(0, ONE_PASS)

    made.turns.leave_out("the sweep took 7 s")

    reasons = {one.seq_len: one.reason for one in made.records() if one.status == "skipped"}
    assert reasons == {
        n: f"predicted {s} s a call, over the limit of 0.2 s; --call-limit {more} measures it"
        for n, s, more in ((71, 0.66, "1s"), (109, 1.5, "3s"))
    }


@pytest.mark.parametrize("recovered", [False, True])
def test_cells_of_an_open_series_that_are_too_large_leave_no_record_and_are_looked_at_again(
    making, cheap, recovered
):
    plan = replace(PLAN, series=(replace(SERIES, open_ended=True),), call_limit_s=1e-2)
    made = making(plan)
    cheap.slowed = lambda spec, case: 1e4 if spec == "matmul" else 1.0  # by something else
    made.make(0, ONE_PASS)
    made.turns.leave_out("the sweep took 7 s")
    assert set(made.ledger.left_out) == {
        cell.key for cell in made.ledger.cells if cell.key[0] == "matmul" and cell.case.seq_len > 53
    }
    assert all("over the limit" in reason for reason in made.ledger.left_out.values())
    assert ("matmul", 71) not in made.statuses()
    if recovered:  # a run that is resumed when nothing is left to measure makes no turn
        made = making(plan)
        made.recover()
        made.turns.leave_out("the sweep took 9 s")
        assert ("matmul", 71) not in made.statuses()

    cheap.slowed = lambda spec, case: 1.0
    for number in (1, 2):
        made.make(number, ONE_PASS)

    assert made.ledger.left_out == {}
    assert set(made.statuses()) == set(EVERY)


def test_a_kernel_that_hangs_is_given_up_after_a_while_and_near_the_deadline_sooner(making, cheap):
    made = making(deadline=cheap.now + 500.0)
    made.make(0, ONE_PASS)
    cheap.now += 470.0
    made.make(1, ONE_PASS)
    cheap.now = 1499.9
    made.make(2, ONE_PASS)

    limits = [limit for limit in made.worker.limits if limit != 30.0]
    assert limits[0] == 100.0 * PLAN.call_limit_s
    assert any(20.0 < limit < 30.0 for limit in limits)
    assert limits[-1] == SHORTEST_LAST_LIMIT_S


def test_a_visit_hangs_no_sooner_than_a_process_may_take_to_start(making, cheap):
    made = making(replace(PLAN, call_limit_s=1e-3))
    made.make(0, ONE_PASS)

    assert set(made.worker.limits) == {SHORTEST_LIMIT_S, 30.0}


def test_first_calls_that_do_not_fit_into_the_time_left_are_not_made(making, machine):
    own = machine(1e-6)
    made = making(own=own, deadline=own.now + 3.5)

    made.make(0, 60.0)
    made.turns.leave_out("the sweep took 3 s; give it more")

    assert own.now <= 1003.5
    reasons = {one.reason for one in made.records() if one.status == "skipped"}
    assert reasons == {"no time was left for it: the sweep took 3 s; give it more"}
    assert [one.seq_len for one in made.records() if one.status == "measured"]


def test_of_a_long_pass_some_seconds_are_asked_for_and_kept_at_a_time(making, machine):
    own = machine(1e-5)  # 0.4, 0.7 and 1.5 s a call
    made = making(replace(PLAN, call_limit_s=10.0), own)
    made.make(0, ONE_PASS)
    kept = []
    own.slowed = lambda spec, case: kept.append(made.kept_lines()) or 1.0

    made.make(1, ONE_PASS)

    assert len(kept) == len(EVERY)
    assert sorted(set(kept)) in ([0, 1], [0, 1, 2])


def test_the_load_of_a_round_is_that_of_one_process_or_nobodys(making, cheap):
    made = making()
    (loaded, *_) = made.make(0)
    cheap.fault = at("visit", times=1, loss=WorkerLost("crashed", "gone"))
    replaced = made.make(1)[-1]

    assert (loaded.waiting_share, replaced.waiting_share) == (0.0, None)


def test_a_worker_that_tells_nothing_of_itself_is_measured_with_all_the_same(making, cheap):
    def fault(operation, request):
        if operation in ("usage", "rest"):
            raise WorkerLost("timeout", "no answer")

    cheap.fault = fault
    found = making().make()

    assert {(one.status, one.waiting_share) for one in found} == {("measured", None)}


def test_after_a_turn_a_gpu_may_rest_and_a_processor_needs_no_rest(making, cheap):
    making().make(0, ONE_PASS)
    assert cheap.operations("rest") == []

    both = (SERIES, replace(SERIES, device="cuda"))
    making(replace(PLAN, series=both)).make(0, ONE_PASS)
    assert cheap.operations("rest") == [{"device": "cuda"}]


def test_a_sweep_can_ask_whether_it_is_worth_while_to_go_on(making, cheap):
    made = making()
    assert (made.turns.may_still_be_tried(), made.turns.fits(1.0)) == (True, False)
    assert made.turns.fewest_readings() == 0
    cheap.fault = at("visit", times=1, answer={"status": "crashed", "reason": "once"})
    made.make(0, ONE_PASS)

    assert not made.turns.may_still_be_tried()
    assert [made.turns.fits(left_s) for left_s in (1e-3, 1e-2)] == [False, True]
    assert made.turns.fewest_readings() == 1
