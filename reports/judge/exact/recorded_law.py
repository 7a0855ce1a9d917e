"""The workspace of an implementation as its run counted it: a polynomial, wherever sizes may lie.

A sweep asks for it beside what it measures (`workspace_laws` in run.json), since a term of the
claim may be hidden under buffers of a fixed size wherever anything can be measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from reports.cells.cells import Cells
from reports.judge.exact.counted import Polynomial
from reports.judge.models.non_negative import Mask
from reports.laws.monomials import Floats, Monomial
from reports.tables.columns import measured_rows

_COLUMNS = {"b": "batch", "h": "num_heads", "n": "seq_len", "d": "head_dim"}
_CONDITIONS = ("implementation", "pass", "device", "dtype", "is_causal", "mask")
_SCALARS = 4096.0  # bytes that the polynomial leaves out, and that an allocator rounds up


def recorded_law(
    rows: pd.DataFrame, cells: Cells, columns: Mapping[str, str], info: Mapping[str, Any]
) -> Polynomial | None:
    """The polynomial of one group of records in the sizes of a claim, from where it holds.

    None where the run has none for these records, where other sizes than those of the claim
    vary, or where fewer than two measured cells lie in its range, or one is another value.
    """
    rows = rows[measured_rows(rows)]
    laws = info.get("workspace_laws")
    if not laws or rows.empty or not {*_COLUMNS.values(), *_CONDITIONS} <= set(rows.columns):
        return None
    if any(rows[name].nunique(dropna=False) > 1 for name in _CONDITIONS):
        return None
    mine = {name: rows[name].iloc[0] for name in _CONDITIONS}
    law = next((one for one in laws if all(_same(one[k], v) for k, v in mine.items())), None)
    letters = _letters(rows, cells, columns)
    if law is None or letters is None:
        return None
    sizes, factors = letters
    inside = _inside(law["valid"], sizes)
    whole = [(term["powers"], float(Fraction(str(term["coefficient"])))) for term in law["terms"]]
    ones = np.ones(len(cells))
    counted = sum(
        (c * _product(sizes, powers) * ones for powers, c in whole), start=np.zeros(len(cells))
    )
    off = np.abs(counted - cells.cost)[inside]
    told = inside.sum() > 1 and (cells.cost[inside] > _SCALARS).any()
    if not told or (off > np.maximum(_SCALARS, 1e-3 * cells.cost[inside])).any():
        return None
    terms: dict[Monomial, float] = {}
    for powers, coefficient in whole:
        monomial = Monomial()
        for letter, power in powers.items():
            scale, name = factors[letter]
            coefficient *= scale**power
            if name is not None:
                monomial = monomial.times(Monomial.of({name: power}))
        terms[monomial] = terms.get(monomial, 0.0) + coefficient
    return Polynomial(
        terms=tuple(terms.items()),
        cells=inside,
        start={name: float(values[inside].min()) for name, values in cells.sizes.items()},
        where=str(law["valid"]["text"]),
    )


def _same(recorded: Any, here: Any) -> bool:
    return bool((recorded is None and pd.isna(here)) or recorded == here)


def _letters(
    rows: pd.DataFrame, cells: Cells, columns: Mapping[str, str]
) -> tuple[dict[str, Floats], dict[str, tuple[float, str | None]]] | None:
    """The cells' sizes b, h, n and d (head_dim), and each as a factor times a size of the claim."""
    by_column = {column: name for name, column in columns.items()}
    sizes: dict[str, Floats] = {}
    factors: dict[str, tuple[float, str | None]] = {}
    ones = np.ones(len(cells))
    for letter, column in _COLUMNS.items():
        values = rows[column].astype(float).unique()
        if column in by_column:
            sizes[letter] = cells.sizes[by_column[column]]
            factors[letter] = (1.0, by_column[column])
        elif len(values) == 1:
            sizes[letter], factors[letter] = float(values[0]) * ones, (float(values[0]), None)
        else:  # heads, or the head, grow with d_model
            ratio = (rows[column].astype(float) / rows["d_model"].astype(float)).unique()
            if "d_model" not in by_column or len(ratio) > 1:
                return None
            name = by_column["d_model"]
            sizes[letter] = float(ratio[0]) * cells.sizes[name]
            factors[letter] = (float(ratio[0]), name)
    return sizes, factors


def _inside(valid: Mapping[str, Any], sizes: Mapping[str, Floats]) -> Mask:
    inside = sizes["n"] >= valid["n_at_least_times_d"] * sizes["d"]
    for letter in "hnd":
        steps = valid[letter]
        inside &= sizes[letter] >= steps["at_least"]
        inside &= np.mod(sizes[letter], steps["multiple_of"]) == 0
    return np.asarray(inside, dtype=np.bool_)


def _product(sizes: Mapping[str, Floats], powers: Mapping[str, int]) -> Floats:
    value = np.ones(1)
    for letter, power in powers.items():
        value = value * sizes[letter] ** power
    return np.asarray(value, dtype=np.float64)
