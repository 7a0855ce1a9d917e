"""What makes a visit noisy, and that quiet visits are not called so."""

import pytest

from bench import noise
from bench.noise import Usage, read_usage, reasons


def usage(wall_s: float = 1.0, switches: int | None = 0) -> Usage:
    return Usage(wall_s=wall_s, cpu_time_s=1.0, minor_faults=0, involuntary_switches=switches)


STEADY = [1.0, 1.01, 0.99, 1.0, 1.02]


def test_a_quiet_visit_has_no_reasons():
    assert reasons(STEADY, usage(), 1.0, [1.0] * 9) == ()


def test_samples_that_spread_are_noisy():
    assert reasons([1.0, 1.3, 0.8, 1.1], usage(), None, []) == ("samples spread by 38%",)


def test_one_outlier_among_many_samples_is_not_noise():
    assert reasons([*STEADY, *STEADY, 50.0], usage(), None, []) == ()


def test_of_few_samples_the_whole_range_is_the_spread():
    assert reasons([0.297, 1.291, 0.286], usage(), None, []) == ("samples spread by 338%",)
    assert reasons([1.0, 1.02, 0.99], usage(), None, []) == ()


def test_one_sample_has_no_spread():
    assert reasons([1.0], usage(), None, []) == ()


def test_a_preempted_visit_is_noisy():
    assert reasons(STEADY, usage(2.0, 1000), None, []) == ("preempted 500 times a second",)


def test_a_platform_without_the_counter_is_not_blamed():
    assert reasons(STEADY, usage(2.0, None), None, []) == ()


def test_a_visit_too_short_to_be_judged_is_not_called_preempted():
    assert reasons(STEADY, usage(0.005, 5), None, []) == ()


def test_a_slow_canary_is_noisy_once_there_are_five_to_compare_with():
    assert reasons(STEADY, usage(), 1.5, [1.0] * 5) == ("canary 50% slower than usual",)
    assert reasons(STEADY, usage(), 1.5, [1.0] * 4) == ()
    assert reasons(STEADY, usage(), 0.5, [1.0] * 5) == ()


def test_every_reason_is_given():
    assert len(reasons([1.0, 2.0, 3.0, 4.0], usage(1.0, 999), 9.0, [1.0] * 5)) == 3


def test_counters_of_a_span_are_differences():
    later = Usage(wall_s=5.0, cpu_time_s=3.0, minor_faults=7, involuntary_switches=2)
    earlier = Usage(wall_s=2.0, cpu_time_s=1.0, minor_faults=7, involuntary_switches=None)

    assert later.since(earlier) == Usage(
        wall_s=3.0, cpu_time_s=2.0, minor_faults=0, involuntary_switches=None
    )


def test_where_the_platform_has_no_counters_they_are_unknown(monkeypatch):
    monkeypatch.setattr(noise, "resource", None)

    found = read_usage()

    assert (found.minor_faults, found.involuntary_switches) == (None, None)
    assert found.cpu_time_s is not None


def test_counters_never_run_backwards():
    pytest.importorskip("resource")
    before = read_usage()
    used = read_usage().since(before)

    assert used.wall_s >= 0
    assert used.minor_faults is not None
    assert used.minor_faults >= 0
