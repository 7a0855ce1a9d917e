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


def test_counts_that_cross_the_other_way_are_not_told_beside_times_that_cross():
    frame = cells(line=line, square=square)
    squares = frame["implementation"] == "square"
    frame.loc[squares, "flops_executed"] = 3 * 48**2 * 2e6 / frame["seq_len"]

    assert {(one.slower, one.quicker) for one in every_crossing(frame)} == {("square", "line")}


def test_of_two_implementations_only_the_one_that_grows_faster_overtakes():
    frame = cells(line=line, square=square)

    assert {(one.slower, one.quicker) for one in every_crossing(frame)} == {("square", "line")}
    assert len(every_crossing(frame)) == 2


def test_cells_are_compared_under_equal_conditions_only():
    frame = pd.concat(
        [
            cells(square=square, line=line).assign(batch=1, **{"pass": "forward"}),
            cells(square=square, line=lambda n, d: 2 * line(n, d)).assign(
                batch=32, **{"pass": "forward"}
            ),
        ],
        ignore_index=True,
    )

    crossed = {(one.conditions, one.d_model): one.estimate for one in found(frame)}

    assert crossed == {
        ("batch 1", 32): pytest.approx(5 * 32),
        ("batch 1", 48): pytest.approx(5 * 48),
        ("batch 32", 32): pytest.approx(10 * 32),
        ("batch 32", 48): pytest.approx(10 * 48),
    }


@pytest.mark.parametrize(
    ("column", "one", "other"),
    [
        ("batch", 32, 1),
        ("pass", "forward", "forward+backward"),
        ("dtype", "float32", "bfloat16"),
        ("device", "cpu", "cuda"),
        ("threads", 1, 2),
        ("is_causal", True, False),
        ("mask", "none", "boolean"),
        ("query_len", 1, None),
    ],
)
def test_unequal_conditions_are_never_compared(column, one, other):
    frame = cells(square=square, line=line)
    is_square = frame["implementation"] == "square"
    frame[column] = pd.Series([one if own else other for own in is_square], dtype=object)

    assert found(frame) == []


def test_a_condition_of_one_mechanism_alone_may_differ():
    frame = cells(square=square, line=line)
    wide = frame[frame["implementation"] == "square"]
    windows = pd.concat([frame.assign(window=None), wide.assign(window=64)], ignore_index=True)
    windows = windows[(windows["implementation"] == "line") | windows["window"].notna()]

    assert [one.conditions for one in found(windows)] == ["", ""]


def test_several_windows_of_one_mechanism_are_told_apart():
    frame = cells(square=square, line=line)
    is_square = frame["implementation"] == "square"
    windows = pd.concat(
        [frame[~is_square], *(frame[is_square].assign(window=w) for w in (64.0, 128.0))],
        ignore_index=True,
    )

    assert [(one.conditions, one.estimate) for one in found(windows)] == [
        (f"square window {window}", pytest.approx(5 * width))
        for width in (32, 48)
        for window in (64, 128)
    ]


def test_a_batch_that_falls_as_the_sequence_grows_is_no_condition():
    frame = cells(square=square, line=line)
    frame["batch"] = max(LENGTHS) // frame["seq_len"]

    assert [one.conditions for one in found(frame)] == ["", ""]


def test_several_numbers_of_heads_of_one_width_are_told_apart():
    frame = cells(square=square, line=line)
    heads = pd.concat([frame.assign(num_heads=h) for h in (1, 2)], ignore_index=True)

    assert {one.conditions for one in found(heads)} == {"num_heads 1", "num_heads 2"}
    assert all(one.estimate == pytest.approx(5 * one.d_model) for one in found(heads))
