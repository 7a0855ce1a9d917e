"""Marked tests and what came of them, and which of them belong to one verdict."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeGuard

from reports.claims_in_pytest.claims import EXTRA, Claim, size_of
from reports.tables.benchmarks.pytest_ids import shared_part

REPEATS = frozenset({"__pytest_repeat_step_number"})
"""Parameters that repeat a test, as pytest-repeat has them: they make visits, not groups."""

Plain = str | int | float | bool | None


class Outcome(StrEnum):
    """What came of one marked test; all but `MEASURED` are left out of the fit."""

    MEASURED = "measured"
    FAILED = "failed"
    SKIPPED = "skipped"
    NOT_RUN = "not run"
    NOT_BENCHMARKED = "not benchmarked"
    SIZELESS = "without a size in extra_info"


@dataclass(kw_only=True)
class MarkedTest:
    """One test with one set of parameters, what it claims, and what came of it so far.

    `test` is the nodeid without parameters, `ident` what stands in its brackets; `times` has the
    statistics of the readings in seconds, once they were measured.
    """

    test: str
    ident: str = ""
    params: Mapping[str, object] = field(default_factory=dict)
    claims: tuple[Claim, ...]
    outcome: Outcome = Outcome.NOT_RUN
    times: Mapping[str, float] = field(default_factory=dict)
    extra_info: Mapping[str, object] = field(default_factory=dict)

    def value(self, source: str) -> object:
        """What a source names: a parameter, or an entry of extra_info; None where it is absent."""
        if source in self.params:
            return self.params[source]
        return self.extra_info.get(source.removeprefix(EXTRA))

    def sizes(self, claim: Claim) -> tuple[float | None, ...]:
        """The sizes of a claim in its order; None where one is not known."""
        return tuple(size_of(self.value(source)) for _, source in claim.sizes)


@dataclass(frozen=True, kw_only=True)
class Group:
    """The tests that one verdict is about, and the values that they share, as JSON holds them."""

    values: Mapping[str, Plain]
    tests: tuple[MarkedTest, ...]


def groups(claim: Claim, tests: Sequence[MarkedTest]) -> list[Group]:
    """The tests by the sources in `by`, in order of first appearance.

    Without `by`, every parameter that varies and is no size makes groups; but not one that gives
    names to sizes, one to one (`small` is 100, `large` is 10000).
    """
    sources = _dividing(claim, tests) if claim.by is None else claim.by
    columns = [_words(source, tests) for source in sources]
    names = [source.removeprefix(EXTRA) for source in sources]
    found: dict[str, list[int]] = {}
    for place in range(len(tests)):
        # By its text, since True and 1 are equal and yet two values of a parameter.
        found.setdefault(repr([column[place] for column in columns]), []).append(place)
    return [
        Group(
            values={n: column[places[0]] for n, column in zip(names, columns, strict=True)},
            tests=tuple(tests[place] for place in places),
        )
        for places in found.values()
    ]


def _dividing(claim: Claim, tests: Sequence[MarkedTest]) -> list[str]:
    sources = [source for _, source in claim.sizes]
    sizes = [test.sizes(claim) for test in tests]
    known = [place for place, size in enumerate(sizes) if None not in size]
    whole: list[Hashable] = [sizes[place] for place in known]
    single: list[list[Hashable]] = [
        [sizes[place][at] for place in known] for at in range(len(sources))
    ]
    dividing = []
    for name in dict.fromkeys(name for test in tests for name in test.params):
        if name in sources or name in REPEATS:
            continue
        words = [repr(word) for word in _words(name, tests)]
        seen = [words[place] for place in known]
        names_a_size = len(set(seen)) > 1 and any(_one_to_one(seen, s) for s in (whole, *single))
        if len(set(words)) > 1 and not names_a_size:
            dividing.append(name)
    return dividing


def _one_to_one(left: Sequence[Hashable], right: Sequence[Hashable]) -> bool:
    return len(set(left)) == len(set(right)) == len(set(zip(left, right, strict=True)))


def _words(source: str, tests: Sequence[MarkedTest]) -> list[Plain]:
    """What a source is in each test; objects as the test ids call them, else by name or number."""
    values = [test.value(source) for test in tests]
    keys = [repr(_plain(value)) if _is_plain(value) else id(value) for value in values]
    different = dict(zip(keys, values, strict=True))
    told = {
        key: shared_part(
            [test.ident for test, own in zip(tests, keys, strict=True) if own == key],
            [
                [value for value in test.params.values() if _is_plain(value)]
                for test, own in zip(tests, keys, strict=True)
                if own == key
            ],
        )
        for key, value in different.items()
        if not _is_plain(value)
    }
    names = {key: getattr(value, "__name__", None) for key, value in different.items()}
    words: dict[Hashable, Plain] = {}
    for number, (key, value) in enumerate(different.items()):
        if _is_plain(value):
            words[key] = _plain(value)
            continue
        # Two modules may have a function `sort` each.
        unique = [
            name
            for name, among in ((told[key], told), (names[key], names))
            if isinstance(name, str) and name and list(among.values()).count(name) == 1
        ]
        words[key] = unique[0] if unique else f"{source.removeprefix(EXTRA)}{number}"
    return [words[key] for key in keys]


def _is_plain(value: object) -> TypeGuard[Plain]:
    return value is None or isinstance(value, str | int | float)


def _plain(value: Plain) -> Plain:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
