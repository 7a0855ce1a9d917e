"""What disturbed a run, told once each and only where there is something to tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from reports.cells.cell_table import cell_table
from reports.conditions.disturbances import disturbances, harness, shortest_reading

Make = Callable[..., dict[str, Any]]


def told(rows: list[dict[str, Any]]) -> list[str]:
    frame = pd.DataFrame(rows)
    return disturbances(frame, cell_table(frame))


def test_a_quiet_run_has_nothing_to_tell(record: Make) -> None:
    quiet = {
        "noisy": False,
        "waiting_share": 0.04,
        "other_load": 0.2,
        "steal_share": 0.01,
        "throttle_reasons": ["idle", "voltage ceiling"],
    }
    assert told([record(round=r, **quiet) for r in range(3)]) == []
    assert told([record(round=r) for r in range(3)]) == []


@pytest.mark.parametrize(
    ("field", "values", "line"),
    [
        (
            "other_load",
            (0.1, 0.25, 1.9, None),
            "In 2 of 3 records other processes kept at least 0.25 cores busy (up to 1.9).",
        ),
        (
            "waiting_share",
            (0.0, 0.049, 0.45),
            "In 1 of 3 records threads that were ready waited for a core at least 5% of the time "
            "(up to 45%).",
        ),
        (
            "steal_share",
            (0.13, 0.02),
            "In 2 of 2 records the host gave at least 2% of the cores' time to other machines "
            "(up to 13%).",
        ),
        (
            "throttle_reasons",
            (["power limit", "idle"], ["too hot (driver)", "power limit"], [], None),
            "In 2 of 4 records the GPU was slowed: power limit (2) and too hot (driver) (1).",
        ),
    ],
)
def test_visits_beyond_a_limit_are_counted_in_one_sentence(
    record: Make, field: str, values: tuple[object, ...], line: str
) -> None:
    lost = record(status="crashed", time_s=None, time_min_s=None, **{field: values[0]})
    assert told([*(record(**{field: value}) for value in values), lost]) == [line]


def test_causes_of_noise_are_counted_whatever_their_numbers(record: Make) -> None:
    causes = (
        ["samples spread by 12%", "preempted 300 times a second"],
        ["samples spread by 31%", "samples spread by 31%"],
        ["samples drift by -9%", "other processes used 1.5 cores"],
    )
    rows = [record(noisy=True, noise_reasons=reasons) for reasons in causes]
    (line,) = told([*rows, record(noisy=False, noise_reasons=["load"])])
    assert line.partition(": ")[2] == (
        "samples spread by … (2), other processes used … cores (1), preempted … times a second (1) "
        "and samples drift by … (1)."
    )


COSTS = {"clock_resolution_s": 1e-9, "clock_cost_s": 5e-8, "loop_cost_s": 3e-8}


def test_the_harness_is_told_of_where_it_costs_a_thousandth_of_the_shortest_reading(
    record: Make,
) -> None:
    rows = [
        record(time_min_s=7e-6, calls_per_sample=100),
        record(time_min_s=0.5, calls_per_sample=1),
    ]
    frame = pd.DataFrame(rows)
    assert shortest_reading(frame) == (pytest.approx(7e-4), 100)
    assert harness(frame, {"harness": COSTS}) == [
        "The shortest reading lasts 700 µs (100 calls): the clock's resolution is 0.00014 % of it, "
        "and clock and loop cost 0.4 % of it, which is taken off."
    ]
    (coarse,) = harness(frame[1:], {"harness": COSTS | {"clock_resolution_s": 1e-3}})
    assert "(1 call): the clock's resolution is 0.2 % of it" in coarse
    assert harness(frame[1:], {"harness": COSTS}) == []


@pytest.mark.parametrize("costs", [None, 3, {}, {"loop_cost_s": "much"}])
def test_a_harness_that_was_not_measured_is_not_told_of(record: Make, costs: object) -> None:
    frame = pd.DataFrame([record(calls_per_sample=1)])
    assert harness(frame, {"harness": costs}) == []
    assert harness(frame.drop(columns="calls_per_sample"), {"harness": COSTS}) == []
    assert harness(frame.assign(calls_per_sample=None), {"harness": COSTS}) == []


def test_what_the_machine_added_is_told_with_the_cell_that_it_added_most_to(record: Make) -> None:
    rows = [
        record(seq_len=n, time_s=1.0, typical_s=1.0 + added, readings=readings)
        for n, added, readings in ((128, 0.05, 17), (257, 0.41, 13), (509, 0.02, 19))
    ]

    (line,) = told(rows)

    assert line.startswith("A typical call took 5% longer than the quiet cost")
    assert "at worst 41% (sdpa at n 257, d_model 192)" in line
    assert line.endswith("Each cell was read at least 13 times.")
