"""What bounds each cell: the least time that the machine's own ceilings allow, against its time.

The roofline model (Williams, Waterman & Patterson 2009) holds a kernel against two ceilings, the
rate of arithmetic and that of memory: a call takes at least as long as the slower of

    t_products = flops_executed / matmul rate        t_memory = bytes_moved / copy rate

which are equal where its intensity, in operations a byte, is the ridge (matmul rate / copy rate).
Attention may wait for three things more, and each is one more lower bound:

    t_exponentials = transcendentals / exp rate      t_launches = operator_launches · launch_s
    t_faults = minor_faults · fault_s

Where a call was replayed from a graph, t_launches is what it took longer as called.

These may overlap, so they are not added: the largest names the bound, if it explains at least
EXPLAINS of the measured time. The ceilings are those of the same run, for the same device and
dtype; the time is a cell's median.

`bytes_moved` is what operators read and write, wherever it lies. Where a cell's tensors and
workspace fit in the last-level cache, or its bytes move faster than any copy in memory, the caches
serve them: then the copy rate is no bound, and `in_cache` says so. A GPU's cache is overwritten
before every call: what fits in it need not lie there, and only the second of these is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import compress
from typing import NamedTuple

import numpy as np
import pandas as pd

from reports.cells.case_columns import CASE_COLUMNS
from reports.cells.cell_table import measured
from reports.cells.working_set import working_set
from reports.tables.json_values import an_object, is_positive
from reports.text import wording

EXPLAINS = 0.3
"""The part of the time that a ceiling must explain to be called the bound. A ceiling is one large
product, copy or loop, and kernels that wait for nothing else reach a third of it to nine tenths;
below that, what no ceiling tells of (a slow kernel, waiting threads) takes more than it does."""
MOST_OF_IT = 0.5
ABOVE = 1.1  # times a ceiling: nearer to it, either of the two may have been disturbed
NONE, UNTOLD = "none of these", "cannot be told"


class Bound(NamedTuple):
    """A ceiling: what was counted of a cell, and what the machine needs for it at best.

    `seconds` is the column of the time at best. `ceiling` is the name in `run.json`: a rate, or
    the seconds of one. `words` say what takes its part of the time, with the count as `{}`.
    """

    name: str
    noun: str
    counted: str
    ceiling: str
    seconds: str
    words: str

    @property
    def each(self) -> bool:
        """Whether the ceiling is the seconds of one, and no rate."""
        return not self.ceiling.endswith("_per_s")


BOUNDS = (
    Bound(
        *("products", "executed operations", "flops_executed", "matmul_flops_per_s", "products_s"),
        words="its arithmetic, at the rate of a large matrix product,",
    ),
    Bound(
        *("memory", "bytes moved", "bytes_moved", "copy_bytes_per_s", "memory_s"),
        words="moving its bytes at the speed of a copy",
    ),
    Bound(
        *("exponentials", "exponentials", "transcendentals", "exp_per_s", "exponentials_s"),
        words="computing its {}exponentials and the like",
    ),
    Bound(
        *("launches", "operator launches", "operator_launches", "launch_s", "launches_s"),
        words="starting its {}operators",
    ),
    Bound(
        *("page faults", "page faults", "minor_faults", "fault_s", "faults_s"),
        words="serving {}page faults",
    ),
)
_NEEDED = ("products", "memory")  # the roofline; without either, nothing can be ruled out


def ceilings_of(info: Mapping[str, object], device: object, dtype: object) -> dict[str, float]:
    """The machine's own rates and costs for a device and dtype, those that were measured.

    From `ceilings` of `run.json`, under `device/dtype`; a device index (`cuda:0`) is optional.
    """
    ceilings = an_object(info.get("ceilings"))
    names = (f"{place}/{dtype}" for place in (str(device), str(device).split(":")[0]))
    known = an_object(next((ceilings[name] for name in names if name in ceilings), None))
    return {key: float(rate) for key, rate in known.items() if is_positive(rate)}


def caches_of(info: Mapping[str, object], device: object) -> dict[str, float]:
    """Bytes of each of the processor's caches, smallest first; nothing where they are not told.

    Nor for another `device` than `cpu`: a GPU's cells do not lie there, and its own cache is
    overwritten before every call, so that what fits in it need not come from it.
    """
    caches = (
        an_object(an_object(info.get("machine")).get("caches_bytes")) if device == "cpu" else {}
    )
    found = {str(name): float(size) for name, size in caches.items() if is_positive(size)}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def bounds(
    cells: pd.DataFrame,
    info: Mapping[str, object],
    runs: Mapping[str, Mapping[str, object]] | None = None,
) -> pd.DataFrame:
    """Rates, their shares of the ceilings, intensity and bound of every measured cell.

    `cells` is a cell table (see `reports.cells.cell_table`), `info` the object of `run.json`; where
    the cells name their run, `runs` has its own. `flops_per_s` counts useful operations, and
    `flops_per_byte` executed ones where they are known. `largest` is the ceiling that explains
    most, `explained` how much (1 is all of the time), and `bound` its name, or why there is none;
    `untold` says what could not be held against a ceiling. `launch_cost_s` is what a call takes
    longer than one replayed from a graph: where it is known, it is the part of the launches, and
    the bound if it is most of the time, whatever was not counted.
    """
    timed = measured(cells)
    best = _ceilings(timed, info, runs or {})
    found = timed[[name for name in CASE_COLUMNS if name in timed and "claim" not in name]].copy()
    time = found["time_s"] = timed["time_s"]
    found["flops"] = timed["flops"]
    found["flops_per_s"] = timed["flops"] / time
    found["share_of_matmul"] = found["flops_per_s"] / best["matmul_flops_per_s"]
    found["bytes_per_s"] = timed["bytes_moved"] / time
    found["share_of_copy"] = found["bytes_per_s"] / best["copy_bytes_per_s"]
    moved = timed["bytes_moved"].where(timed["bytes_moved"] > 0)
    found["flops_per_byte"] = timed["flops_executed"].fillna(timed["flops"]) / moved
    found["ridge_flops_per_byte"] = best["matmul_flops_per_s"] / best["copy_bytes_per_s"]
    for one in BOUNDS:
        found[one.counted] = timed[one.counted]
        ceiling = best[one.ceiling]
        least = timed[one.counted] * (ceiling if one.each else 1 / ceiling)
        found[one.seconds] = least.mask(timed[one.counted] == 0, 0.0)  # whatever one would cost
    found["launch_cost_s"] = time - timed["graph_time_s"]
    found["launches_s"] = found["launch_cost_s"].clip(lower=0.0).fillna(found["launches_s"])
    found["working_set_bytes"] = working_set(timed)
    fits = found["working_set_bytes"] <= best["cache_bytes"]
    cached = fits | (found["memory_s"] > ABOVE * time)
    unknown = (found["working_set_bytes"] + best["cache_bytes"]).isna()
    found["in_cache"] = cached.astype("boolean").mask(unknown & ~cached)
    shares = pd.DataFrame({one.name: found[one.seconds] / time for one in BOUNDS})
    shares["memory"] = shares["memory"].mask(cached)
    known = found[[one.seconds for one in BOUNDS if one.name in _NEEDED]].notna().all(axis=1)
    # What waits for launches leaves the rest to everything else.
    known |= found["launch_cost_s"] >= MOST_OF_IT * time
    found["largest"] = shares.fillna(-1.0).idxmax(axis=1).where(known)
    found["explained"] = shares.max(axis=1).where(known)
    named = found["largest"].where(found["explained"] >= EXPLAINS, NONE)
    found["bound"] = named.where(known, UNTOLD)
    found["untold"] = _untold(timed, best)
    found[["energy_j", "energy_resolution_j"]] = timed[["energy_j", "energy_resolution_j"]]
    return found


def _ceilings(
    timed: pd.DataFrame,
    info: Mapping[str, object],
    runs: Mapping[str, Mapping[str, object]],
) -> pd.DataFrame:
    """For every cell the ceilings of its own run, device and dtype; NaN where one is unknown."""

    @cache
    def known(run: str, device: str, dtype: str) -> dict[str, float]:
        own = runs.get(run, info)
        last = max(caches_of(own, device).values(), default=np.nan)
        return ceilings_of(own, device, dtype) | {"cache_bytes": last}

    keys = timed.reindex(columns=["run", "device", "dtype"], fill_value="").astype(str)
    rows = [known(*key) for key in keys.itertuples(index=False, name=None)]
    names = [*(one.ceiling for one in BOUNDS), "cache_bytes"]
    return pd.DataFrame(rows, columns=names, index=timed.index, dtype=float)


def _untold(timed: pd.DataFrame, best: pd.DataFrame) -> list[str]:
    """For every cell, what could not be held against a ceiling, and why; nothing where all was."""
    uncounted = pd.DataFrame({one.noun: timed[one.counted].isna() for one in BOUNDS})
    uncounted["operator launches"] &= timed["graph_time_s"].isna()  # else their cost was measured
    # What was not counted, or is not there, needs no ceiling.
    unmeasured = pd.DataFrame(
        {one.noun: best[one.ceiling].isna() & (timed[one.counted] > 0) for one in BOUNDS}
    )
    roofline = [one.noun for one in BOUNDS if one.name in _NEEDED]
    unmeasured[uncounted[roofline].any(axis=1)] = False  # nothing is told of these cells anyway
    if "device" in timed:  # page faults are a processor's, and so is the ceiling of exponentials
        elsewhere = ~timed["device"].astype(str).str.startswith("cpu")
        uncounted.loc[elsewhere, "page faults"] = unmeasured.loc[elsewhere, "page faults"] = False
        unmeasured.loc[elsewhere, "exponentials"] = False
    nouns = [one.noun for one in BOUNDS]
    cells = zip(uncounted.to_numpy().tolist(), unmeasured.to_numpy().tolist(), strict=True)
    return [_absence(tuple(compress(nouns, a)), tuple(compress(nouns, b))) for a, b in cells]


@cache
def _absence(uncounted: tuple[str, ...], unmeasured: tuple[str, ...]) -> str:
    words = [f"{wording.listed(uncounted)} were not counted"] * bool(uncounted)
    words += [f"no ceiling was measured for {wording.listed(unmeasured)}"] * bool(unmeasured)
    return "; ".join(words)
