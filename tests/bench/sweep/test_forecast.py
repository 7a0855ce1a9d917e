"""Which cells are not run, and why, from smaller ones and the law they claim."""

from dataclasses import replace

import pytest

from bench.plan.cells import Cell
from bench.sweep.forecast import Forecast
from implementations.case import Case
from implementations.catalogue import suite

MATMUL = suite()["matmul"]
ONLINE = suite()["online_softmax"]
PLENTY = 2.0**50


def law_value(law: str, case: Case) -> float:
    laws = {
        "n^2*d": case.seq_len**2 * case.d_model,
        "n": case.seq_len,
        "1": 1,
    }
    return float(laws[law])


def case(seq_len: int, head_dim: int = 64, **condition) -> Case:
    return Case(seq_len=seq_len, head_dim=head_dim, **condition)


@pytest.fixture
def forecast() -> Forecast:
    return Forecast(law_value)


def see(forecast, seq_len, time_s, workspace_bytes=None, implementation=MATMUL, **condition):
    point = case(seq_len, **condition)
    forecast.observe(implementation.name, point, time_s, workspace_bytes)


def objection(forecast, point, implementation=MATMUL, limit=1.0, available=PLENTY):
    return forecast.objection(implementation, point, call_limit_s=limit, available_bytes=available)


def test_nothing_is_predicted_before_anything_was_seen(forecast):
    assert forecast.time_s(MATMUL, case(512)) is None
    assert forecast.memory_bytes(MATMUL, case(512)) is None
    assert objection(forecast, case(512)) is None


def test_time_grows_by_the_law_that_is_claimed(forecast):
    see(forecast, 256, 0.01)

    assert forecast.time_s(MATMUL, case(1024)) == pytest.approx(0.16)
    assert forecast.time_s(MATMUL, case(256, 128)) == pytest.approx(0.02)


def test_a_cell_over_the_time_limit_is_skipped_with_the_prediction_as_reason(forecast):
    see(forecast, 256, 0.1)

    assert objection(forecast, case(512)) is None
    assert objection(forecast, case(1024)) == (
        "predicted 1.6 s a call, over the limit of 1 s; --call-limit 3s measures it"
    )


def test_one_disturbed_observation_does_not_cost_a_cell(forecast):
    see(forecast, 128, 0.001)
    see(forecast, 256, 0.004)
    see(forecast, 512, 9.0)

    assert forecast.time_s(MATMUL, case(1024)) == pytest.approx(0.064)
    assert objection(forecast, case(1024)) is None


def test_small_cells_that_are_mostly_overhead_do_not_frighten(forecast):
    for seq_len in (2, 4, 8):
        see(forecast, seq_len, 0.001)
    for seq_len in (256, 512, 1024):
        see(forecast, seq_len, 0.001 + 1e-9 * seq_len**2 * 64)

    assert forecast.time_s(MATMUL, case(2048)) < 0.4


def test_a_smaller_cell_is_predicted_from_the_smallest_that_was_seen(forecast):
    see(forecast, 1024, 1.0)
    see(forecast, 2048, 4.0)

    assert forecast.time_s(MATMUL, case(512)) == pytest.approx(0.25)


def test_what_was_seen_under_other_conditions_says_nothing(forecast):
    see(forecast, 256, 100.0)
    other = [
        case(512, dtype="bfloat16"),
        case(512, is_causal=True),
        case(512, mask="float"),
        case(512, pass_="forward_backward"),
        case(512, device="cuda"),
    ]

    assert [forecast.time_s(MATMUL, point) for point in other] == [None] * 5
    assert forecast.time_s(ONLINE, case(512)) is None


def test_memory_is_tensors_and_the_workspace_grown_by_its_law(forecast):
    see(forecast, 1024, 0.01, workspace_bytes=2**23)

    point = case(4096)
    assert forecast.memory_bytes(MATMUL, point) == point.tensor_bytes + 16 * 2**23


def test_a_workspace_that_claims_not_to_grow_is_not_grown(forecast):
    see(forecast, 1024, 0.01, workspace_bytes=2**22, implementation=ONLINE)
    see(forecast, 2048, 0.04, workspace_bytes=2**22, implementation=ONLINE)

    point = case(2**15)
    assert forecast.memory_bytes(ONLINE, point) == point.tensor_bytes + 2**22


def test_a_cell_beyond_the_memory_there_is_is_skipped_with_both_figures(forecast):
    see(forecast, 1024, 1e-6, workspace_bytes=2**23)

    refused = objection(forecast, case(16384), available=2.0**31)

    assert (
        refused == "predicted to need 2.02 GiB, more than 80% of the 2 GiB that a process may take"
    )
    assert objection(forecast, case(8192), available=2.0**31) is None


def test_inputs_alone_may_be_too_large_before_anything_was_seen(forecast):
    point = case(2**20)

    assert point.tensor_bytes == 2**30
    assert "more than 80% of the" in str(objection(forecast, point, available=2.0**30))


def test_a_later_reading_without_workspace_keeps_the_one_that_is_known(forecast):
    see(forecast, 1024, 0.01, workspace_bytes=2**23)
    see(forecast, 1024, 0.02)

    assert forecast.memory_bytes(MATMUL, case(1024)) == case(1024).tensor_bytes + 2**23


def test_of_several_readings_of_a_cell_the_quickest_counts(forecast):
    see(forecast, 1024, 0.02)
    see(forecast, 1024, 0.01)
    see(forecast, 1024, 0.03)

    assert forecast.time_s(MATMUL, case(1024)) == 0.01


def test_what_needs_too_much_memory_is_said_to_even_after_a_smaller_cell_timed_out(forecast):
    see(forecast, 1024, 0.01, workspace_bytes=2**23)
    forecast.observe_loss("matmul", case(2048), "timeout")

    refused = objection(forecast, case(2**24), available=2.0**44)

    assert refused == "predicted to need 2 PiB, more than 80% of the 16 TiB that a process may take"
    assert "ended with timeout" in objection(forecast, case(4096), available=2.0**44)


def test_a_workspace_that_was_counted_is_known_before_the_first_call(forecast):
    forecast.know_workspace("matmul", case(2**22), 2**47)

    assert str(objection(forecast, case(2**22), available=2.0**40)).startswith(
        "predicted to need 128 TiB, more"
    )


def test_a_loss_takes_larger_cells_with_it_and_no_others(forecast):
    lost = case(512, 64, num_heads=2)
    forecast.observe_loss("matmul", lost, "timeout")

    for larger in (replace(lost, seq_len=1024, key_len=1024), replace(lost, num_heads=4)):
        assert objection(forecast, larger) == f"a smaller cell, {lost}, ended with timeout"
    wider_but_shorter = case(256, 128, num_heads=2)
    for other in (lost, case(256, 64, num_heads=2), wider_but_shorter):
        assert objection(forecast, other) is None
    assert objection(forecast, replace(lost, seq_len=1024, dtype="bfloat16")) is None
    assert objection(forecast, case(1024, num_heads=2), implementation=ONLINE) is None


def test_cells_are_compared_by_the_work_that_they_claim(forecast):
    matmul, online = (Cell(implementation=one, case=case(256)) for one in (MATMUL, ONLINE))

    assert forecast.work(matmul) == forecast.work(online) == 256**2 * 64
