"""Answers for many sizes of one implementation: by following a call, or by a polynomial.

A program of many operators takes as long to follow as it has operators. Its counts at a few small
sizes give polynomials, which answer for any size on their lattice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from bench.counting.direct import count
from bench.counting.lattice import Fitted, fitted
from bench.counting.polynomials import Point
from bench.counting.result import (
    EXECUTED,
    CountedOn,
    Counts,
    Quantity,
    nothing_but_useful,
)
from implementations.case import Case
from implementations.interface import Implementation

FEW_OPERATORS = 1500
"""A case of no more is followed, which takes hundredths of a second."""
MOST_OPERATORS = 20_000
"""A case of more is not followed, even where no polynomial answers for it."""
FAR = (8192, 4096, 2048, 1024, 512, 256, 128)
"""How far to look for where a polynomial ends; less far for a program of many launches."""
NEAR = 64
MOST_FAR_LAUNCHES = 3500
LONGEST = 2**15
FEWEST_OPERATORS = 300
"""In a search, a size beyond LONGEST of more is not followed."""
MOST_LAUNCHES_IN_ALL = 150_000
"""A search ends there."""
NONE_USEFUL = "what a layer has to compute is not declared; its matrix products are counted"


@dataclass(frozen=True, kw_only=True)
class Formula:
    """One quantity as a polynomial; `fitted` is None where none was found, `reason` says why.

    `is_unknown` means that no size gave a number. `is_by_formula` and `is_lower_bound` are as in
    `Counts`.
    """

    fitted: Fitted | None
    is_unknown: bool
    is_by_formula: bool
    is_lower_bound: bool
    reason: str | None

    def value(self, point: Point) -> int | None:
        """What the polynomial gives; None where there is none, or it does not hold."""
        if self.fitted is None or point not in self.fitted.lattice:
            return None
        return int(self.fitted.polynomial(point))


def conditions_of(case: Case) -> Case:
    """The case without its sizes."""
    return replace(
        case,
        batch=1,
        num_heads=1,
        num_kv_heads=None,
        seq_len=1,
        key_len=-1,
        head_dim=1,
        value_dim=-1,
        growth="heads",
    )


def point_of(case: Case) -> Point:
    """The sizes of a case whose lengths and widths are the same for queries, keys and values."""
    return Point(b=case.batch, h=case.num_heads, n=case.seq_len, head_dim=case.head_dim)


class Search:
    """Counts at a few sizes under fixed conditions, and the polynomials that they give."""

    def __init__(self, implementation: Implementation, conditions: Case) -> None:
        self._implementation = implementation
        self._conditions = conditions
        self._counts: dict[Point, Counts] = {}
        self._formulas: dict[Quantity, Formula] = {}
        self._launches = 0

    def case_at(self, point: Point) -> Case:
        """The case of these sizes."""
        return replace(
            self._conditions,
            batch=point.b,
            num_heads=point.h,
            seq_len=point.n,
            key_len=-1,
            head_dim=point.head_dim,
            value_dim=-1,
        )

    @property
    def counted_on(self) -> tuple[CountedOn, ...]:
        """How the sizes so far were counted."""
        return tuple(sorted({c.counted_on for c in self._counts.values() if c.counted_on}))

    @property
    def unseen(self) -> tuple[str, ...]:
        """What was not followed at some size."""
        return tuple(sorted({what for c in self._counts.values() for what in c.unseen}))

    def formula(self, quantity: Quantity) -> Formula:
        """The polynomial of a quantity, searched for once."""
        if quantity not in self._formulas:
            self._formulas[quantity] = self._searched(quantity)
        return self._formulas[quantity]

    def is_complete(self, case: Case) -> bool:
        """Whether the polynomials give all that is known at other sizes."""
        point = point_of(case)
        formulas = [self.formula(quantity) for quantity in EXECUTED]
        return all(one.is_unknown or one.value(point) is not None for one in formulas)

    def counts(self, case: Case) -> Counts:
        """What the polynomials give for a case; None where they do not reach, with the reason."""
        point = point_of(case)
        values: dict[str, Any] = {}
        reasons: dict[Quantity, str] = {}
        for quantity in EXECUTED:
            formula = self.formula(quantity)
            values[quantity] = formula.value(point)
            if formula.fitted is None:
                reasons[quantity] = formula.reason or ""
            elif values[quantity] is None:
                lattice = formula.fitted.lattice
                why = f"too many operators to follow, and its polynomial is for {lattice} only"
                reasons[quantity] = why
        formulas = self._formulas.items()
        return Counts(
            useful_flops=self._implementation.useful_flops(case),
            **values,
            counted_on=self.counted_on[0] if self.counted_on else None,
            by_formula=frozenset(("useful_flops", *(q for q, f in formulas if f.is_by_formula))),
            lower_bounds=frozenset(q for q, f in formulas if f.is_lower_bound),
            unseen=self.unseen,
            reasons=reasons,
        )

    def _searched(self, quantity: Quantity) -> Formula:
        def value(point: Point) -> int | None:
            if quantity == "useful_flops":
                return self._implementation.useful_flops(self.case_at(point))
            return self._count_at(point).value(quantity)

        is_layer = self._implementation.kind == "layer"
        found = fitted(value, self._far, is_layer=is_layer)
        known = [c for c in self._counts.values() if c.value(quantity) is not None]
        reason = None
        if found is None:
            reasons = [c.reasons[quantity] for c in self._counts.values() if quantity in c.reasons]
            reason = "no polynomial of degree 2 in n and d, 1 or 2 in h, was found"
            if reasons and not known:
                reason = reasons[0]
            if quantity == "useful_flops" and is_layer:
                reason = NONE_USEFUL
        return Formula(
            fitted=found,
            is_unknown=not known,
            is_by_formula=any(quantity in c.by_formula for c in known),
            is_lower_bound=any(quantity in c.lower_bounds for c in known),
            reason=reason,
        )

    @cached_property
    def _far(self) -> int:
        near = self._count_at(Point(b=1, h=2, n=NEAR, head_dim=2)).launches or 0
        for size in FAR:
            if near * size <= MOST_FAR_LAUNCHES * NEAR:
                counts = self._count_at(Point(b=1, h=2, n=size, head_dim=2))
                if counts.matmul_flops is not None:
                    return size
        return FAR[-1]

    def _count_at(self, point: Point) -> Counts:
        if point not in self._counts:
            case = self.case_at(point)
            if self._launches > MOST_LAUNCHES_IN_ALL:
                return nothing_but_useful(
                    self._implementation, case, "the search for a polynomial took too many steps"
                )
            most = FEWEST_OPERATORS if point.n > LONGEST else MOST_OPERATORS
            counts = count(self._implementation, case, most_operators=most)
            self._launches += counts.launches or 0
            self._counts[point] = counts
        return self._counts[point]


class Counter:
    """The counts of one implementation, for as many cases as are asked."""

    def __init__(self, implementation: Implementation) -> None:
        self.implementation = implementation
        self._searches: dict[Case, Search] = {}
        self._cut_short: list[Case] = []

    def at(self, case: Case) -> Counts:
        """The counts of a case (see `Counts`): followed where that is quick, else by polynomial.

        What neither gives is None, with a reason.
        """
        if not self._is_beyond(case):
            followed = count(self.implementation, case, most_operators=FEW_OPERATORS)
            if not followed.is_cut_short:
                return followed
            self._cut_short.append(case)
        apart = case.key_len != case.seq_len or case.value_dim != case.head_dim
        if apart or case.is_grouped:
            return count(self.implementation, case, most_operators=MOST_OPERATORS)
        search = self.search(case)
        if not search.is_complete(case):
            followed = count(self.implementation, case, most_operators=MOST_OPERATORS)
            if not followed.is_cut_short:
                return followed
        return search.counts(case)

    def search(self, like: Case) -> Search:
        """The polynomials under the conditions of a case, whatever its sizes."""
        conditions = conditions_of(like)
        if conditions not in self._searches:
            self._searches[conditions] = Search(self.implementation, conditions)
        return self._searches[conditions]

    def _is_beyond(self, case: Case) -> bool:
        """Whether a case no larger in any size had too many operators to be followed quickly."""
        return any(
            conditions_of(case) == conditions_of(one)
            and case.batch >= one.batch
            and case.num_heads >= one.num_heads
            and case.seq_len >= one.seq_len
            and case.key_len >= one.key_len
            for one in self._cut_short
        )
