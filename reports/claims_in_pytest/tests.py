"""Marked tests and what came of them, and which of them belong to one verdict."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeGuard

from reports.claims_in_pytest.claims import EXTRA, Claim, ClaimError, claim_of, size_of
from reports.tables.benchmarks.pytest_ids import shared_part
from reports.text.wording import one_line

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
    together = [sizes[place] for place in known]
    alone = list(zip(*together, strict=True))
    dividing = []
    for name in dict.fromkeys(name for test in tests for name in test.params):
        if name in sources or name in REPEATS:
            continue
        words = [repr(word) for word in _words(name, tests)]
        seen = [words[place] for place in known]
        names_a_size = any(_one_to_one(seen, size) for size in (together, *alone))
        if len(set(words)) > 1 and not (len(set(seen)) > 1 and names_a_size):
            dividing.append(name)
    return dividing


def _one_to_one(left: Sequence[Hashable], right: Sequence[Hashable]) -> bool:
    return len(set(left)) == len(set(right)) == len(set(zip(left, right, strict=True)))


def _words(source: str, tests: Sequence[MarkedTest]) -> list[Plain]:
    """What a source is in each test; objects as the test ids call them, else by name or number."""
    values = [test.value(source) for test in tests]
    keys = [repr(_plain(value)) if _is_plain(value) else id(value) for value in values]
    words: dict[Hashable, Plain] = {}
    objects = {}
    for number, (key, value) in enumerate(dict(zip(keys, values, strict=True)).items()):
        if _is_plain(value):
            words[key] = _plain(value)
        else:
            words[key] = f"{source.removeprefix(EXTRA)}{number}"
            objects[key] = getattr(value, "__name__", None)
    told = {}
    for key in objects:
        having = [test for test, own in zip(tests, keys, strict=True) if own == key]
        plain = [list(filter(_is_plain, test.params.values())) for test in having]
        told[key] = shared_part([test.ident for test in having], plain)
    # The better names last. Two modules may have a function `sort` each.
    for names in (objects, told):
        times = Counter(names.values())
        words |= {key: name for key, name in names.items() if name and times[name] == 1}
    return [words[key] for key in keys]


def _is_plain(value: object) -> TypeGuard[Plain]:
    return value is None or isinstance(value, str | int | float)


def _plain(value: Plain) -> Plain:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


class Foreign:
    """A value of the session that is neither text nor number: known by its name and its look."""

    def __init__(self, name: str | None, look: str) -> None:
        self.__name__ = name
        self._look = look

    def __repr__(self) -> str:
        return self._look


class Received:
    """The tests of one document whose marks are right.

    `wrong` has a line for every test, which is empty where the marks are right. What was one object
    in the session is one object here.
    """

    def __init__(self, documents: Sequence[Mapping[str, Any]]) -> None:
        self._foreign: dict[int, Foreign] = {}
        self.wrong = [""] * len(documents)
        self.tests: list[MarkedTest] = []
        for place, document in enumerate(documents):
            try:
                self.tests.append(self._test(document))
            except ClaimError as problem:
                self.wrong[place] = one_line(problem)

    def _test(self, document: Mapping[str, Any]) -> MarkedTest:
        params = self._values(document["params"])
        claims = (
            claim_of(list(map(self._value, mark["args"])), self._values(mark["kwargs"]), params)
            for mark in document["marks"]
        )
        return MarkedTest(
            test=document["test"],
            ident=document["ident"],
            params=params,
            claims=tuple(dict.fromkeys(claims)),  # the same claim twice is one claim
            outcome=Outcome(document["outcome"]),
            times=document["times"],
            extra_info=self._values(document["extra_info"]),
        )

    def _values(self, values: Mapping[str, Any]) -> dict[str, object]:
        return {name: self._value(value) for name, value in values.items()}

    def _value(self, value: Any) -> object:
        if isinstance(value, list):
            return list(map(self._value, value))
        if not isinstance(value, dict):
            return value
        return self._foreign.setdefault(value["id"], Foreign(value["name"], value["look"]))
