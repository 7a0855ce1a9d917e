"""A ranking at sizes that somebody names, measured or predicted."""

from __future__ import annotations

from functools import cache

import pandas as pd
import pytest

from reports.comparison.ratios import Finding
from reports.judge.fit_groups import fit_groups
from reports.predict.questions import PredictionError
from reports.ranking.at_sizes import rankings_at, time_to_judge
from reports.ranking.ranking import Ranking
from tests.reports.ranking.some_run import frame, rows, table


@cache
def a_run():
    """`loop` was measured at small sizes only."""
    found = frame(
        rows({"sdpa": 1.0, "slow": 2.0}, widths=(64, 128, 256, 512, 1024)),
        rows({"loop": 900.0}, lengths=(8, 16, 32, 64, 128), widths=(64, 128, 256, 512)),
    )
    return table(found), fit_groups(found, compare=False)


def ranked(text: str, **changes) -> Ranking:
    whole, fits = a_run()
    (found,) = rankings_at(whole, fits, text, **changes)
    return found


def test_what_was_measured_there_is_ranked_and_the_rest_is_predicted() -> None:
    found = ranked("n=2048,d=512")

    (size,) = found.sizes
    assert [one.is_predicted for one in size.times] == [False, False, True]
    slow, loop = size.times[1:]
    assert slow.ratio is not None
    assert slow.ratio.finding is Finding.SLOWER
    assert slow.behind == slow.ratio
    assert slow.ratio.low is not None
    assert slow.ratio.low < slow.ratio.estimate < (slow.ratio.high or 0)
    assert loop.time_s == pytest.approx(900e-9 * 2048**2 * 512, rel=0.05)
    assert loop.low_s
    assert loop.high_s
    assert loop.low_s < loop.time_s < loop.high_s
    assert loop.ratio is not None
    assert loop.ratio.low is not None
    assert loop.ratio.low < 900 < (loop.ratio.high or 0)
    assert size.sentence.startswith("fastest at n = 2048, d = 512: sdpa, 2.1")
    assert size.sentence.endswith("; slow takes 2.00 times as long")


def test_beyond_all_sizes_everybody_is_predicted_with_workspace() -> None:
    (size,) = ranked("n=8192,d=2048", named=["slow"]).sizes

    assert all(one.is_predicted for one in size.times)
    assert [one.implementation for one in size.times] == ["sdpa", "slow", "loop"]
    assert size.times[0].workspace_bytes == pytest.approx(8192**2, rel=0.01)
    assert size.times[0].ratio
    assert size.times[0].ratio.estimate == pytest.approx(0.5, rel=0.02)
    assert size.sentence.startswith(
        "fastest at n = 8192, d = 2048: sdpa, about 138 s; slow takes about "
    )


def test_a_width_is_d_model_and_a_head_goes_by_its_name() -> None:
    assert ranked("n=2048,d=512,head_dim=64").sizes[0].times[0].time_s == pytest.approx(
        1e-9 * 2048**2 * 512, rel=0.01
    )
    with pytest.raises(PredictionError, match=r"nothing is known of head_dim = 32"):
        ranked("n=2048,d=512,head_dim=32")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n=2048", r"leaves open the d_model of sdpa \(64, 128, 256, 512 and 1 more\); add d=…"),
        ("n=3000", r"the cost depends on d, got n; give d=… as well"),
        ("x=3", r"'x' is no size"),
        ("n=2048,seq_len=512,d=64", r"seq_len is given by two names; leave seq_len out"),
        ("n=2048,d=512,w=9", r"the records have no window; leave w out"),
        ("n=2048,d", r"expected sizes such as n=65536"),
    ],
)
def test_sizes_that_do_not_name_one_cell_are_refused(text: str, message: str) -> None:
    with pytest.raises(PredictionError, match=message):
        ranked(text)


def test_cells_that_are_no_pair_have_a_ratio_without_an_interval() -> None:
    whole = table(frame(rows({"sdpa": 1.0}), rows({"block": 2.0}, kind="module")))

    ((size,),) = [one.sizes for one in rankings_at(whole, [], "n=2048,d=512")]

    block = size.of("block")
    assert block is not None
    assert block.ratio is not None
    assert (block.ratio.low, block.ratio.finding) == (None, Finding.UNTOLD)


def test_where_nothing_is_known_nothing_is_ranked() -> None:
    whole, _ = a_run()
    with pytest.raises(PredictionError, match="nothing was measured there"):
        rankings_at(whole, [], "n=5000,d=512")


def test_on_a_gpu_its_own_time_is_ranked_and_predicted() -> None:
    found = frame(rows({"sdpa": 1.0, "slow": 2.0}, device="cuda"))
    whole = table(found.assign(graph_time_s=found["time_s"] / 10))

    measured, predicted = (
        rankings_at(whole, [], at)[0] for at in ("n=2048,d=512", "n=8192,d=2048")
    )

    assert measured.is_gpu_time
    assert time_to_judge(whole.frame) == "graph_time_s"
    assert time_to_judge(pd.concat([whole.frame, found.assign(device="cpu")])) == "time_s"
    for ranking, seconds in ((measured, 0.215), (predicted, 13.8)):
        assert ranking.sizes[0].times[0].time_s == pytest.approx(seconds, rel=0.02)


def test_a_table_without_implementations_and_another_cost_are_refused() -> None:
    whole, fits = a_run()
    with pytest.raises(PredictionError, match="there is no implementation"):
        rankings_at(table(whole.frame.drop(columns="implementation")), fits, "n=1,d=1")
    memory = fit_groups(whole.frame, value="workspace_bytes", compare=False)
    with pytest.raises(PredictionError, match="ranks by time_s, got --value workspace_bytes"):
        rankings_at(whole, memory, "n=1,d=1")
