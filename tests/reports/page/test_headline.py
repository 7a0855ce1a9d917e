"""What was found, in one or two sentences."""

from __future__ import annotations

import re

import pandas as pd

from reports.figures.drawing.split import views
from reports.judge.result import Verdict
from reports.page.headline import fastest, findings
from reports.verdicts.verdict_rows import verdict_rows
from tests.reports.page.some_run import rows
from tests.reports.verdicts.some_fits import judged


def test_the_headline_counts_when_there_are_too_many_to_name() -> None:
    many = [judged(f"impl{index}", Verdict.CONFIRMED) for index in range(20)]
    rows_ = verdict_rows([*many, judged("odd", Verdict.REFUTED)])
    assert findings(rows_) == ["Time: 20 of 21 claims confirmed, 1 refuted (odd)."]
    assert findings([]) == ["No claim was judged."]


def test_the_fastest_is_told_at_the_largest_size_that_can_be_compared() -> None:
    frame = pd.DataFrame(rows("slow", "quick"))
    sentence = fastest(views(frame))
    assert sentence.startswith("Fastest at n = 2048, d_model 256 ")
    assert "quick with" in sentence
    assert re.search(r"(1\.9|2\.0)\d times as fast as slow", sentence)
