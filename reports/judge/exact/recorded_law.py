"""The workspace of an implementation as its run counted it: a polynomial, wherever sizes may lie.

A sweep asks for it beside what it measures (`workspace_laws` in run.json), since a term of the
claim may be hidden under buffers of a fixed size wherever anything can be measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.cells.call_tensors import WIDTHS, Sizes, in_sizes, product
from reports.cells.case_columns import LARGEST_SIZE
from reports.cells.cells import Cells
from reports.judge.models.non_negative import Mask
from reports.laws.monomials import Floats, Monomial
from reports.tables.columns import measured_rows

_COLUMNS = ("batch", "num_heads", "seq_len", "head_dim", "d_model")
_LETTERS = {"batch": "b", "num_heads": "h", "seq_len": "n", "d_model": "d"}
_CONDITIONS = ("implementation", "pass", "device", "dtype", "is_causal", "mask")
_LATER = ("window",)  # conditions that the oldest records lack
_SCALARS = 4096.0  # bytes that the polynomial leaves out, and that an allocator rounds up


@dataclass(frozen=True, kw_only=True)
class RecordedLaw:
    """The polynomial of a workspace as its run counted it, and the sizes for which it holds.

    `terms` are in `names`, the sizes of a claim whose powers it tells, and `cells` are the measured
    ones for which it holds. `sizes` are b, h, n and head_dim in the sizes of the claim, `valid` the
    bounds of each.
    """

    terms: tuple[tuple[Monomial, float], ...]
    names: tuple[str, ...]
    cells: Mask
    sizes: Sizes
    valid: Mapping[str, Any]

    @property
    def is_measured(self) -> bool:
        """Whether cells were measured for which it holds: one that may agree by chance is none."""
        return bool(self.cells.sum() > 1)

    @property
    def where(self) -> str:
        """The sizes for which it holds, in words."""
        return str(self.valid["text"])

    def holds(self, at: Mapping[str, float]) -> bool:
        """Whether it holds at these sizes of the claim; all of its own are given."""
        return bool(_inside(self.valid, _evaluated(self.sizes, at)))

    def lengths(self, name: str, at: Mapping[str, float]) -> range | None:
        """The values of the size `name` for which it holds, others being `at`; None if none."""
        if self.sizes["n"] != (1.0, Monomial.of({name: 1})):
            return None
        step, least = self.valid["n"]["multiple_of"], self.valid["n"]["at_least"]
        width = float(_evaluated(self.sizes, {**at, name: 1.0})["head_dim"])
        least = max(least, math.ceil(_ratio(self.valid) * width / step) * step)
        return range(least, LARGEST_SIZE + 1, step) if self.holds({**at, name: least}) else None


def recorded_law(
    rows: pd.DataFrame, cells: Cells, columns: Mapping[str, str], info: Mapping[str, Any]
) -> RecordedLaw | None:
    """The law of one group of records in the sizes of a claim.

    None where the run has none for these records, where other sizes than those of the claim
    vary, or where a measured cell has another value.
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
    # Where d stands still, nothing tells whether heads or their width would grow with it.
    told = {n: c for n, c in columns.items() if c not in WIDTHS or cells.distinct(n).size > 1}
    of_columns = in_sizes(rows[[*_COLUMNS]].astype(float), rows, told)
    if law is None or of_columns is None:
        return None
    letters = {_LETTERS.get(column, column): size for column, size in of_columns.items()}
    sizes = _evaluated(letters, cells.sizes)
    valid = _named(law["valid"], law["valid"])
    inside = _inside(valid, sizes)
    counted = np.zeros(len(cells))
    terms: dict[Monomial, float] = {}
    for term in law["terms"]:
        coefficient = float(Fraction(str(term["coefficient"])))
        powers = _named(law["valid"], term["powers"])
        counted += coefficient * Monomial.of(powers).evaluate(sizes)
        factor, monomial = product(letters, powers)
        terms[monomial] = terms.get(monomial, 0.0) + coefficient * factor
    off = np.abs(counted - cells.cost)[inside]
    if (off > np.maximum(_SCALARS, 1e-3 * cells.cost[inside])).any():
        return None
    if inside.any() and (cells.cost[inside] <= _SCALARS).all():
        return None  # so little that the law may be any
    return RecordedLaw(
        terms=tuple(terms.items()), names=tuple(told), cells=inside, sizes=letters, valid=valid
    )


def _same(recorded: Any, here: Any) -> bool:
    return bool((recorded is None and pd.isna(here)) or recorded == here)


def _named(valid: Mapping[str, Any], of: Mapping[str, Any]) -> dict[str, Any]:
    """What stands by letter, with the letters of today: d was head_dim in older runs."""
    today = "head_dim" in valid
    return {"head_dim" if name == "d" and not today else name: v for name, v in of.items()}


def _evaluated(letters: Sizes, at: Mapping[str, npt.ArrayLike]) -> dict[str, Floats]:
    """The values of b, h, n, head_dim and d at these sizes of a claim."""
    return {name: scale * size.evaluate(at) for name, (scale, size) in letters.items()}


def _ratio(valid: Mapping[str, Any]) -> float:
    return float(valid.get("n_at_least_times_head_dim", valid.get("n_at_least_times_d")))


def _inside(valid: Mapping[str, Any], sizes: Mapping[str, Floats]) -> Mask:
    inside = sizes["n"] >= _ratio(valid) * sizes["head_dim"]
    if valid.get("is_single"):  # older runs do not say
        inside &= sizes["b"] == 1
    for letter in ("h", "n", "head_dim"):
        steps = valid[letter]
        inside &= sizes[letter] >= steps["at_least"]
        inside &= np.mod(sizes[letter], steps["multiple_of"]) == 0
    return np.asarray(inside, dtype=np.bool_)
