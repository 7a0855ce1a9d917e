"""What is said to be left of a sweep is honest, on a simulated clock."""

import pytest


@pytest.mark.parametrize("resident", [False, True], ids=["alone", "resident"])
@pytest.mark.parametrize("law", ["cheap", "dear"])
@pytest.mark.parametrize("rounds", [1, 2, 3, 5])
def test_after_a_fifth_of_the_visits_what_is_left_is_known_within_15_percent(
    simulate, plan, machine, rounds, law, resident
):
    done = simulate(plan(rounds=rounds, resident=resident), machine(law))

    at, left_s = done.told[len(done.told) // 5]
    assert left_s == pytest.approx(done.ended_at - at, rel=0.15, abs=1.0)


@pytest.mark.parametrize("changes", [{"rounds": 3}, {"time_budget_s": 30.0}])
def test_what_is_left_ends_at_nothing(simulate, plan, machine, changes):
    done = simulate(plan(**changes), machine("cheap"))

    assert done.told[-1][1] <= 0.1 * done.seconds


@pytest.mark.parametrize("rounds", [1, 5])
def test_a_visit_does_not_last_as_long_as_the_start_of_its_process(simulate, plan, machine, rounds):
    done = simulate(plan(rounds=rounds), machine("cheap"))

    # A visit to a cheap cell takes 0.03 s, a process 3 s to start.
    assert max(record.visit_s for record in done.measured) < 1.0


def test_under_a_budget_what_is_left_is_the_rest_of_it(simulate, plan, machine):
    own = machine("cheap")
    began = own.now

    done = simulate(plan(time_budget_s=60.0), own)

    for at, left_s in done.told:
        assert left_s == pytest.approx(max(0.0, began + 60.0 - at))
