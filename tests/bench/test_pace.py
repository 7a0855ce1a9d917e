"""Which pace of the machine is the usual one, and what is off it."""

import numpy as np
import pytest

import bench.pace
from bench.pace import (
    BANDS,
    FEWEST_CANARIES,
    KINDS,
    NEWS,
    ONE_THREAD,
    Pace,
    Stream,
    UsualPace,
    kind_of_work,
    usual_pace,
)


def canaries(*parts: tuple[int, float], spread: float = 0.02) -> list[tuple[float, ...]]:
    """So many canaries around each time, shuffled."""
    random = np.random.default_rng(1)
    found = [seconds * random.lognormal(0, spread) for many, seconds in parts for _ in range(many)]
    random.shuffle(found)
    return [(seconds,) for seconds in found]


def test_few_canaries_tell_nothing():
    assert usual_pace(canaries((FEWEST_CANARIES - 1, 1.0)), "serial") is None
    assert usual_pace(canaries((FEWEST_CANARIES, 1.0)), "serial") is not None


def test_on_a_quiet_machine_nearly_all_canaries_are_at_the_usual_pace():
    heard = canaries((500, 1.0))
    pace = usual_pace(heard, "serial")

    assert pace is not None
    assert np.mean([pace.holds(one) for one in heard]) > 0.99


@pytest.mark.parametrize(
    ("quick", "slow", "usual"), [(300, 700, 1.0), (50, 950, 1.9), (0, 1000, 1.9), (1000, 0, 1.0)]
)
def test_the_quickest_pace_counts_that_the_machine_keeps_for_a_fifth_of_the_time(
    quick, slow, usual
):
    pace = usual_pace(canaries((quick, 1.0), (slow, 1.9)), "serial")

    assert pace is not None
    assert pace.holds((usual,))
    assert not pace.holds((2.9 - usual,))


@pytest.mark.parametrize("slower", [1.25, 1.35, 1.4, 1.5])
def test_a_slow_pace_near_the_quick_one_does_not_take_its_place(slower):
    heard = canaries((350, 1.0), (650, slower), spread=0.03)

    pace = usual_pace(heard, "serial")

    assert pace is not None
    held = [pace.holds(one) for one in heard if one[0] < 1.1]
    assert np.mean(held) > 0.7


def test_where_no_pace_is_kept_the_densest_counts():
    scattered = [(1.2**number,) for number in range(60)] + canaries((9, 5.0))

    pace = usual_pace(scattered, "serial")

    assert pace is not None
    assert pace.holds((5.0,))


def test_the_pace_of_all_threads_is_that_of_moments_in_which_the_single_one_was_undisturbed():
    free = [(1.0, 5.0)] * 30
    shared = [(1.9, 3.0)] * 70

    for kind in ("parallel", "serial, beyond the cache"):
        pace = usual_pace(free + shared, kind)

        assert pace is not None
        assert pace.holds((1.0, 5.0))
        assert not pace.holds((1.0, 3.0))
        assert not pace.holds((1.9, 5.0))


def test_the_band_is_as_wide_as_the_canaries_of_one_pace_differ():
    pace = usual_pace(canaries((100, 3.0)), "serial")

    assert pace is not None
    ((low_s, high_s),) = pace.bands
    assert high_s / low_s == pytest.approx(BANDS[ONE_THREAD])
    assert low_s < 3.0 < high_s


def test_drift_is_that_of_the_canary_farthest_off_and_none_within_the_bands():
    pace = Pace(bands=((0.8, 1.25), (1.6, 2.5)))

    assert pace.drift((1.0, 2.0)) is None
    assert pace.drift((1.5, 2.0)) == pytest.approx(0.5)
    assert pace.drift((1.3, 1.0)) == pytest.approx(-0.5)


def test_the_usual_pace_follows_what_is_heard_and_is_not_looked_for_at_every_visit():
    usual = UsualPace("serial")
    usual.hear(canaries((100, 2.0)))
    before = usual.pace()

    usual.hear(canaries((int(100 * NEWS) - 1, 1.0)))
    assert usual.pace() is before

    usual.hear(canaries((100, 1.0)))
    after = usual.pace()

    assert before is not None
    assert after is not None
    assert before.holds((2.0,))
    assert after.holds((1.0,))


def test_kinds_of_work_have_names_and_canaries():
    kinds = [
        kind_of_work(is_parallel=parallel, beyond_cache=beyond)
        for beyond in (False, True)
        for parallel in (False, True)
    ]

    assert kinds == list(KINDS)
    assert [len(KINDS[kind]) for kind in kinds] == [1, 2, 2, 3]


def test_the_canary_of_memory_reads_another_part_each_time_and_starts_again(monkeypatch):
    monkeypatch.setattr(bench.pace, "STREAMED_BYTES", 48)
    monkeypatch.setattr(bench.pace, "STREAMED_AT_ONCE", 16)
    stream, begins = Stream(), []

    for _ in range(4):
        begins.append(stream._at)
        stream()

    assert begins == [0, 4, 8, 0]
