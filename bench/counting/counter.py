"""Answers for many sizes of one implementation: by following a call, or by a polynomial.

A program of many operators takes as long to follow as it has operators. Its counts at a few small
sizes give polynomials, which answer for any size on their lattice.
"""

from __future__ import annotations

from bench.counting.direct import count
from bench.counting.result import Counts
from bench.counting.search import Search, conditions_of
from implementations.case import Case
from implementations.interface import Implementation

FEW_OPERATORS = 1500
"""A case of no more is followed, which takes hundredths of a second."""
MANY_OPERATORS = 20_000
"""A case of more is not followed, even where no polynomial answers for it."""


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
        if case.key_len != case.seq_len or case.value_dim != case.head_dim:
            return count(self.implementation, case, most_operators=MANY_OPERATORS)
        search = self.search(case)
        if not search.is_complete(case):
            followed = count(self.implementation, case, most_operators=MANY_OPERATORS)
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
