"""Where one implementation begins to take longer than another, read off measured cells."""

import pandas as pd
import pytest

from reports.overtaking.crossings import Crossing, crossings, every_crossing

LENGTHS = (64, 128, 256, 512, 1024)
COUNTS = {"square": lambda n, d: n * n * d, "line": lambda n, d: 3 * n * d * d}


def cells(scatter: float = 0.0, **laws) -> pd.DataFrame:
    rows = []
    for name, law in laws.items():
        for d_model in (32, 48):
            for length in LENGTHS:
                time_s = law(length, d_model)
                rows.append(
                    {
                        "implementation": name,
                        "seq_len": length,
                        "d_model": d_model,
                        "time_s": time_s,
                        "time_low_s": time_s * (1 - scatter),
                        "time_high_s": time_s * (1 + scatter),
                        "flops_executed": COUNTS[name](length, d_model),
                    }
                )
    return pd.DataFrame(rows)


def square(n: int, d: int) -> float:
    return 1e-9 * n * n * d


def line(n: int, d: int) -> float:
    return 5e-9 * n * d * d


def found(frame: pd.DataFrame) -> list[Crossing]:
    return list(crossings(frame, "square", "line"))


def test_a_crossing_is_found_at_each_width_between_the_cells_that_enclose_it():
    one, other = found(cells(square=square, line=line))

    assert (one.d_model, other.d_model) == (32, 48)
    assert one.estimate == pytest.approx(5 * 32)
    assert other.estimate == pytest.approx(5 * 48)
    assert (one.low, one.high) == (128, 256)
    assert (other.low, other.high) == (128, 256)
    assert (one.predicted, other.predicted) == (pytest.approx(3 * 32), pytest.approx(3 * 48))


def test_rounds_that_differ_widen_the_interval_and_leave_the_estimate():
    narrow, wide = (found(cells(scatter, square=square, line=line))[0] for scatter in (0.0, 0.3))

    assert wide.estimate == pytest.approx(narrow.estimate)
    assert (narrow.low, narrow.high) == (128, 256)
    assert (wide.low, wide.high) == (64, 512)


def test_what_is_slower_or_quicker_everywhere_crosses_nowhere():
    slower, _ = found(cells(square=square, line=lambda n, d: 1e-12 * n))
    quicker, _ = found(cells(square=square, line=lambda n, d: 1.0 * n))

    assert (slower.estimate, slower.low, slower.high) == (None, None, 64)
    assert (quicker.estimate, quicker.low, quicker.high) == (None, 1024, None)
    assert slower.ratio > 1 > quicker.ratio


def test_two_shared_lengths_are_too_few():
    frame = cells(square=square, line=line)
    few = frame[(frame["implementation"] == "square") | (frame["seq_len"] < 256)]

    assert found(few) == []


def test_of_two_implementations_only_the_one_that_grows_faster_overtakes():
    frame = cells(line=line, square=square)

    assert {(one.slower, one.quicker) for one in every_crossing(frame)} == {("square", "line")}
    assert len(every_crossing(frame)) == 2
