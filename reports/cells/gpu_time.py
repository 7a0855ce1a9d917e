"""Records with the time of the GPU alone in place of that of a call, where all cells have it.

The time of a call on a GPU includes its launch, which at small sizes is most of it and says
nothing about the kernel. A replay of the call from a CUDA graph has no launch.
"""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from reports.cells.case_columns import CASE_COLUMNS
from reports.cells.readings import REPLAYED
from reports.tables.columns import measured_rows, numbers_or_nan
from reports.tables.rounds import TURNS, Turn


def with_gpu_time(records: pd.DataFrame, judged: Collection[str] = ()) -> tuple[pd.DataFrame, bool]:
    """The records, and whether `time_s` of their rows on a GPU is now `graph_time_s`, and so TURNS.

    It is not where a measured cell on a GPU has no such time: the two kinds are not compared. Nor
    where costs were `judged`, and this time is none of them.
    """
    is_other = bool(judged) and REPLAYED not in judged
    if is_other or not {"device", REPLAYED, "time_s"} <= set(records.columns):
        return records, False
    on_gpu = records["device"].astype(str).str.startswith("cuda") & measured_rows(records)
    replayed = numbers_or_nan(records, REPLAYED).where(on_gpu)
    keys = [name for name in CASE_COLUMNS if name in records.columns]
    known = replayed[on_gpu].groupby([records.loc[on_gpu, name] for name in keys], dropna=False)
    if not on_gpu.any() or not (known.max() > 0).all():
        return records, False
    found = records.assign(time_s=replayed.where(on_gpu, records["time_s"]))
    if TURNS in records:
        turns = records[TURNS].where(
            ~on_gpu, records.loc[on_gpu, TURNS].map(_replays, na_action="ignore")
        )
        found = found.assign(**{TURNS: turns})
    return found, True


def _replays(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """The turns with the replay of each in place of its readings."""
    return tuple(
        turn._replace(samples_s=(turn.graph_time_s,)) for turn in turns if turn.graph_time_s
    )


def time_column(cells: pd.DataFrame, is_gpu_time: bool) -> str:
    """The column from which `time_s` of these cells comes, all of one device.

    `is_gpu_time` is what `with_gpu_time` said of the records.
    """
    on_gpu = "device" in cells and str(cells["device"].iloc[0]).startswith("cuda")
    return REPLAYED if is_gpu_time and on_gpu else "time_s"
