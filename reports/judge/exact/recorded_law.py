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

from reports.cells.call_tensors import in_sizes, product
from reports.cells.cells import Cells
from reports.judge.exact.counted import Polynomial
from reports.judge.models.non_negative import Mask
from reports.laws.monomials import Floats, Monomial
from reports.tables.columns import measured_rows

_COLUMNS = ("batch", "num_heads", "seq_len", "head_dim", "d_model")
_LETTERS = {"batch": "b", "num_heads": "h", "seq_len": "n", "d_model": "d"}
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
    if not laws or rows.empty or not {*_COLUMNS, *_CONDITIONS} <= set(rows.columns):
        return None
    if any(rows[name].nunique(dropna=False) > 1 for name in _CONDITIONS):
        return None
    mine = {name: rows[name].iloc[0] for name in _CONDITIONS}
    mine |= {name: rows[name].iloc[0] for name in _LATER if name in rows.columns}
    law = next((one for one in laws if all(_same(one.get(k), v) for k, v in mine.items())), None)
    of_columns = in_sizes(rows[[*_COLUMNS]].astype(float), rows, columns)
    if law is None or of_columns is None:
        return None
    letters = {_LETTERS.get(column, column): size for column, size in of_columns.items()}
    sizes = {name: scale * size.evaluate(cells.sizes) for name, (scale, size) in letters.items()}
    inside = _inside(law["valid"], sizes)
    counted = np.zeros(len(cells))
    terms: dict[Monomial, float] = {}
    for term in law["terms"]:
        coefficient = float(Fraction(str(term["coefficient"])))
        powers = _named(law["valid"], term["powers"])
        counted += coefficient * Monomial.of(powers).evaluate(sizes)
        factor, monomial = product(letters, powers)
        terms[monomial] = terms.get(monomial, 0.0) + coefficient * factor
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


def _named(valid: Mapping[str, Any], of: Mapping[str, Any]) -> dict[str, Any]:
    """What stands by letter, with the letters of today: d was head_dim in older runs."""
    today = "head_dim" in valid
    return {"head_dim" if name == "d" and not today else name: v for name, v in of.items()}


def _inside(valid: Mapping[str, Any], sizes: Mapping[str, Floats]) -> Mask:
    bounds = _named(valid, valid)
    ratio = valid.get("n_at_least_times_head_dim", valid.get("n_at_least_times_d"))
    inside = sizes["n"] >= ratio * sizes["head_dim"]
    if valid.get("is_single"):  # older runs do not say
        inside &= sizes["b"] == 1
    for letter in ("h", "n", "head_dim"):
        steps = bounds[letter]
        inside &= sizes[letter] >= steps["at_least"]
        inside &= np.mod(sizes[letter], steps["multiple_of"]) == 0
    return np.asarray(inside, dtype=np.bool_)
