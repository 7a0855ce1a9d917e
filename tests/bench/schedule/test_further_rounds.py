"""Where noise spoiled visits, further rounds make up for them, on a simulated clock."""

from collections import Counter

import pytest

FURTHER = {"rounds": 4, "retakes": 3}


def visits_of_each_cell(records):
    return Counter((one.implementation, one.seq_len, one.d_model) for one in records)


def quiet(done):
    return visits_of_each_cell(one for one in done.measured if not one.noisy)


def assert_once_a_round(done):
    keys = Counter((o.implementation, o.seq_len, o.d_model, o.round) for o in done.records)
    assert set(keys.values()) == {1}


def test_a_quiet_machine_makes_the_rounds_of_the_plan_and_no_more(simulate, plan, machine):
    done = simulate(plan(**FURTHER), machine("cheap"))

    assert {one.round for one in done.records} == {0, 1, 2, 3}


def test_cells_that_were_disturbed_are_measured_again_when_that_is_over(simulate, plan, machine):
    own = machine("cheap")
    began = own.now
    own.disturbed = lambda now: now < began + 22.0

    done = simulate(plan(**FURTHER), own)

    assert min(quiet(done).values()) >= 3
    assert max(one.round for one in done.records) > 3
    assert_once_a_round(done)


def test_a_machine_that_is_never_quiet_ends_after_as_many_rounds_as_the_plan_allows(
    simulate, plan, machine
):
    own = machine("cheap")
    own.disturbed = lambda now: True

    done = simulate(plan(**FURTHER), own)

    assert {one.round for one in done.records} == set(range(7))
    assert not quiet(done)
    assert done.ended == "all rounds were made"


@pytest.mark.parametrize("limit_s", [40.0, 45.0, 50.0])
def test_further_rounds_end_with_the_time_limit_and_start_no_process_in_vain(
    simulate, plan, machine, limit_s
):
    own = machine("cheap")
    own.disturbed = lambda now: True

    done = simulate(plan(**{**FURTHER, "retakes": 20}, time_limit_s=limit_s), own)

    assert done.seconds <= limit_s
    assert_once_a_round(done)
    assert done.ended == "the time limit was reached"


@pytest.mark.parametrize("after_s", [5.0, 15.0, 25.0, 30.0, 35.0])
def test_a_sweep_interrupted_in_any_round_is_completed(simulate, plan, machine, after_s):
    own = machine("cheap")
    own.disturbed = lambda now: True
    own.interrupted_at = own.now + after_s
    with pytest.raises(KeyboardInterrupt):
        simulate(plan(**FURTHER), own)

    done = simulate(plan(**FURTHER), own, resume=True)

    assert {one.round for one in done.records} == set(range(7))
    assert set(visits_of_each_cell(done.records).values()) == {7}
    assert_once_a_round(done)
