"""One visit, one record, whatever the worker answers; and what is known after resuming."""

from dataclasses import replace

import pytest

from bench.cases import Plan, Series
from bench.knowledge import visit_limit_s
from bench.records import RECORDS_FILE, read_records
from bench.supervisor import WorkerLost

SERIES = Series(implementations=("matmul",), seq_lens=(5, 7, 11), d_models=(13,), head_dim=13)
PLAN = Plan(series=(SERIES,), retakes=2, visit_s=0.2)
QUIET = [1.0, 1.0, 1.0, 1.0]
BEYOND = "serial, beyond the cache"


def test_a_visit_that_would_end_after_the_deadline_is_left_out(make_visits, worker, clock, visit):
    visits = make_visits(PLAN)
    worker.attempt_s = 1.0
    visit(visits, worker)
    asked = len(worker.asked)

    visits.run_round(1, visits.cells[:1], worker, deadline=clock.now + 0.9)

    assert len(worker.asked) == asked
    assert visits.done == 1


def test_a_kernel_that_hangs_is_given_up_near_the_deadline(make_visits, worker, visit):
    visits = make_visits(PLAN)

    visit(visits, worker, deadline=7.0)

    assert worker.limits == [7.0]
    visit(visits, worker)
    assert worker.limits[1] == visit_limit_s(PLAN) >= 30


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (WorkerLost("timeout", "no answer within 30 s"), "timeout", "no answer within 30 s"),
        (WorkerLost("crashed", "died of SIGSEGV"), "crashed", "died of SIGSEGV"),
        ({"status": "out_of_memory", "reason": "no more"}, "out_of_memory", "no more"),
        ({"status": "crashed", "reason": "ValueError: x"}, "crashed", "ValueError: x"),
        ({"status": "unsupported", "reason": "not here"}, "unsupported", "not here"),
    ],
)
def test_every_visit_gives_one_record_whatever_happens(
    make_visits, worker, tmp_path, answer, status, reason
):
    visits = make_visits(PLAN)
    worker.answers = [answer, QUIET, QUIET]

    visits.run_round(0, visits.cells, worker)

    records = list(read_records(tmp_path / RECORDS_FILE))
    assert [record.seq_len for record in records] == [5, 7, 11]
    assert (records[0].status, records[0].reason) == (status, reason)
    assert (records[0].time_s, records[0].worker) == (None, 1)
    assert visits.complete(0, visits.cells)


def test_a_process_that_ran_out_of_memory_is_not_used_again(make_visits, worker, visit):
    worker.answers = [{"status": "out_of_memory", "reason": "no more"}]

    visit(make_visits(PLAN), worker)

    assert worker.stopped == 1


def test_load_is_recorded_once_the_span_is_long_beside_the_ticks_of_the_machine(
    make_visits, worker, visit, measured
):
    loaded = {"cpu_time_s": 0.0, "minor_faults": 0, "involuntary_switches": 0, "busy_s": 0.02}
    visits = make_visits(replace(PLAN, retakes=0))
    worker.answers = [
        measured(QUIET, usage={"wall_s": 0.09, "waiting_s": 0.009, **loaded}),
        measured(QUIET, usage={"wall_s": 0.2, "steal_s": 0.0, **loaded}),
    ]

    short, long = visit(visits, worker), visit(visits, worker)

    assert (short.other_load, short.steal_share) == (None, None)
    assert short.waiting_share == pytest.approx(0.1)
    assert (long.other_load, long.steal_share) == (pytest.approx(0.1), 0.0)


def test_samples_are_asked_for_at_the_pace_of_the_visits_before_for_that_kind_of_work(
    make_visits, worker, visit, measured
):
    visits = make_visits(PLAN)
    together = {"is_parallel": True, "canaries": [[1.0, 5.0]] * 5}
    worker.answers = [measured(QUIET)] * 8 + [measured(QUIET, **together)] * 9
    for _ in range(17):
        visit(visits, worker)

    paces, parallel = [request["paces"] for request in worker.asked], worker.asked[-1]["parallel"]

    assert paces[7] == {}
    assert [low < 1e-3 < high for low, high in paces[8]["serial"]] == [True]
    assert [low < 5.0 < high for low, high in paces[16]["parallel"]] == [False, True]
    assert (worker.asked[0]["parallel"], parallel) == (None, True)


