"""What is known of cells while a run grows, and what of it a resumed run knows again."""

from dataclasses import replace

import pytest

from bench.plan.cells import cells_of, unmeasured_record
from bench.plan.plan import Plan, Series
from bench.records import Record
from bench.sweep.forecast import Forecast
from bench.sweep.history import History

SERIES = Series(implementations=("matmul",), seq_lens=(5, 7, 11), d_models=(13,), head_dim=13)
SMALL, MIDDLE, LARGE = CELLS = cells_of(Plan(series=(SERIES,)))


@pytest.fixture
def history() -> History:
    return History(Forecast(lambda law, case: float(case.seq_len**2 * case.d_model)))


def record(cell=MIDDLE, status="measured", number=0, worker=0, **changes) -> Record:
    blank = replace(unmeasured_record(cell), round=number, worker=worker, status=status)
    return replace(blank, **{"samples_s": (0.3, 0.2), **changes})


def larger_is_refused(history) -> bool:
    found = history.forecast.objection(
        LARGE.implementation, LARGE.case, call_limit_s=1e9, available_bytes=2.0**50
    )
    return found is not None


def test_a_call_takes_what_its_quickest_reading_took_or_what_smaller_cells_predict(history):
    assert history.call_s(MIDDLE) == 0.0

    for time_s in (0.3, 0.2, 0.4):
        history.learn_reading(MIDDLE.key, time_s)

    assert history.call_s(MIDDLE) == 0.2
    assert history.call_s(LARGE) == pytest.approx(0.2 * 11**2 / 7**2)
    assert history.readings == {MIDDLE.key: 3}


def test_a_resumed_run_knows_readings_workspace_and_rounds_again(history):
    history.learn(record(workspace_bytes=17, number=3))
    history.learn(record(number=5))

    assert history.readings[MIDDLE.key] == 4
    assert (history.was_tried(MIDDLE), history.workspaces[MIDDLE.key]) == (True, 17)
    assert (history.newest_round, history.measured_in[MIDDLE.key]) == (5, 5)
    assert history.call_s(MIDDLE) == 0.2
    assert not history.was_tried(SMALL)


def test_a_workspace_that_cannot_be_measured_is_not_tried_for_again(history):
    history.learn(record(reason="python scalars", workspace_bytes=None))

    assert history.was_tried(MIDDLE)


@pytest.mark.parametrize("status", ["crashed", "timeout", "out_of_memory", "incorrect"])
def test_a_cell_that_was_lost_before_it_was_read_is_given_up_in_a_resumed_run_too(history, status):
    history.learn(record(status=status, samples_s=None))

    assert history.given_up == {MIDDLE.key}
    assert larger_is_refused(history) == (status in ("timeout", "out_of_memory"))


@pytest.mark.parametrize("status", ["incorrect", "unsupported", "skipped"])
def test_what_no_process_had_is_looked_at_again_but_has_its_record(history, status):
    history.learn(record(status=status, worker=None, samples_s=None))

    assert not history.given_up
    assert history.recorded == {MIDDLE.key}
    assert history.newest_round == -1


def test_a_cell_that_was_read_may_be_lost_once_and_takes_no_others_with_it(history):
    history.learn_reading(MIDDLE.key, 0.2)

    history.learn_loss(MIDDLE.key, "timeout")
    assert not history.given_up
    history.learn_loss(MIDDLE.key, "timeout")

    assert history.given_up == {MIDDLE.key}
    assert not larger_is_refused(history)
