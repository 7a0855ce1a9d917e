"""Times of all mechanisms, of known laws, as a run records them, and what they say."""

from __future__ import annotations

from functools import cache

import pandas as pd

from reports.table1.mechanism_rows import Row, table_rows
from tests.reports.conftest import make_sweep
from tests.reports.table1.counts import MECHANISMS

LAWS = {
    "sdpa": (1, "n^2*d"),
    "rnn": (2, "n*d^2"),
    "convolution": (3, "n*d^2"),
    "convolution_dilated": (3.3, "n*d^2"),
    "sliding_window": (101, "n*d"),
    "linear": (1.1, "n*d^2"),
}
CELLS = tuple((n, d) for n in (128, 256, 512, 1024, 2048) for d in (64, 128, 256, 512))


def times(**laws: tuple[float, str]) -> pd.DataFrame:
    """Rows of `LAWS`, with `laws` in their place."""
    sweeps = [
        make_sweep(
            [law],
            seed=seed,
            cells=CELLS,
            overhead=0.001,
            implementation=name,
            **({"window": 64} if name == "sliding_window" else {}),
        )
        for seed, (name, law) in enumerate((LAWS | laws).items())
    ]
    return pd.concat(sweeps, ignore_index=True)


@cache
def judged_rows() -> tuple[Row, ...]:
    """The rows of `times`, judged once for all tests of a process."""
    return tuple(table_rows(MECHANISMS, times(), {}))
