"""Which readings speak for a cell: undisturbed ones, and the quiet end of many."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import attnscale
from reports.cells.readings import (
    ENOUGH_READINGS,
    Mask,
    chosen_readings,
    marked_noisy,
    of_stretches,
    usual_scatter,
)
from reports.cells.scatter import Numbers
from reports.tables.rounds import DRAWN, READINGS, TYPICAL, of_processes, quiet_end

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def rounds(record: Make) -> Callable[..., pd.DataFrame]:
    """Records of rounds of passes: (worker, samples) pairs of one cell."""

    def make(*pairs: tuple[int, list[float]], **changes: Any) -> pd.DataFrame:
        rows = [
            record(
                schema=2,
                round=number,
                worker=worker,
                samples_s=tuple(samples),
                time_s=float(np.median(samples)),
                time_min_s=min(samples),
                **changes,
            )
            for number, (worker, samples) in enumerate(pairs)
        ]
        return pd.DataFrame(rows)

    return make


def test_a_process_speaks_by_the_quiet_end_of_all_its_rounds(rounds) -> None:
    frame = rounds((0, [5.0, 3.0]), (1, [4.0, 7.0]), (0, [2.0, 11.0, 13.0]))

    found = of_processes(frame).set_index("worker")

    assert found["time_s"].to_dict() == {0: 2.0, 1: 4.0}
    assert found[TYPICAL].to_dict() == {0: 5.0, 1: 5.5}
    assert found[READINGS].to_dict() == {0: 5, 1: 2}


def test_the_quiet_end_is_the_expected_quickest_of_five() -> None:
    rng = np.random.default_rng(11)
    few = rng.exponential(size=13)
    draws = [rng.choice(few, DRAWN, replace=False).min() for _ in range(20_000)]

    assert quiet_end(few) == pytest.approx(np.mean(draws), rel=0.02)
    assert quiet_end(few[:DRAWN]) == few[:DRAWN].min()
    assert quiet_end(few, drawn=1) == pytest.approx(few.mean())


def test_the_quiet_end_does_not_fall_with_the_number_of_readings() -> None:
    rng = np.random.default_rng(13)
    many = [quiet_end(rng.exponential(size=170)) for _ in range(300)]
    few = [quiet_end(rng.exponential(size=17)) for _ in range(300)]

    assert np.mean(many) == pytest.approx(np.mean(few), rel=0.1)
    assert np.mean(many) == pytest.approx(1 / DRAWN, rel=0.1)


def test_what_was_read_once_stays_known(rounds) -> None:
    frame = rounds((0, [5.0]), (0, [3.0]), (1, [4.0]))
    frame["workspace_bytes"] = [257.0, None, None]
    frame["throttle_reasons"] = [("power limit",), ("too hot",), None]
    frame["other_load"] = [0.1, 0.7, 0.2]

    found = of_processes(frame).set_index("worker")

    assert found.loc[0, "workspace_bytes"] == 257
    assert found.loc[0, "throttle_reasons"] == ("power limit", "too hot")
    assert found["other_load"].to_dict() == pytest.approx({0: 0.4, 1: 0.2})


def test_cells_and_conditions_stay_apart_and_what_was_not_measured_stays(rounds, record) -> None:
    frame = pd.concat(
        [
            rounds((0, [5.0]), (1, [4.0])),
            rounds((0, [3.0]), seq_len=257),
            rounds((0, [2.0]), dtype="bfloat16"),
            rounds((0, [7.0]), window=16),
            rounds((0, [8.0]), query_len=1),
            rounds((0, [9.0]), kv_heads="h/4", num_kv_heads=1),
            pd.DataFrame([record(schema=2, seq_len=509, status="skipped", time_s=None)]),
        ],
        ignore_index=True,
    )

    found = of_processes(frame)

    assert sorted(found["time_s"].dropna()) == [2.0, 3.0, 4.0, 5.0, 7.0, 8.0, 9.0]
    assert list(found["status"]) == ["measured"] * 7 + ["skipped"]
    assert of_processes(found) is found


def test_records_of_single_visits_are_left_as_they_are(record) -> None:
    frame = pd.DataFrame([record(round=number, samples_s=(0.3, 0.2)) for number in range(3)])

    assert of_processes(frame) is frame


def test_a_table_without_processes_is_cut_in_three_stretches_a_cell() -> None:
    frame = pd.DataFrame({"time_s": [7.0, 5.0, 6.0, 3.0, 4.0, 9.0, 2.0, 8.0]})
    cell = np.array([0, 0, 0, 0, 0, 0, 1, 1])

    found = of_stretches(frame, cell, "time_s")

    assert list(found["time_s"]) == [5.0, 3.0, 4.0, 2.0, 8.0]
    assert list(found[READINGS]) == [2, 2, 2, 1, 1]


def test_three_workers_or_more_are_stretches_of_their_own() -> None:
    readings = {11: [3.0, 7.0, 8.0, 9.0, 9.5], 13: [5.0, 7.5, 8.0, 9.0, 9.5], 17: [6.0] * DRAWN}
    rows = [
        (one, worker)
        for n in range(DRAWN)
        for worker, own in readings.items()
        for one in own[n : n + 1]
    ]
    frame = pd.DataFrame(rows, columns=["time_s", "worker"])

    found = of_stretches(frame, np.zeros(len(frame), dtype=np.int64), "time_s")

    assert dict(zip(found["worker"], found["time_s"], strict=True)) == {11: 3.0, 13: 5.0, 17: 6.0}


def test_few_readings_a_worker_are_no_stretch() -> None:
    frame = pd.DataFrame({"time_s": [7.0, 5.0, 6.0, 3.0, 2.0, 8.0], "worker": range(6)})

    found = of_stretches(frame, np.zeros(6, dtype=np.int64), "time_s")

    assert list(found["time_s"]) == [5.0, 3.0, 2.0]


def test_a_sorted_table_is_dealt_out() -> None:
    frame = pd.DataFrame({"time_s": np.arange(1.0, 31.0)})

    found = of_stretches(frame, np.zeros(30, dtype=np.int64), "time_s")

    assert found["time_s"].max() / found["time_s"].min() < 2


@pytest.mark.parametrize(
    "columns",
    [
        {"schema": ["public", "public"], "samples_s": ["x", "y"]},
        {"schema": [2, 2], "samples_s": ["[0.1, 0.2]", "[0.3]"]},
        {"schema": [2, 2]},
    ],
)
def test_a_table_that_only_looks_like_ours_is_left_alone(columns) -> None:
    frame = pd.DataFrame({"implementation": ["a", "a"], "time_s": [0.1, 0.2], **columns})

    assert of_processes(frame) is frame


def spells(readings: int) -> pd.DataFrame:
    """Readings of n² in a machine that is busy half of the time, and slows short calls more."""
    rng = np.random.default_rng(7)
    rows = []
    for n in (64, 128, 256, 512, 1024, 2048, 4096, 8192):
        slower = 1.0 + 0.8 * (n / 64) ** -0.2 * (rng.random(readings) < 0.6)
        rows.append(pd.DataFrame({"n": n, "time_s": 1e-9 * n**2 * slower}))
    return pd.concat(rows, ignore_index=True)


def test_enough_readings_are_judged_by_their_quiet_end_and_few_by_their_median() -> None:
    many = attnscale.fit(spells(2 * ENOUGH_READINGS), sizes={"n": "n"}, claim="n^2")
    few = attnscale.fit(spells(ENOUGH_READINGS - 1), sizes={"n": "n"}, claim="n^2")
    told = attnscale.fit(
        spells(2 * ENOUGH_READINGS), sizes={"n": "n"}, claim="n^2", statistic="median"
    )

    assert (many.statistic, few.statistic, told.statistic) == ("quiet", "median", "median")
    assert many.exponents["n"].estimate == pytest.approx(2.0, abs=0.005)
    assert abs(told.exponents["n"].estimate - 2.0) > 0.02
    assert (many.readings, many.cells) == (3 * 8, 8)


def test_of_a_run_the_median_is_what_is_typical(rounds) -> None:
    cells = [
        rounds(
            *((worker, [1e-9 * n**2, 1.1e-9 * n**2.1, 1.2e-9 * n**2.1]) for worker in range(3)),
            seq_len=n,
            key_len=n,
        )
        for n in (64, 128, 256, 512, 1024, 2048, 4096)
    ]
    frame = pd.concat(cells, ignore_index=True)

    quiet, typical, least = (
        attnscale.fit(frame, claim="n^2", statistic=one) for one in (None, "median", "min")
    )

    assert (quiet.statistic, typical.statistic, least.statistic) == ("quiet", "median", "min")
    assert quiet.exponents["n"].estimate == pytest.approx(2.0, abs=0.002)
    assert typical.exponents["n"].estimate == pytest.approx(2.1, abs=0.002)
    assert least.exponents["n"].estimate == pytest.approx(2.0, abs=0.002)


def test_a_count_has_no_quiet_end() -> None:
    frame = pd.DataFrame({"n": np.repeat([32, 64, 128, 256, 512, 1024], 40)})
    frame["workspace_bytes"] = 8 * frame["n"]

    found = attnscale.fit(frame, sizes={"n": "n"}, value="workspace_bytes", claim="n")

    assert (found.statistic, str(found.verdict)) == ("median", "confirmed")


# The last five cells are quiet: what is usual is told by the cells that nothing disturbed.
CELL = np.array([0, 0, 0, 1, 1, *(k for k in range(2, 7) for _ in range(3))], dtype=np.int64)
STEADY = [3.0, 3.03, 3.06] * 5
QUIET = np.zeros(CELL.size, dtype=np.bool_)


def chosen(noisy: Mask, cell: Numbers, times: Any, value: str = "time_s") -> Mask:
    return chosen_readings(pd.DataFrame({"noisy": noisy, value: times}), value, cell)


def test_without_times_every_undisturbed_visit_speaks() -> None:
    assert chosen(QUIET, CELL, np.arange(CELL.size), "energy_j").all()


def test_visits_of_a_slow_round_are_set_aside_cell_by_cell() -> None:
    times = np.array([1.0, 1.3, 1.09, 7.0, 7.5, *STEADY])
    assert chosen(QUIET, CELL, times).tolist() == [True, False, True, *[True] * 17]


def test_where_all_readings_scatter_widely_none_is_called_slow() -> None:
    rng = np.random.default_rng(0)
    cell = np.repeat(np.arange(40), 5)
    times = np.exp(rng.normal(0, 0.1, cell.size))
    quiet = np.zeros(200, dtype=np.bool_)
    assert chosen(quiet, cell, times).mean() > 0.98
    times[::5] *= 3.0
    found = chosen(quiet, cell, times)
    assert not found[::5].any()
    assert found.mean() > 0.78


def test_a_noisy_visit_does_not_set_the_pace_for_the_others() -> None:
    noisy = np.array([True, False, False, True, True, *[False] * 15])
    times = np.array([0.5, 1.3, 1.35, 7.0, 9.0, *STEADY])
    assert chosen(noisy, CELL, times)[:5].tolist() == [False, True, True, True, False]


@pytest.mark.parametrize("rounds", [2, 3, 5])
def test_the_usual_scatter_is_that_of_the_readings_whatever_a_few_slow_ones_do(rounds: int) -> None:
    rng = np.random.default_rng(rounds)
    cell = np.repeat(np.arange(400), rounds)
    logs = rng.normal(0, 0.03, cell.size)
    assert usual_scatter(logs, cell) == pytest.approx(0.03, rel=0.15)
    logs[rng.random(cell.size) < 0.05] += 1.0
    assert usual_scatter(logs, cell) == pytest.approx(0.03, rel=0.25)


@pytest.mark.parametrize("column", ["time_s", "elapsed (ms)", "joules"])
def test_only_the_readings_of_a_clock_tell_slow_visits(column: str) -> None:
    readings = np.array([3.0, 1.0, 1.0, 1.0, 1.0, *STEADY])
    assert chosen(QUIET, CELL, readings, column)[0] == (column == "joules")


def test_a_replay_is_marked_by_being_slower_than_its_call_and_not_by_the_calls_own_noise() -> None:
    frame = pd.DataFrame(
        {
            "noisy": [True, False, False, True],
            "time_s": [1.0, 1.0, 1.0, 1.0],
            "graph_time_s": [0.5, 1.01, 1.05, math.nan],
        }
    )

    assert marked_noisy(frame).tolist() == [True, False, False, True]
    assert marked_noisy(frame, "time_s").tolist() == [True, False, False, True]
    assert marked_noisy(frame, "graph_time_s").tolist() == [False, False, True, False]
    assert marked_noisy(frame[["graph_time_s"]], "graph_time_s").tolist() == [False] * 4


def test_a_gpu_that_lowered_its_clock_marks_a_replay_as_well() -> None:
    reasons = [("samples spread by 20%",), ["GPU clock lowered: power limit"], (), None]
    frame = pd.DataFrame({"noise_reasons": reasons, "time_s": 1.0, "graph_time_s": 0.9})

    assert marked_noisy(frame, "graph_time_s").tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("called", "replayed"),
    [
        (["1.0", "1.0", "?"], [1.0, 1.5, 1.5]),
        (
            pd.array([1.0, 1.0, None], dtype="Float64"),
            pd.array([None, 1.5, 1.5], dtype="Float64"),
        ),
    ],
)
def test_times_as_text_or_with_gaps_mark_what_they_tell(called: object, replayed: object) -> None:
    frame = pd.DataFrame({"time_s": called, "graph_time_s": replayed})

    assert marked_noisy(frame, "graph_time_s").tolist() == [False, True, False]
