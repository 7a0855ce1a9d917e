"""The bytes that a call is given and gives back, as a polynomial in the sizes of a law.

The workspace is what a call takes beside them; a machine has to hold both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from reports.cells.working_set import ELEMENT_BYTES, OF_KEYS, OF_QUERIES, shapes
from reports.laws.monomials import Floats, Monomial
from reports.tables.columns import measured_rows, numbers_or_nan

Sizes = Mapping[str, tuple[float, Monomial]]
_LENGTHS, WIDTHS = ("seq_len", "key_len"), ("d_model",)
_OWN = {"queries": _LENGTHS, "keys": _LENGTHS, "width": WIDTHS, "key_width": WIDTHS}
"""The columns that these shapes are, where nothing else is recorded."""
_ONE_EACH = ("implementation", "kind", "pass", "device", "dtype", "mask", "window")


@dataclass(frozen=True, kw_only=True)
class CallTensors:
    """Inputs, outputs and gradients of one implementation's calls, in bytes.

    `terms` has the coefficient of each term, `sizes` the letters of the law in the measured cells.
    `words` says what is counted, `left_out` what is not known. `is_all`: no measured cell needed
    any workspace beside.
    """

    terms: Mapping[Monomial, float]
    sizes: Mapping[str, Floats]
    words: str
    left_out: str
    device: str
    is_all: bool


def call_tensors(
    rows: pd.DataFrame, columns: Mapping[str, str], info: Mapping[str, Any]
) -> CallTensors | None:
    """What the calls of one group of records or cells take, in the sizes that `columns` names.

    A core has query and output of (batch, num_heads, query_len, head_dim), key and value of
    (batch, num_kv_heads, key_len, head_dim), and a mask of (query_len, key_len) where it takes one.
    A layer has x and its output of (batch, seq_len, d_model), perhaps a memory of (batch, key_len,
    d_model), and parameters, which records do not tell. A backward pass has a gradient of each but
    the mask. `info` is `run.json`.

    None for a table without shapes, for rows of several implementations or conditions, and where a
    size varies that is none of `columns`, nor in proportion to one.
    """
    rows = rows[measured_rows(rows)]
    of = None if rows.empty else shapes(rows)
    if of is None or any(rows[c].nunique(dropna=False) > 1 for c in _ONE_EACH if c in rows.columns):
        return None
    sizes = in_sizes(of, rows, columns)
    first = rows.iloc[0]
    element = ELEMENT_BYTES.get(str(first["dtype"]))
    if sizes is None or element is None:
        return None
    is_layer, is_backward = first.get("kind") == "layer", first.get("pass") == "forward_backward"
    told = (info.get("implementations") or {}).get(first["implementation"]) or {}
    number = element * (2 if is_backward else 1)
    parts: list[tuple[int, tuple[str, ...]]] = [(2 * number, OF_QUERIES)]
    if not is_layer:
        parts += [(2 * number, OF_KEYS)]
    elif told.get("needs_memory"):
        parts += [(number, OF_KEYS)]
    masks = {"boolean": 1, "float": element}
    is_band = pd.notna(first.get("window")) and bool(told.get("takes_window_as_mask"))
    mask = 1 if is_band else masks.get(str(first.get("mask")), 0)
    parts += [(mask, ("queries", "keys"))] * bool(mask)
    terms: dict[Monomial, float] = {}
    for coefficient, shape in parts:
        factor, term = product(sizes, dict.fromkeys(shape, 1))
        terms[term] = terms.get(term, 0.0) + coefficient * factor
    workspaces = numbers_or_nan(rows, "workspace_bytes").dropna()  # read once a cell
    given = "inputs" if len(parts) > 1 or not is_layer else "input"
    gradients = ", gradients" if is_backward else ""
    return CallTensors(
        terms=terms,
        sizes={name: numbers_or_nan(rows, c).to_numpy(np.float64) for name, c in columns.items()},
        words=f"{given}, output{gradients}",
        left_out=", without parameters" if is_layer else "",
        device=str(first.get("device", "cpu")),
        is_all=not workspaces.empty and not workspaces.any(),
    )


def in_sizes(values: pd.DataFrame, rows: pd.DataFrame, columns: Mapping[str, str]) -> Sizes | None:
    """Each column of `values` as a factor times a size of a law, or as a constant.

    None where one varies, and not in proportion to a size. `columns` names the sizes' columns in
    the rows.
    """
    letters = {name: rows[column].astype(float) for name, column in columns.items()}
    found: dict[str, tuple[float, Monomial]] = {}
    for column, amounts in values.items():
        own = _OWN.get(str(column), (str(column),))
        ratios = {name: (amounts / of).unique() for name, of in letters.items()}
        alike = {name: float(ratio[0]) for name, ratio in ratios.items() if len(ratio) == 1}
        alike = {name: ratio for name, ratio in alike.items() if ratio > 0}  # nor NaN
        called = [name for name, ratio in alike.items() if columns[name] in own and ratio == 1]
        if called or (alike and amounts.nunique() > 1):
            name = (called or sorted(alike, key=lambda one: alike[one] != 1))[0]
            found[str(column)] = alike[name], Monomial.of({name: 1})
        elif amounts.nunique() == 1:
            found[str(column)] = float(amounts.iloc[0]), Monomial()
        else:
            return None
    return found


def product(sizes: Sizes, powers: Mapping[str, int]) -> tuple[float, Monomial]:
    """A product of powers of these sizes: its factor, and the rest in the letters of the law."""
    factor, term = 1.0, Monomial()
    for size, power in powers.items():
        scale, letter = sizes[size]
        factor *= scale**power
        term = term.times(letter.raised(Fraction(power)))
    return factor, term
