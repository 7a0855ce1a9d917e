"""A time budget is kept and well spent, on a simulated clock."""

from collections import Counter
from collections.abc import Sequence

import pytest

from bench.records import Record, read_info

CELLS = 2 * 3 * 2


def once_a_round(records: Sequence[Record]) -> bool:
    visits = Counter((r.implementation, r.seq_len, r.d_model, r.round) for r in records)
    return set(visits.values()) == {1}


def cells(records: Sequence[Record]) -> Counter[tuple[object, ...]]:
    return Counter((r.implementation, r.seq_len, r.d_model) for r in records)


@pytest.mark.parametrize("law", ["cheap", "dear"])
@pytest.mark.parametrize("budget_s", [10.0, 15.0, 20.0, 30.0, 60.0, 180.0, 600.0])
def test_a_time_budget_is_kept_and_every_cell_has_a_record(simulate, plan, machine, budget_s, law):
    done = simulate(plan(time_budget_s=budget_s), machine(law))

    assert done.seconds <= 1.1 * budget_s
    assert len(cells(done.records)) == CELLS
    assert once_a_round(done.records)


@pytest.mark.parametrize("law", ["cheap", "dear"])
@pytest.mark.parametrize("budget_s", [30.0, 60.0, 180.0])
def test_a_time_budget_is_spent(simulate, plan, machine, budget_s, law):
    done = simulate(plan(time_budget_s=budget_s), machine(law))

    assert done.seconds >= 0.9 * budget_s


@pytest.mark.parametrize("budget_s", [10.0, 15.0, 20.0])
def test_even_a_short_budget_measures_something(simulate, plan, machine, budget_s):
    # Starting, checking and trying take some 5 s, a round's process and ceiling 4 s.
    done = simulate(plan(time_budget_s=budget_s), machine("cheap"))

    assert done.measured


@pytest.mark.parametrize("law", ["cheap", "dear"])
@pytest.mark.parametrize("budget_s", [30.0, 60.0, 180.0])
def test_where_three_rounds_can_be_paid_there_are_three_workers(
    simulate, plan, machine, budget_s, law
):
    done = simulate(plan(time_budget_s=budget_s), machine(law))

    assert len(done.workers) >= 3
    assert {record.round for record in done.measured} >= {0, 1, 2}


def test_a_budget_that_the_checks_use_up_leaves_a_record_for_every_cell(simulate, plan, machine):
    done = simulate(plan(time_budget_s=10.0), machine("cheap", check_s=11.0))

    assert len(cells(done.records)) == CELLS
    assert {record.status for record in done.records} == {"skipped"}
    assert all("no time was left for it" in str(record.reason) for record in done.records)


def test_what_the_command_took_before_counts_as_well(simulate, plan, machine):
    done = simulate(plan(time_budget_s=60.0), machine("cheap"), head_start_s=20.0)

    assert 0.9 * 60.0 <= done.seconds + 20.0 <= 1.1 * 60.0


def test_with_time_enough_every_cell_is_visited_many_times(simulate, plan, machine):
    done = simulate(plan(time_budget_s=180.0), machine("dear"))

    assert min(cells(done.measured).values()) >= 5


def test_a_series_whose_readings_scatter_gets_more_visits(simulate, plan, machine):
    own = machine("dear")
    own.scatter = {"matmul": (1.0, 1.4, 0.8, 1.2, 0.7)}

    done = simulate(plan(time_budget_s=40.0), own)

    assert done.visits_of("matmul") > done.visits_of("sdpa")


def test_cells_without_time_say_so_and_are_measured_when_there_is_more(simulate, plan, machine):
    own = machine(5e-8)
    first = simulate(plan(time_budget_s=60.0), own)
    skipped = [record for record in first.records if record.status == "skipped"]
    assert skipped
    assert all(str(one.reason).startswith("no time was left for it") for one in skipped)

    both = simulate(plan(time_budget_s=600.0), own, resume=True)

    assert both.records[: len(first.records)] == first.records
    assert once_a_round(both.records)
    assert cells(both.measured).keys() >= cells(skipped).keys()
    assert first.seconds + both.seconds <= 1.1 * 600.0


def test_a_budget_that_was_spent_is_not_spent_again_on_resuming(simulate, plan, machine, tmp_path):
    own = machine("cheap")
    first = simulate(plan(time_budget_s=30.0), own)

    again = simulate(plan(time_budget_s=30.0), own, resume=True)

    assert again.records == first.records
    assert again.seconds <= 6.0
    assert read_info(tmp_path / "run")["schedule"]["ended"] == "the time budget was spent"


def test_a_time_limit_leaves_a_plan_that_fits_as_it_is(simulate, plan, machine):
    free = simulate(plan(rounds=3, resident=False, time_limit_s=300.0), machine("dear"))

    assert set(cells(free.measured).values()) == {3}
    assert len(free.workers) == 3


@pytest.mark.parametrize("limit_s", [30.0, 60.0])
def test_a_time_limit_cuts_a_plan_that_does_not_fit(simulate, plan, machine, limit_s):
    done = simulate(plan(rounds=50, time_limit_s=limit_s), machine("dear"))

    assert done.seconds <= 1.1 * limit_s
    assert len(cells(done.records)) == CELLS
    assert once_a_round(done.records)
