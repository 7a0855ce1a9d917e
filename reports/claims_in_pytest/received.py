"""What the pytest plugin sends: marked tests as JSON. `attnscale.judging_process` writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reports.claims_in_pytest.claims import ClaimError, claim_of
from reports.claims_in_pytest.tests import MarkedTest, Outcome
from reports.text.wording import one_line


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
        self.wrong: list[str] = []
        self.tests: list[MarkedTest] = []
        for document in documents:
            try:
                self.tests.append(self._test(document))
                self.wrong.append("")
            except ClaimError as problem:
                self.wrong.append(one_line(problem))

    def _test(self, document: Mapping[str, Any]) -> MarkedTest:
        params = self._values(document["params"])
        claims = (
            claim_of(self._items(mark["args"]), self._values(mark["kwargs"]), params)
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

    def _items(self, values: Sequence[Any]) -> list[object]:
        return [self._value(value) for value in values]

    def _value(self, value: Any) -> object:
        if isinstance(value, list):
            return self._items(value)
        if not isinstance(value, dict):
            return value
        return self._foreign.setdefault(value["id"], Foreign(value["name"], value["look"]))
