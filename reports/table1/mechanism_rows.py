"""The rows of the table: what was published, what was counted, what was measured, the verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reports.judge.fit_groups import fit_groups
from reports.judge.result import Fit, Verdict
from reports.laws.counted_terms import leading_crossing
from reports.table1.against_published import Counted, counted_path, counted_polynomial
from reports.table1.published import ATTENTION, CONTROL, ROWS, Published, law_of
from reports.tables.columns import TableError, no_column

SIZES = {"n": "seq_len", "d": "d_model"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One mechanism.

    `subject` is the implementation that was counted. `overtaken` says from which n on
    self-attention does more operations, by the leading terms: `3/2·d`; None for itself. `fit` is
    the time of `published.measured` judged under the published law, `control` the same under
    n^2*d; None where it was not measured. `window` is that of what was timed.
    """

    published: Published
    subject: str
    flops: Counted
    sequential: Counted
    path: Counted
    overtaken: str | None
    fit: Fit | None
    control: Fit | None
    window: int | None

    @property
    def counts_hold(self) -> bool:
        """Whether operations, sequential operations and path all grow as published."""
        return self.flops.holds and self.sequential.holds and self.path.holds


def table_rows(
    mechanisms: Mapping[str, Any],
    records: pd.DataFrame,
    info: Mapping[str, Any],
    published: Sequence[Published] = ROWS,
) -> list[Row]:
    """The rows, from the document of `bench.counting.mechanisms` and the records of a run.

    `info` is the run's own description.

    Raises:
        TableError: the run has measured none of the mechanisms, or is no run of ours.

    """
    if "implementation" not in records:
        raise no_column(records, "implementation")
    rows = []
    for one in published:
        found = mechanisms["rows"][one.row]
        rows.append(
            Row(
                published=one,
                subject=found["counted"],
                flops=counted_polynomial(found["flops"]["terms"], one.time),
                sequential=counted_polynomial(
                    found["sequential_operations"]["terms"], one.sequential
                ),
                path=counted_path(found["paths"], one.path),
                overtaken=None if one.row == ATTENTION else _overtaken(mechanisms, one.row),
                fit=_judged(records, info, one, str(law_of(one.time).only(SIZES))),
                control=_judged(records, info, one, CONTROL),
                window=_window(records, one),
            )
        )
    if all(row.fit is None for row in rows):
        names = ", ".join(one.measured for one in published)
        raise TableError(
            f"the run has measured none of {names}; run attnscale table1 without a run to measure"
        )
    return rows


def verdicts_that_count(rows: Sequence[Row]) -> list[Verdict]:
    """Those of the table as a whole: of the counts, and of each time under its published law."""
    counts = [Verdict.CONFIRMED if row.counts_hold else Verdict.REFUTED for row in rows]
    times = [Verdict.INCONCLUSIVE if row.fit is None else row.fit.verdict for row in rows]
    return [*counts, *times]


def _overtaken(mechanisms: Mapping[str, Any], row: str) -> str:
    attention, other = (mechanisms["rows"][name]["flops"]["terms"] for name in (ATTENTION, row))
    factor, size = leading_crossing(attention, other)
    return size.unicode() if factor == 1 else f"{factor}·{size.unicode()}"


def _judged(
    records: pd.DataFrame, info: Mapping[str, Any], published: Published, claim: str
) -> Fit | None:
    own = records[records["implementation"] == published.measured]
    if own.empty or "time_s" not in own or own["time_s"].isna().all():
        return None
    (fit,) = fit_groups(
        own.dropna(axis=1, how="all"),
        sizes=SIZES,
        by=["implementation"],
        claim=claim,
        info=info,
        compare=False,
    )
    return fit


def _window(records: pd.DataFrame, published: Published) -> int | None:
    if "window" not in records:
        return None
    windows = records.loc[records["implementation"] == published.measured, "window"].dropna()
    return int(windows.iloc[0]) if len(windows) else None
