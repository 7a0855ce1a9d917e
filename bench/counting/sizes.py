"""The sizes at which counts are asked for, by the letters of laws."""

from __future__ import annotations

from collections.abc import Mapping

from bench.counting.polynomials import LETTERS, Point
from implementations.case import CaseError

SIZES = Point(b=1, h=8, n=2**20, head_dim=64)
"""Of those that are not given; d is h·head_dim."""


def sizes_of(at: Mapping[str, int]) -> Point:
    """The sizes to evaluate at: d = d_model is h·head_dim, so that two of the three are enough.

    With d alone, h grows with d, as in a sweep.

    Raises:
        CaseError: a letter that is no size, a size below 1, or a d that is not h·head_dim.

    """
    for letter, size in at.items():
        if letter not in LETTERS:
            raise CaseError(f"sizes are {', '.join(LETTERS)}; got {letter!r}")
        if size < 1:
            raise CaseError(f"{letter} must be at least 1, got {size}")
    known = {"b": SIZES.b, "n": SIZES.n, **at}
    d = known.get("d")
    if d is None:
        known = {"h": SIZES.h, "head_dim": SIZES.head_dim, **known}
    elif "h" in known:
        known.setdefault("head_dim", d // known["h"])
    else:
        known.setdefault("head_dim", min(d, SIZES.head_dim))
        known["h"] = d // known["head_dim"]
    sizes = Point(*(known[name] for name in Point._fields))
    if d is not None and sizes.d != d and not {"h", "head_dim"} & at.keys():
        raise CaseError(
            f"d is d_model, h·head_dim; got d = {d}, no multiple of head_dim = {sizes.head_dim}; "
            "give h or head_dim too, such as h=1"
        )
    if d is not None and sizes.d != d:
        raise CaseError(
            f"d is d_model, h·head_dim; got d = {d} with h = {sizes.h} and "
            f"head_dim = {sizes.head_dim}; correct h or head_dim"
        )
    return sizes
