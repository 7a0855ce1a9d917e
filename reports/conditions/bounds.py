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
from dataclasses import dataclass
from functools import cache
from itertools import compress

import numpy as np
import pandas as pd

from reports.cells.case_columns import CASE_COLUMNS
from reports.cells.cell_table import measured
from reports.conditions.caches import caches_of
from reports.tables.json_values import is_positive
from reports.text import wording

EXPLAINS = 0.3
"""The part of the time that a ceiling must explain to be called the bound. A ceiling is one large
product, copy or loop, and kernels that wait for nothing else reach a third of it to nine tenths;
below that, what no ceiling tells of (a slow kernel, waiting threads) takes more than it does."""
MOST_OF_IT = 0.5
ABOVE = 1.1  # times a ceiling: nearer to it, either of the two may have been disturbed
NONE, UNTOLD = "none of these", "cannot be told"
_ELEMENT_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A ceiling: what was counted of a cell, and what the machine needs for it at best.

    `ceiling` is the name in `run.json`: a rate, or with `each` the seconds of one. `words` say
    what takes its part of the time, with the count as `{}`.
    """

    name: str
    noun: str
    seconds: str
    counted: str
    ceiling: str
    words: str
    each: bool = False


BOUNDS = (
    Bound(
        name="products",
        noun="executed operations",
        seconds="products_s",
        counted="flops_executed",
        ceiling="matmul_flops_per_s",
        words="its arithmetic, at the rate of a large matrix product,",
    ),
    Bound(
        name="memory",
        noun="bytes moved",
        seconds="memory_s",
        counted="bytes_moved",
        ceiling="copy_bytes_per_s",
        words="moving its bytes at the speed of a copy",
    ),
    Bound(
        name="exponentials",
        noun="exponentials",
        seconds="exponentials_s",
        counted="transcendentals",
        ceiling="exp_per_s",
        words="computing its {}exponentials and the like",
    ),
    Bound(
        name="launches",
        noun="operator launches",
        seconds="launches_s",
        counted="operator_launches",
        ceiling="launch_s",
        words="starting its {}operators",
        each=True,
    ),
    Bound(
        name="page faults",
        noun="page faults",
        seconds="faults_s",
        counted="minor_faults",
        ceiling="fault_s",
        words="serving {}page faults",
        each=True,
    ),
)
_NEEDED = ("products", "memory")  # the roofline; without either, nothing can be ruled out


def ceilings_of(info: Mapping[str, object], device: object, dtype: object) -> dict[str, float]:
    """The machine's own rates and costs for a device and dtype, those that were measured.

    From `ceilings` of `run.json`, under `device/dtype`; a device index (`cuda:0`) is optional.
    """
    ceilings = info.get("ceilings")
    if not isinstance(ceilings, Mapping):
        return {}
    for name in (str(device), str(device).split(":")[0]):
        entry = ceilings.get(f"{name}/{dtype}")
        if isinstance(entry, Mapping):
            return {str(key): float(value) for key, value in entry.items() if is_positive(value)}
    return {}


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
    found["working_set_bytes"] = timed["workspace_bytes"] + _tensor_bytes(timed)
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
    known: dict[tuple[str, str, str], dict[str, float]] = {}
    rows = []
    for key in zip(*(_texts(timed, name) for name in ("run", "device", "dtype")), strict=True):
        if key not in known:
            own = runs.get(key[0], info)
            known[key] = ceilings_of(own, *key[1:]) | _cache(own, key[1])
        rows.append(known[key])
    names = [*(one.ceiling for one in BOUNDS), "cache_bytes"]
    return pd.DataFrame(rows, columns=names, index=timed.index, dtype=float)


def _texts(timed: pd.DataFrame, name: str) -> list[str]:
    return [str(value) for value in timed[name]] if name in timed else [""] * len(timed)


def _cache(info: Mapping[str, object], device: str) -> dict[str, float]:
    last = max(caches_of(info, device).values(), default=None)
    return {} if last is None else {"cache_bytes": last}


def _tensor_bytes(timed: pd.DataFrame) -> pd.Series:
    """Bytes of what a call is given and gives back: query, key, value and output of a core.

    A layer has its hidden states and four matrices of weights. A backward pass has as much again
    in gradients.
    """
    wanted = ("batch", "num_heads", "seq_len", "key_len", "head_dim", "d_model", "dtype")
    if not set(wanted) <= set(timed.columns):
        return pd.Series(np.nan, index=timed.index)
    rows = timed["seq_len"] + timed["key_len"]
    elements = 2 * timed["batch"] * timed["num_heads"] * rows * timed["head_dim"]
    if "kind" in timed:
        layer = timed["batch"] * rows * timed["d_model"] + 4 * timed["d_model"] ** 2
        elements = elements.mask(timed["kind"] == "layer", layer)
    if "pass" in timed:
        elements = elements * np.where(timed["pass"] == "forward_backward", 2, 1)
    return elements * timed["dtype"].map(_ELEMENT_BYTES).astype(float)


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
