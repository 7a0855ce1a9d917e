"""A claim of an article, and what a test of it decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from bench.process.answers import named

Value: TypeAlias = float | int | str | None


class Ruling(StrEnum):
    """What became of a claim; `UNDECIDED` where its test could not be carried out."""

    TRUE = "true"
    FALSE = "false"
    CONDITIONAL = "true on a condition"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A ruling with its evidence: a sentence for people, and the values in it for programs.

    `condition` says when the claim holds, where it does so on a condition.
    """

    ruling: Ruling
    evidence: str
    values: Mapping[str, Value] = field(default_factory=dict)
    condition: str | None = None


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim in one line, the article that makes it, how it is tested, and the test.

    The test runs something and decides by what comes out. Its subjects, what it runs, are
    arguments with defaults, so that others may be tested in their place.
    """

    article: str
    text: str
    how: str
    test: Callable[[], Decision]

    def decide(self) -> Decision:
        """What the test decides; undecided, with the reason, where it raises."""
        try:
            return self.test()
        except Exception as problem:
            return Decision(ruling=Ruling.UNDECIDED, evidence=f"the test raised {named(problem)}")


def all_hold(checks: Sequence[tuple[bool, str]], **values: Value) -> Decision:
    """True where every check holds, else false; each check says what was found."""
    holds = all(one for one, _ in checks)
    return Decision(
        ruling=Ruling.TRUE if holds else Ruling.FALSE,
        evidence="; ".join(said for _, said in checks),
        values=values,
    )
