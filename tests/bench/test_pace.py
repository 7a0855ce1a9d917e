"""Which pace of the machine is the usual one, and what is off it."""

import numpy as np
import pytest

from bench.pace import BANDS, FEWEST_CANARIES, NEWS, Pace, UsualPace, kind_of_work, usual_pace


def canaries(*parts: tuple[int, float], spread: float = 0.02) -> list[tuple[float, ...]]:
    """So many canaries around each time, shuffled."""
    random = np.random.default_rng(1)
    found = [seconds * random.lognormal(0, spread) for many, seconds in parts for _ in range(many)]
    random.shuffle(found)
    return [(seconds,) for seconds in found]


def test_few_canaries_tell_nothing():
    assert usual_pace(canaries((FEWEST_CANARIES - 1, 1.0))) is None
    assert usual_pace(canaries((FEWEST_CANARIES, 1.0))) is not None


def test_on_a_quiet_machine_nearly_all_canaries_are_at_the_usual_pace():
    heard = canaries((500, 1.0))
    pace = usual_pace(heard)

    assert pace is not None
    assert np.mean([pace.holds(one) for one in heard]) > 0.99


@pytest.mark.parametrize(
    ("quick", "slow", "usual"), [(300, 700, 1.0), (50, 950, 1.9), (0, 1000, 1.9), (1000, 0, 1.0)]
)
def test_the_quickest_pace_counts_that_the_machine_keeps_for_a_fifth_of_the_time(
    quick, slow, usual
):
    pace = usual_pace(canaries((quick, 1.0), (slow, 1.9)))

    assert pace is not None
    assert pace.holds((usual,))
    assert not pace.holds((2.9 - usual,))


def test_where_no_pace_is_kept_the_densest_counts():
    scattered = [(1.2**number,) for number in range(60)] + canaries((9, 5.0))

    pace = usual_pace(scattered)

    assert pace is not None
    assert pace.holds((5.0,))


def test_the_pace_of_all_threads_is_that_of_moments_in_which_the_single_one_was_undisturbed():
    free = [(1.0, 5.0)] * 30
    shared = [(1.9, 8.0)] * 70

    pace = usual_pace(free + shared)

    assert pace is not None
    assert pace.holds((1.0, 5.0))
    assert not pace.holds((1.0, 8.0))
    assert not pace.holds((1.9, 5.0))


def test_the_band_is_as_wide_as_the_canaries_of_one_pace_differ():
    pace = usual_pace(canaries((100, 3.0)))

    assert pace is not None
    ((low_s, high_s),) = pace.bands
    assert high_s / low_s == pytest.approx(BANDS[0])
    assert low_s < 3.0 < high_s


def test_drift_is_that_of_the_canary_farthest_off_and_none_within_the_bands():
    pace = Pace(bands=((0.8, 1.25), (1.6, 2.5)))

    assert pace.drift((1.0, 2.0)) is None
    assert pace.drift((1.5, 2.0)) == pytest.approx(0.5)
    assert pace.drift((1.3, 1.0)) == pytest.approx(-0.5)


def test_the_usual_pace_follows_what_is_heard_and_is_not_looked_for_at_every_visit():
    usual = UsualPace()
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


def test_kinds_of_work_have_names():
    assert [kind_of_work(False), kind_of_work(True)] == ["serial", "parallel"]
