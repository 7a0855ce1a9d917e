"""What `@pytest.mark.complexity` claims of a test; told before the tests run, in one line if wrong.

    @pytest.mark.complexity(LAW, LETTER=SOURCE..., tolerance=, confidence=, value=, by=)

A source is the name of a parameter of the test, or `extra_info.KEY` for what the test keeps in
`benchmark.extra_info`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from reports.laws.grammar import LawError, parse
from reports.laws.monomials import Law
from reports.tables.json_values import float_or_none
from reports.text.wording import listed, one_line

EXTRA = "extra_info."
"""What a source begins with that is a key of `benchmark.extra_info` and not a parameter."""
OPTIONS = ("tolerance", "confidence", "value", "by")

Statistic = Literal["median", "min"]


class ClaimError(ValueError):
    """A mark that claims nothing that can be judged; the message is one line for the user."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One mark: a law, what its letters stand for, and how it is to be judged.

    `sizes` has pairs of a letter and its source. `value` is the statistic of a benchmark's readings
    that counts as its time. `by` has the sources that make groups; None leaves the choice to
    `reports.claims_in_pytest.tests`.
    """

    law: str
    sizes: tuple[tuple[str, str], ...]
    tolerance: float = 0.1
    confidence: float = 0.95
    value: Statistic = "median"
    by: tuple[str, ...] | None = None


def claim_of(
    args: Sequence[object], keywords: Mapping[str, object], params: Mapping[str, object]
) -> Claim:
    """Read the arguments of a mark, for a test with these parameters.

    Raises:
        ClaimError: no law, not a law, an unknown keyword, a source that does not exist, a parameter
            that cannot be a size, or a number out of range.

    """
    text = args[0] if len(args) == 1 else None
    if not isinstance(text, str):
        got = ", ".join(map(repr, args)) or "nothing"
        raise ClaimError(f'expected one law in quotes, as in complexity("n*log(n)"), got {got}')
    given = {name: what for name, what in keywords.items() if name not in OPTIONS}
    law = _law(text, names={*given, *params})
    sizes = {name: name for name in law.names}
    sizes |= {name: _source(name, source, law, params) for name, source in given.items()}
    if not sizes:
        raise ClaimError(f'the law {law} names no size; say which one varies, as in n="size"')
    for name, source in sizes.items():
        if source in params and size_of(params[source]) is None:
            raise ClaimError(
                f'{name} stands for the parameter "{source}", which must be a positive number, '
                f"got {one_line(repr(params[source])):.60}"
            )
    return Claim(
        law=str(law),
        sizes=tuple(sizes.items()),
        tolerance=_tolerance(keywords.get("tolerance", 0.1)),
        confidence=_confidence(keywords.get("confidence", 0.95)),
        value=_statistic(keywords.get("value", "median")),
        by=_by(keywords.get("by"), sizes, params),
    )


def size_of(value: object) -> float | None:
    """The value as a size; None for what is no positive, finite number."""
    number = float_or_none(value)
    return number if number is not None and number > 0 else None


def _law(text: str, names: Collection[str]) -> Law:
    try:
        return parse(text, names)
    except LawError as problem:
        try:
            unmapped = [name for name in parse(text).names if name not in names]
        except LawError:
            unmapped = []
        hint = f'; say which parameter it is, as in {unmapped[0]}="size"' if unmapped else ""
        raise ClaimError(f"{problem}{hint}") from None


def _source(name: str, source: object, law: Law, params: Mapping[str, object]) -> str:
    if isinstance(source, str) and (source in params or _is_extra(source)):
        return source
    if name not in law.names:
        raise ClaimError(
            f"unknown keyword {name}={source!r}; expected a letter with the parameter that it "
            f'stands for, as in n="size", or {listed(OPTIONS)}'
        )
    raise ClaimError(f"{name}={source!r} is no parameter of the test ({_known(params)})")


def _by(
    by: object, sizes: Mapping[str, str], params: Mapping[str, object]
) -> tuple[str, ...] | None:
    if by is None:
        return None
    sources: Sequence[object] = [by] if not isinstance(by, list | tuple) else by
    for source in sources:
        if not isinstance(source, str) or (source not in params and not _is_extra(source)):
            raise ClaimError(f"by={source!r} is no parameter of the test ({_known(params)})")
        if source in sizes.values():
            raise ClaimError(
                f"by={source!r} is a size of the claim, and cannot make groups as well"
            )
    return tuple(map(str, sources))


def _tolerance(value: object) -> float:
    number = size_of(value)
    if number is None or number >= 0.5:
        raise ClaimError(f"tolerance must lie between 0 and 0.5, got {value!r}; try 0.1")
    return number


def _confidence(value: object) -> float:
    number = size_of(value)
    if number is None or not 0.5 <= number < 1:
        raise ClaimError(f"confidence must be from 0.5 to below 1, got {value!r}; try 0.95")
    return number


def _statistic(value: object) -> Statistic:
    if value == "median":
        return "median"
    if value == "min":
        return "min"
    raise ClaimError(f'value must be "median" or "min", got {value!r}')


def _is_extra(source: str) -> bool:
    return source.startswith(EXTRA) and len(source) > len(EXTRA)


def _known(params: Mapping[str, object]) -> str:
    have = f"which has {listed(list(params))}" if params else "which has none"
    return f'{have}; for what it keeps in benchmark.extra_info write "{EXTRA}KEY"'
