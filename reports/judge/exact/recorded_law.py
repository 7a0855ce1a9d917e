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
_LATER = ("window",)  # conditions that the oldest records lack
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
    mine |= {name: rows[name].iloc[0] for name in _LATER if name in rows.columns}
    law = next((one for one in laws if all(_same(one.get(k), v) for k, v in mine.items())), None)
    letters = _letters(rows, columns)
    if law is None or letters is None:
        return None
    sizes = {
        letter: scale * size.evaluate(cells.sizes) for letter, (scale, size) in letters.items()
    }
    inside = _inside(law["valid"], sizes)
    counted = np.zeros(len(cells))
    terms: dict[Monomial, float] = {}
    for term in law["terms"]:
        coefficient, monomial = float(Fraction(str(term["coefficient"]))), Monomial()
        counted += coefficient * Monomial.of(term["powers"]).evaluate(sizes)
        for letter, power in term["powers"].items():
            scale, size = letters[letter]
            coefficient *= scale**power
            monomial = monomial.times(size.raised(Fraction(power)))
        terms[monomial] = terms.get(monomial, 0.0) + coefficient
    off = np.abs(counted - cells.cost)[inside]
    told = inside.sum() > 1 and (cells.cost[inside] > _SCALARS).any()
    if not told or (off > np.maximum(_SCALARS, 1e-3 * cells.cost[inside])).any():
        return None
    return Polynomial(
        terms=tuple(terms.items()),
        cells=inside,
        start={name: float(values[inside].min()) for name, values in cells.sizes.items()},
        where=str(law["valid"]["text"]),
    )


def _same(recorded: Any, here: Any) -> bool:
    return bool((recorded is None and pd.isna(here)) or recorded == here)


def _letters(
    rows: pd.DataFrame, columns: Mapping[str, str]
) -> dict[str, tuple[float, Monomial]] | None:
    """Each of b, h, n and d (head_dim), as a factor times a size of the claim, or a constant."""
    by_column = {column: Monomial.of({name: 1}) for name, column in columns.items()}
    letters: dict[str, tuple[float, Monomial]] = {}
    for letter, column in _COLUMNS.items():
        values = rows[column].astype(float)
        if column in by_column:
            letters[letter] = 1.0, by_column[column]
        elif len(values.unique()) == 1:
            letters[letter] = float(values.iloc[0]), Monomial()
        else:  # heads, or the head, grow with d_model
            ratios = (values / rows["d_model"].astype(float)).unique()
            if "d_model" not in by_column or len(ratios) > 1:
                return None
            letters[letter] = float(ratios[0]), by_column["d_model"]
    return letters


def _inside(valid: Mapping[str, Any], sizes: Mapping[str, Floats]) -> Mask:
    inside = sizes["n"] >= valid["n_at_least_times_d"] * sizes["d"]
    if valid.get("is_single"):  # older runs do not say
        inside &= sizes["b"] == 1
    for letter in "hnd":
        steps = valid[letter]
        inside &= sizes[letter] >= steps["at_least"]
        inside &= np.mod(sizes[letter], steps["multiple_of"]) == 0
    return np.asarray(inside, dtype=np.bool_)
