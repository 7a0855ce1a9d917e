"""The answer in a few sentences: who is fastest, is it right, does the law hold?"""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd
import pytest

from reports.conditions.checks import check_table
from reports.judge.result import Verdict
from reports.page.headline import fastest, law, rightness
from reports.ranking.ranking import rankings
from reports.tables.rounds import TURNS, Turn
from reports.verdicts.verdict_rows import verdict_rows
from tests.reports.page.some_run import INFO, rows
from tests.reports.ranking.some_run import frame
from tests.reports.ranking.some_run import rows as rows_of
from tests.reports.verdicts.some_fits import judged


def test_names_are_counted_where_there_are_too_many_to_read() -> None:
    many = [judged(f"impl{index}", Verdict.CONFIRMED) for index in range(20)]
    sentence = law(verdict_rows([*many, judged("odd", Verdict.REFUTED)]))
    assert sentence == (
        "Time: n²·d confirmed for impl0, impl1, impl2, impl3 and 16 more, refuted for odd."
    )
    assert law([]) == "No claim was judged."


def test_each_run_is_told_by_itself_and_a_gpu_by_the_time_of_the_gpu_alone() -> None:
    fits = [
        replace(judged("sdpa", Verdict.CONFIRMED), group={"implementation": "sdpa", **of}, value=at)
        for of, at in (
            ({"run": "laptop"}, "time_s"),
            ({"run": "server", "pass": "forward"}, "time_s"),
            ({"run": "server", "pass": "forward"}, "graph_time_s"),
        )
    ]
    assert law(verdict_rows(fits)) == (
        "Time in laptop: n²·d confirmed for sdpa. "
        "Time of the GPU alone in server: n²·d confirmed for sdpa."
    )


def test_the_fastest_is_told_at_the_largest_size_that_can_be_compared() -> None:
    (ranking,) = rankings(pd.DataFrame(rows("slow", "quick")))
    sentence = fastest(ranking)
    assert sentence.startswith("Fastest at n = 2048, d = 256: quick with ")
    assert re.search(r"; slow takes (2|2\.0\d|1\.9\d) times as long\.$", sentence)


@pytest.mark.parametrize(("lead", "is_told"), [(3.0, True), (1.001, False)])
def test_another_is_the_fastest_at_other_sizes_only_where_that_is_sure(
    lead: float, is_told: bool
) -> None:
    found = frame(rows_of({"long": 1.0, "short": 2.0}))
    is_small = (found["implementation"] == "long") & (found["seq_len"] == 128)
    slower = found["time_s"].where(~is_small, 2.0 * lead * found["time_s"])
    turns = [(Turn(w, (t,), None),) for w, t in zip(found["worker"], slower, strict=True)]
    (ranking,) = rankings(found.assign(**{"time_s": slower, TURNS: turns}))

    assert ("at n = 128, d = 64 it is short" in fastest(ranking)) is is_told


def test_one_implementation_is_the_fastest_of_nothing() -> None:
    (ranking,) = rankings(pd.DataFrame(rows("alone")))
    assert fastest(ranking) == ""


def test_a_failed_check_is_named_and_no_check_is_no_success() -> None:
    checks = check_table({"run": INFO})
    assert "Wrong in a check or in a timed call: slow †" in rightness(checks, ["slow †"])
    assert rightness(check_table({}), []) == ""
    passed = checks[checks["fail"] == 0]
    assert rightness(passed[passed["implementation"] == "alpha"], []) == (
        "alpha is right: it passed 28 checks."
    )
