"""When a sweep ends, on a simulated clock: its time, its rounds, or what is known."""

from collections import Counter
from dataclasses import replace

import pytest

from bench.plan.plan import Plan, Series
from bench.plan.request import longest_call_s
from bench.process.supervisor import WorkerEnded
from bench.sweep.ledger import PROCESSES
from tests.daily import daily

GRID = Series(
    implementations=("matmul", "sdpa"), seq_lens=(64, 256, 1024), d_models=(64, 128), head_dim=64
)
CELLS = 2 * 3 * 2
LAWS = ["cheap", "dear"]


@pytest.fixture
def machine(machine):
    """Machines with readings so long that a sweep of a minute makes a few hundred passes."""

    def make(law="cheap"):
        own = machine(law)
        own.reading_s = 1e-2
        return own

    return make


def plan(**changes) -> Plan:
    fixed = {"series": (GRID,), "call_limit_s": 10.0, "threads": 1, "time_budget_s": 60.0}
    return Plan(**{**fixed, **changes})


def cells(records):
    return {(one.implementation, one.seq_len, one.d_model) for one in records}


SHORT = [(law, budget_s) for law in LAWS for budget_s in (10.0, 15.0, 20.0)]
ENOUGH = [("cheap", 30.0), ("dear", 30.0), ("dear", 60.0)]
MORE = [("cheap", 60.0), ("dear", 600.0)]


@pytest.mark.parametrize("case", daily([*SHORT, *ENOUGH, *MORE], most=len(SHORT + ENOUGH)), ids=str)
def test_a_time_budget_is_kept_and_every_cell_has_a_record(simulate, machine, case):
    law, budget_s = case

    done = simulate(plan(time_budget_s=budget_s), machine(law))

    assert done.seconds <= 1.1 * budget_s
    assert len(cells(done.records)) == CELLS
    assert done.once_a_round
    assert done.measured  # even a short budget measures something
    # At most one round is made in vain while the last seconds run out.
    assert done.schedule["rounds"] - len({one.round for one in done.measured}) in (0, 1)
    assert done.schedule["ended"] == "the time was spent"
    if case not in SHORT:
        assert_spent_by_three_processes_in_two_turns_at_least(done, budget_s)


def assert_spent_by_three_processes_in_two_turns_at_least(done, budget_s):
    assert done.seconds >= 0.9 * budget_s
    turns = Counter(number for _, number in {(one.round, one.worker) for one in done.measured})
    assert set(turns) == set(range(PROCESSES))
    assert min(turns.values()) >= 2
    assert max(turns.values()) - min(turns.values()) <= 1


@pytest.mark.parametrize("besides_s", [0.5, 2.0])
def test_a_time_budget_is_kept_where_checks_take_longer_than_calls(simulate, machine, besides_s):
    own = machine()
    own.besides_s = besides_s

    first = simulate(plan(), own)
    both = simulate(plan(time_budget_s=120.0), own, resume=True)

    assert_spent_by_three_processes_in_two_turns_at_least(first, 60.0)
    assert first.seconds <= 60.5 + besides_s
    assert first.seconds + both.seconds <= 120.5 + besides_s
    # Less than two thirds of the time goes into checks.
    assert min(first.readings.values()) >= 12
    checked = Counter(request["check"] for request in own.operations("visit"))
    assert checked[False] > checked[True] > 0


def test_with_time_enough_every_cell_is_read_many_times_costly_ones_too(simulate, machine):
    done = simulate(plan(time_budget_s=240.0), machine("dear"))

    assert len(done.readings) == CELLS
    assert min(done.readings.values()) == done.schedule["fewest_readings"] >= 40
    # The largest take a quarter of the passes, and would else leave none to the others.
    assert max(done.readings.values()) > 2 * min(done.readings.values())


def test_a_few_costly_cells_alone_are_read_in_every_turn(simulate, machine):
    own = machine("dear")
    alone = Series(implementations=("sdpa",), seq_lens=(1024,), d_models=(128,), head_dim=64)

    done = simulate(plan(series=(alone,)), own)

    asked = sorted(len(one.limits) for one in own.workers)
    assert 2 * asked[-PROCESSES] > asked[-1]  # each process has its turns, as its records say

    assert len(done.measured) == done.schedule["rounds"] == 6
    assert sum(done.readings.values()) > 0.8 * 40 / 0.7  # of some 40 s, 0.7 s a call


def test_few_cells_as_long_as_their_limit_are_all_read_by_every_process(simulate, machine):
    few = Series(implementations=("matmul", "sdpa"), seq_lens=(512, 1024), d_models=(128,))
    asked = plan(series=(few,), time_budget_s=240.0)
    limit_s = longest_call_s(asked)
    law = 0.95 * limit_s / (1024**2 * 128)

    done = simulate(replace(asked, call_limit_s=limit_s), machine(law))

    read = Counter((one.implementation, one.seq_len, one.worker) for one in done.measured)
    assert len(read) == 2 * 2 * PROCESSES
    assert done.seconds <= 1.1 * 240.0


def test_a_budget_that_the_checks_use_up_leaves_a_record_for_every_cell(simulate, machine):
    own = machine()
    own.check_s = 11.0

    done = simulate(plan(time_budget_s=10.0), own)

    assert len(done.records) == len(cells(done.records)) == CELLS
    assert {record.status for record in done.records} == {"skipped"}
    assert all("no time was left for it" in record.reason for record in done.records)
    assert (done.schedule["ended"], done.schedule["rounds"]) == ("the time was spent", 0)
    assert done.schedule["spent_s"] == done.seconds


