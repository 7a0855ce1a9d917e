"""A noisy visit is made again, within limits, and the better measurement is kept."""

from dataclasses import replace

import pytest

from bench.cases import Plan, Series
from bench.supervisor import WorkerLost
from bench.visits import RETAKEN_FREELY_S, RETAKEN_SHARE

SERIES = Series(implementations=("matmul",), seq_lens=(5, 7, 11), d_models=(13,), head_dim=13)
PLAN = Plan(series=(SERIES,), retakes=2, visit_s=0.2)
QUIET = [1.0, 1.0, 1.0, 1.0]
NOISY = [1.0, 2.0, 3.0, 4.0]


def test_a_quiet_visit_is_made_once(make_visits, worker, visit):
    worker.answers = [QUIET, NOISY]

    record = visit(make_visits(PLAN), worker)

    assert (record.noisy, record.retakes, record.noise_reasons) == (False, 0, ())
    assert (record.calls_per_sample, record.worker) == (3, 1)
    assert len(worker.asked) == 1


def test_a_noisy_visit_is_made_again_until_it_is_quiet(make_visits, worker, visit):
    worker.answers = [NOISY, QUIET, QUIET]

    record = visit(make_visits(PLAN), worker)

    assert (record.samples_s, record.noisy, record.retakes) == (tuple(QUIET), False, 1)
    assert len(worker.asked) == 2


@pytest.mark.parametrize(("retakes", "at_once"), [(0, 0), (1, 1), (2, 2), (5, 2)])
def test_a_visit_is_made_again_no_more_often_than_the_plan_says_and_twice_at_once(
    make_visits, worker, retakes, at_once, visit
):
    worker.answers = [NOISY] * 9

    record = visit(make_visits(replace(PLAN, retakes=retakes)), worker)

    assert (record.noisy, record.retakes) == (True, at_once)
    assert len(worker.asked) == 1 + at_once


def test_of_noisy_visits_the_quickest_is_kept(make_visits, worker, visit):
    quicker = [sample / 2 for sample in NOISY]
    worker.answers = [NOISY, quicker, NOISY]

    record = visit(make_visits(PLAN), worker)

    assert record.samples_s == tuple(quicker)
    assert (record.noisy, record.retakes) == (True, 2)


def test_a_quiet_visit_is_kept_although_a_noisy_one_was_quicker(make_visits, worker, visit):
    worker.answers = [[sample / 9 for sample in NOISY], QUIET]

    assert visit(make_visits(PLAN), worker).samples_s == tuple(QUIET)


def test_what_is_measured_once_a_cell_survives_the_attempt_that_is_discarded(
    make_visits, worker, visit, measured
):
    visits = make_visits(replace(PLAN, energy=True))
    worker.answers = [
        {**measured(NOISY, with_workspace=True), "energy_j": 5.0, "graph_time_s": 0.5},
        QUIET,
    ]

    record = visit(visits, worker)

    assert (record.samples_s, record.workspace_bytes) == (tuple(QUIET), 800)
    assert (record.energy_j, record.graph_time_s) == (5.0, 0.5)
    assert [request["with_workspace"] for request in worker.asked] == [True, False]
    assert [request["with_energy"] for request in worker.asked] == [True, False]


@pytest.mark.parametrize("status", ["timeout", "crashed", "out_of_memory"])
def test_a_retake_that_is_lost_leaves_what_was_measured(make_visits, worker, status, visit):
    worker.answers = [NOISY, WorkerLost(status, "gone")]

    record = visit(make_visits(PLAN), worker)

    assert (record.status, record.samples_s, record.retakes) == ("measured", tuple(NOISY), 1)
    assert len(worker.asked) == 2


def test_a_visit_lasts_as_long_as_all_its_attempts(make_visits, worker, visit):
    worker.answers = [NOISY, NOISY, QUIET]

    assert visit(make_visits(PLAN), worker).visit_s == pytest.approx(3 * worker.attempt_s)


def test_measuring_again_ends_when_a_quarter_of_the_time_went_to_it(
    make_visits, worker, clock, visit
):
    visits = make_visits(PLAN)
    worker.attempt_s = 1.0
    worker.answers = [NOISY] * 1000

    records = [visit(visits, worker) for _ in range(40)]

    retaken_s = sum(record.retakes for record in records) * worker.attempt_s
    assert retaken_s > 0.8 * RETAKEN_SHARE * clock.now
    assert retaken_s <= RETAKEN_FREELY_S + RETAKEN_SHARE * clock.now
    assert {record.retakes for record in records[-9:]} <= {0, 1}


def test_short_visits_may_be_made_again_from_the_very_first(make_visits, worker, visit):
    worker.answers = [NOISY] * 9

    assert visit(make_visits(PLAN), worker).retakes == 2


def test_no_attempt_begins_that_would_end_after_the_deadline(make_visits, worker, clock, visit):
    worker.attempt_s = 1.0
    worker.answers = [NOISY] * 9

    record = visit(make_visits(PLAN), worker, deadline=1.9)

    assert (record.status, record.retakes) == ("measured", 0)
    assert clock.now <= 1.9


@pytest.mark.parametrize(
    ("rounds", "budget_s", "expected"),
    [(4, None, 0), (3, None, 2), (5, 60.0, 2)],
    ids=["four rounds", "three rounds", "a time budget"],
)
def test_where_noisy_visits_are_made_up_for_later_none_is_made_again_at_once(
    make_visits, worker, visit, rounds, budget_s, expected
):
    visits = make_visits(replace(PLAN, rounds=rounds, time_budget_s=budget_s))
    worker.answers = [NOISY] * 99

    assert [visit(visits, worker).retakes for _ in range(3)] == [expected] * 3


def test_three_quiet_visits_are_enough_for_a_cell(make_visits, worker, visit):
    visits = make_visits(replace(PLAN, rounds=5))
    cell = visits.cells[0]
    worker.answers = [QUIET, NOISY, QUIET, QUIET]

    lacking = [visits.lacks_quiet(cell)]
    for _ in range(4):
        visit(visits, worker)
        lacking.append(visits.lacks_quiet(cell))

    assert lacking == [False, True, True, True, False]  # never measured: nothing to make up for


def test_a_visit_made_again_keeps_what_its_first_attempt_told_of_the_workspace(
    make_visits, worker, visit, measured
):
    beyond = {"beyond_cache": True, "canaries": [[1e-3, 5e-5]] * 5}
    worker.answers = [measured(NOISY, **beyond), measured(QUIET, **beyond)]

    visit(make_visits(PLAN), worker)

    assert [request["beyond_cache"] for request in worker.asked] == [None, True]
