"""What makes a visit noisy, and that quiet visits are not called so."""

from typing import Any

import pytest

from bench.counters import Usage
from bench.noise import Evidence, reasons

STEADY = [1.0, 1.01, 0.99, 1.0, 1.02]


def usage(wall_s: float = 1.0, **counters: Any) -> Usage:
    known = {"cpu_time_s": wall_s, "minor_faults": 0, "involuntary_switches": 0, **counters}
    return Usage(wall_s=wall_s, **known)


def noise(samples_s=STEADY, used: Usage | None = None, **evidence: Any) -> tuple[str, ...]:
    return reasons(Evidence(samples_s=samples_s, usage=used or usage(), **evidence))


def test_a_quiet_visit_has_no_reasons():
    everything = usage(waiting_s=0.0, busy_s=1.0, steal_s=0.0, frequency_hz=3e9)

    assert noise(used=everything) == ()


def test_samples_that_spread_are_noisy():
    assert noise([1.0, 1.3, 0.8, 1.1]) == ("samples spread by 38%",)


def test_one_outlier_among_many_samples_is_not_noise():
    assert noise([*STEADY, *STEADY, 50.0]) == ()


def test_of_few_samples_the_whole_range_is_the_spread():
    assert noise([0.297, 1.291, 0.286]) == ("samples spread by 338%",)
    assert noise([1.0, 1.02, 0.99]) == ()


def test_few_samples_may_range_further_than_many_may_spread():
    assert noise([1.0, 1.0, 1.2]) == ()
    assert noise([1.0, 1.0, 1.2, 1.2]) == ("samples spread by 18%",)


def test_one_sample_has_no_spread():
    assert noise([1.0]) == ()


@pytest.mark.parametrize(
    ("last", "found"),
    [
        (1.07, ()),
        (1.09, ("samples drift by +9%",)),
        (0.93, ()),
        (0.91, ("samples drift by -9%",)),
    ],
)
def test_samples_that_grow_or_shrink_are_noisy_from_nine_samples_on(last, found):
    middle = (1 + last) / 2

    assert noise([1.0] * 3 + [middle] * 3 + [last] * 3) == found
    assert noise([1.0] * 3 + [middle] * 2 + [last] * 3) == ()


@pytest.mark.parametrize(
    ("counters", "found"),
    [
        ({"involuntary_switches": 399}, ()),
        ({"involuntary_switches": 1000}, ("preempted 500 times a second",)),
        ({"waiting_s": 0.09}, ()),
        ({"waiting_s": 0.5}, ("waited 25% of the time for a core",)),
        ({"busy_s": 2.4}, ()),
        ({"busy_s": 5.0}, ("other processes used 1.5 cores",)),
        ({"steal_s": 0.09}, ()),
        ({"steal_s": 0.4}, ("the host took 0.2 cores away",)),
    ],
)
def test_each_counter_has_its_own_reason_and_its_own_threshold(counters, found):
    assert noise(used=usage(2.0, **counters)) == found


def test_a_platform_without_counters_is_not_blamed():
    nothing = usage(2.0, cpu_time_s=None, involuntary_switches=None)

    assert noise(used=nothing) == ()


def test_a_visit_too_short_to_be_judged_is_called_nothing():
    assert noise(used=usage(0.009, involuntary_switches=5, waiting_s=0.005)) == ()
    assert noise(used=usage(0.011, involuntary_switches=5)) == ("preempted 455 times a second",)


@pytest.mark.parametrize("counter", ["busy_s", "steal_s"])
def test_a_few_ticks_of_the_machines_counters_are_no_load(counter):
    # A tick of 10 ms on each of six cores, within 20 ms, would read as three cores.
    short = usage(0.02, cpu_time_s=0.0, **{counter: 0.06})
    long = usage(2.0, cpu_time_s=0.0, **{counter: 6.0})

    assert noise(used=short) == ()
    assert len(noise(used=long)) == 1


@pytest.mark.parametrize(
    ("undisturbed", "off_pace", "found"),
    [
        (None, None, ()),
        (3, 0.35, ()),
        (2, 0.35, ("few samples undisturbed",)),
        (0, 0.35, ("no undisturbed sample, the canary 35% slower",)),
        (0, -0.27, ("no undisturbed sample, the canary 27% quicker",)),
        (0, None, ("no undisturbed sample",)),
    ],
)
def test_a_visit_with_few_undisturbed_samples_or_none_is_noisy_whichever_way_the_pace_was_off(
    undisturbed, off_pace, found
):
    assert noise(undisturbed=undisturbed, taken=9, off_pace=off_pace) == found


def test_each_reason_for_a_lower_gpu_clock_is_given():
    assert noise(throttling=["power cap", "heat"]) == (
        "GPU clock lowered: power cap",
        "GPU clock lowered: heat",
    )


def test_every_reason_is_given():
    loaded = usage(involuntary_switches=999, waiting_s=0.5, busy_s=3.0, steal_s=0.5)

    found = noise([1.0, 2.0, 3.0, 4.0], loaded, undisturbed=0)

    assert len(found) == 6