def test_what_the_command_took_before_counts_as_well(simulate, machine):
    done = simulate(plan(), machine(), head_start_s=20.0)

    assert 0.9 * 60.0 <= done.seconds + 20.0 <= 1.1 * 60.0
    assert all(at_most_s == 60.0 for *_, at_most_s in done.told)
    spent = [spent_s for _, spent_s, _ in done.told]
    assert spent == sorted(spent)
    assert 20.0 < spent[0] < spent[-1] <= 60.1


def test_cells_without_time_say_so_and_are_measured_when_there_is_more(simulate, machine):
    own = machine(5e-8)
    first = simulate(plan(), own)
    skipped = [record for record in first.records if record.status == "skipped"]
    assert skipped
    assert all(one.reason.startswith("no time was left for it") for one in skipped)

    both = simulate(plan(time_budget_s=600.0), own, resume=True)

    assert both.records[: len(first.records)] == first.records
    assert cells(both.measured) >= cells(skipped)
    assert first.seconds + both.seconds <= 1.1 * 600.0
    assert both.schedule["spent_s"] == pytest.approx(first.seconds + both.seconds)


def test_a_budget_that_was_spent_is_not_spent_again_on_resuming(simulate, machine):
    own = machine()
    first = simulate(plan(time_budget_s=30.0), own)

    again = simulate(plan(time_budget_s=30.0), own, resume=True)

    assert again.records == first.records
    assert again.seconds <= 6.0
    assert again.schedule == first.schedule


@pytest.mark.parametrize("law", LAWS)
def test_a_plan_of_rounds_ends_with_them_or_with_its_time(simulate, machine, law):
    done = simulate(plan(rounds=4, turn_s=2.0), machine(law))

    rounds = {one.round for one in done.measured}
    assert rounds == {0, 1, 2, 3}
    assert len(done.measured) == 4 * CELLS
    assert done.schedule["ended"] == "all rounds were made"
    assert done.seconds < 40.0


@pytest.mark.parametrize("after_s", [4.0, 9.0, 12.0, 17.0, 21.0, 25.0])
def test_a_sweep_interrupted_at_any_moment_is_completed(simulate, machine, after_s):
    own = machine("dear")
    own.interrupted_at = own.now + after_s
    asked = plan(rounds=4, turn_s=4.0)
    with pytest.raises(KeyboardInterrupt):
        simulate(asked, own)

    done = simulate(asked, own, resume=True)

    assert done.once_a_round
    assert len(done.measured) == len(done.records)
    complete = [
        n for n, have in Counter(one.round for one in done.records).items() if have == CELLS
    ]
    assert 4 <= len(complete) <= 5
    assert (done.schedule["rounds"], done.schedule["ended"]) == (4, "all rounds were made")


def test_a_sweep_ends_when_the_exponents_are_known_and_looks_after_whole_cycles_only(
    simulate, machine
):
    own, asked = machine(), []

    def is_known(folder, precision):
        asked.append((len(own.operations("usage")) // 2, precision))  # two a turn
        return len(asked) == 3

    done = simulate(plan(precision=0.03, turn_s=1.0), own, is_known=is_known)

    assert asked == [(6, 0.03), (9, 0.03), (12, 0.03)]
    assert done.schedule["rounds"] == 12
    assert done.schedule["ended"].startswith("the exponents are known to ± 0.03")
    assert done.seconds < 40.0


def test_nobody_looks_before_every_cell_was_read_so_often_that_something_could_be_known(
    simulate, machine
):
    own, read = machine("dear"), []

    def is_known(folder, precision):
        read.append(min(own.readings.values()))
        return True

    # A pass a turn: the first call, and one reading of each turn.
    done = simulate(plan(precision=0.03, turn_s=0.1, time_budget_s=120.0), own, is_known=is_known)

    assert read == [1 + 9]
    assert done.schedule["rounds"] == 9 > 2 * PROCESSES


def test_looking_for_so_long_that_the_time_is_over_is_followed_by_no_further_turn(
    simulate, machine
):
    own = machine()

    def is_known(folder, precision):
        own.now += 1000.0
        return False

    done = simulate(plan(precision=0.03, turn_s=1.0), own, is_known=is_known)

    assert (done.schedule["rounds"], done.schedule["ended"]) == (6, "the time was spent")


def test_a_turn_whose_processes_were_all_ended_from_outside_is_followed_by_another(
    simulate, machine
):
    own = machine()

    def fault(operation, request):
        if operation == "trial" and len(own.operations("trial")) <= CELLS:
            raise WorkerEnded("crashed", "SIGTERM ended the worker 3 times")

    own.fault = fault
    done = simulate(plan(rounds=3), own)

    assert {(one.status, one.round) for one in done.records} == {("measured", 1), ("measured", 2)}


@pytest.mark.parametrize("precision", [None, 0.03])
def test_exponents_that_stay_unknown_do_not_outlast_the_time_and_without_a_wish_nobody_looks(
    simulate, machine, precision
):
    own, asked = machine(), []

    def is_known(folder, precision):
        asked.append(precision)
        own.now += 0.5
        return False

    done = simulate(plan(precision=precision, turn_s=2.0), own, is_known=is_known)

    assert 54.0 <= done.seconds <= 66.0
    assert (len(asked) > 3) == (precision is not None)


def test_a_run_whose_exponents_are_known_is_complete_and_a_narrower_wish_goes_on(simulate, machine):
    own, wide = machine(), plan(precision=0.03, turn_s=1.0)
    known = {"is_known": lambda folder, precision: precision > 0.02}
    first = simulate(wide, own, **known)

    assert simulate(wide, own, resume=True, **known).records == first.records
    narrower = simulate(plan(precision=0.01, turn_s=1.0), own, resume=True, **known)
    assert narrower.schedule["rounds"] > first.schedule["rounds"] == 6
