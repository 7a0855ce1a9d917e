"""One record for all that was read of a cell in a round."""

import pytest

from bench.machine.os_counters import Usage
from bench.plan.cells import cells_of, unmeasured_record
from bench.plan.plan import Plan, Series
from bench.records import Record
from bench.sweep.ledger import SHORTEST_LOAD_S, round_record

SERIES = Series(implementations=("matmul",), seq_lens=(5,), d_models=(13,), head_dim=13)
BLANK = unmeasured_record(cells_of(Plan(series=(SERIES,)))[0])


def answer(time_s: float, **more) -> dict[str, object]:
    return {"time_s": time_s, "calls": 3, "cpu_time_s": None, "minor_faults": None, **more}


def used(wall_s: float) -> Usage:
    return Usage(
        wall_s=wall_s,
        cpu_time_s=0.5 * wall_s,
        minor_faults=2,
        waiting_s=0.1 * wall_s,
        busy_s=1.25 * wall_s,
        steal_s=0.2 * wall_s,
        frequency_hz=3e9,
    )


def state(**more) -> dict[str, object]:
    return {
        "clock_hz": None,
        "temperature_c": None,
        "power_w": None,
        "throttle_reasons": [],
        **more,
    }


def test_all_readings_stand_in_order_in_as_many_digits_as_clocks_tell():
    found = round_record(BLANK, [answer(0.123456789), answer(1e-5 / 3), answer(7.0)], None)

    assert found.samples_s == (0.12346, 3.3333e-06, 7.0)
    assert (found.time_s, found.time_min_s) == (0.12346, 3.3333e-06)
    assert (found.status, found.schema, found.calls_per_sample) == ("measured", 2, 3)
    assert Record.from_dict(found.to_dict()) == found


def test_what_was_read_once_stands_in_the_round_and_what_was_read_each_time_by_its_median():
    found = round_record(
        BLANK,
        [
            answer(1.0, cpu_time_s=1.5, minor_faults=7.0, workspace_bytes=11, energy_j=1 / 3),
            answer(1.0, cpu_time_s=2.5, minor_faults=1.0, graph_time_s=0.7, attention_kernel="a"),
            answer(1.0, cpu_time_s=9.5, minor_faults=3.0, graph_time_s=0.5),
        ],
        None,
    )

    assert (found.cpu_time_s, found.minor_faults) == (2.5, 3.0)
    assert (found.workspace_bytes, found.energy_j, found.graph_time_s) == (11, 0.33333, 0.5)
    assert found.attention_kernel == "a"


def test_what_nobody_knows_is_left_out_of_the_file():
    row = round_record(BLANK, [answer(1.0, gpu_state=None)], None).to_dict()

    unknown = {
        "cpu_time_s",
        "minor_faults",
        "energy_j",
        "graph_time_s",
        "throttle_reasons",
        "noisy",
    }
    assert not unknown & row.keys()
    assert not {"waiting_share", "other_load", "steal_share", "frequency_hz"} & row.keys()


def test_a_gpus_states_are_told_once_with_every_reason_that_slowed_it():
    states = [
        state(clock_hz=1.5e9, temperature_c=41.0, power_w=300.0, throttle_reasons=["power"]),
        state(clock_hz=1.7e9, temperature_c=47.0, power_w=310.0, throttle_reasons=["heat"]),
        state(throttle_reasons=None),
    ]

    found = round_record(BLANK, [answer(1.0, gpu_state=one) for one in states], None)

    assert (found.gpu_clock_hz, found.gpu_temperature_c, found.gpu_power_w) == (1.6e9, 47.0, 305.0)
    assert found.throttle_reasons == ("heat", "power")


def test_load_is_told_of_rounds_that_are_long_beside_the_ticks_of_the_machine():
    short, long = (
        round_record(BLANK, [answer(1.0)], used(wall_s)) for wall_s in (0.9 * SHORTEST_LOAD_S, 2.0)
    )

    assert (short.waiting_share, short.other_load, short.steal_share) == (None, None, None)
    shares = (long.waiting_share, long.other_load, long.steal_share)
    assert shares == pytest.approx((0.1, 0.75, 0.2))
    assert short.frequency_hz == long.frequency_hz == 3e9