def test_a_cell_beyond_the_cache_stays_so_and_its_canaries_of_memory_stand_in_the_record(
    make_visits, worker, visit, measured
):
    visits = make_visits(PLAN)
    worker.answers = [measured(QUIET, beyond_cache=True, canaries=[[1e-3, 5e-5]] * 5)] * 9

    record = [visit(visits, worker) for _ in range(9)][-1]

    assert (record.canary_s, record.memory_canaries_s) == (1e-3, (5e-5,) * 5)
    assert [worker.asked[k]["beyond_cache"] for k in (0, 8)] == [None, True]
    assert [low < 5e-5 < high for low, high in worker.asked[8]["paces"][BEYOND]] == [False, True]


@pytest.mark.parametrize(("rounds", "patience"), [(3, [3] * 4), (4, [1] * 4 + [3])])
def test_a_visit_that_can_be_made_up_for_waits_less(make_visits, worker, rounds, patience):
    visits = make_visits(replace(PLAN, rounds=rounds))

    for number in range(len(patience)):
        visits.run_round(number, visits.cells[:1], worker)

    assert [request["budget"]["patience"] for request in worker.asked] == patience


def test_a_visit_without_an_undisturbed_sample_is_noisy_and_says_how_far_the_pace_was_off(
    make_visits, worker, visit, measured
):
    visits = make_visits(replace(PLAN, retakes=0))
    for _ in range(8):
        visit(visits, worker)
    disturbed = {"undisturbed_s": [], "canaries": [[2e-3]] * 5}
    worker.answers = [measured(QUIET, **disturbed), measured(QUIET, undisturbed_s=[1.0, 1.0])]

    without, some = visit(visits, worker), visit(visits, worker)

    assert without.noise_reasons == ("no undisturbed sample, the canary 100% slower",)
    assert (without.samples_set_aside, some.samples_set_aside) == (0, 2)
    assert (some.noisy, some.canaries_s, some.parallel_canaries_s) == (False, (1e-3,) * 5, None)


def test_visits_at_a_pace_that_is_no_longer_usual_do_not_count_as_quiet(
    make_visits, worker, visit, measured
):
    visits = make_visits(replace(PLAN, rounds=9))
    other, first = visits.cells[:2]
    slow = [measured(QUIET, canaries=[[2e-3]] * 5) for _ in range(8)]
    worker.answers = [*slow, *[measured(QUIET)] * 12]
    for _ in range(8):
        visit(visits, worker, first)
    before = visits.lacks_quiet(first)
    for _ in range(12):
        visit(visits, worker, other)

    assert (before, visits.lacks_quiet(first), visits.lacks_quiet(other)) == (False, True, False)


def test_paces_are_known_again_after_resuming(make_visits, worker, visit):
    visits = make_visits(PLAN)
    for _ in range(8):
        visit(visits, worker)

    visit(make_visits(PLAN, resumed=True), worker)

    assert worker.asked[-1]["paces"] != {}
    assert worker.asked[-1]["parallel"] is False


def test_a_cell_that_a_time_budget_left_out_is_measured_when_there_is_more(
    make_visits, worker, visit
):
    visits = make_visits(PLAN)
    cell = visits.cells[0]
    left_out = replace(
        visits.blank(cell, 0), status="skipped", reason="no time was left for it in the time limit"
    )
    visits.write(left_out)

    resumed = make_visits(PLAN, resumed=True)

    assert resumed.costs_time(cell)
    assert cell.key not in {one.key for one in resumed.unseen()}
    assert visit(resumed, worker, cell).status == "measured"


def test_a_cell_that_was_lost_is_not_tried_again_when_resumed(make_visits, worker, visit):
    visits = make_visits(PLAN)
    worker.answers = [WorkerLost("crashed", "died of SIGSEGV")]
    visit(visits, worker)

    resumed = make_visits(PLAN, resumed=True)

    assert not resumed.costs_time(resumed.cells[0])
    record = visit(resumed, worker)
    assert (record.status, record.reason) == ("crashed", "died of SIGSEGV")
    assert len(worker.asked) == 1


def test_what_visits_took_is_known_after_resuming(make_visits, worker, visit):
    visits = make_visits(PLAN)
    worker.attempt_s = 7.0
    visit(visits, worker)

    resumed = make_visits(PLAN, resumed=True)

    assert resumed.spent_s == pytest.approx(7.0)
    assert resumed.costs.expected_s(resumed.cells[0]) == pytest.approx(7.0)
    assert resumed.left_s(0, resumed.cells[:1]) == 0
    assert resumed.left_s(1, resumed.cells[:1]) == pytest.approx(7.0)
