"""The verdicts as rows with their words: the same in HTML, Markdown and the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from reports.judge.result import Fit
from reports.text import wording
from reports.text.labels import label_of
from reports.text.wording import by_text
from reports.verdicts.advice import advice
from reports.verdicts.reasons import (
    COSTS,
    REASONS,
    Reason,
    reason_of,
    remark,
    span,
)


@dataclass(frozen=True, kw_only=True)
class VerdictRow:
    """One fit as the tables show it.

    `label` names the group by its implementation and by whatever else varies among the fits;
    `remark` is what no column shows, `span` the judged range of the sizes; `meanings` has what each
    reason code means, `numbers` what this fit's own numbers add to it.
    """

    label: str
    fit: Fit
    remark: str
    span: str
    meanings: Mapping[str, Reason]
    numbers: Mapping[str, str]

    def exponent(self, letter: str) -> str:
        """The exponent of a size with its interval as text; a dash where there is none."""
        return wording.interval(self.fit.exponents.get(letter))


@dataclass(frozen=True, kw_only=True)
class Said:
    """A text with those it holds for."""

    who: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """The rows that judge one cost, with the size letters that they have exponents of."""

    title: str
    rows: tuple[VerdictRow, ...]
    letters: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Cause:
    """A reason code with those it concerns, what it means, and what to do.

    `shared` are the numbers that are the same for all, `several` those that differ.
    """

    code: str
    who: str
    sentence: str
    next_step: str
    shared: str
    several: tuple[Said, ...]


def verdict_rows(fits: Sequence[Fit]) -> list[VerdictRow]:
    """One row a fit, in the order given, with labels that tell them apart."""
    return [
        VerdictRow(
            label=label,
            fit=fit,
            remark=remark(fit),
            span=span(fit),
            meanings={code: reason_of(fit, code) for code in fit.reasons if code in REASONS},
            numbers={code: text for code in fit.reasons if (text := advice(fit, code))},
        )
        for fit, label in zip(fits, labels(fits), strict=True)
    ]


def labels(fits: Sequence[Fit]) -> list[str]:
    """What each fit is called, so that they can be told apart."""
    varying = _varying([fit.group for fit in fits])
    return [
        label_of({name: fit.group[name] for name in varying if name in fit.group}) for fit in fits
    ]


def sections(rows: Sequence[VerdictRow]) -> list[Section]:
    """The rows by cost, time first."""
    values = sorted({row.fit.value for row in rows}, key=lambda value: (value != "time_s", value))
    found = []
    for value in values:
        part = tuple(row for row in rows if row.fit.value == value)
        letters = dict.fromkeys(letter for row in part for letter in row.fit.exponents)
        title = wording.capital(COSTS[value]) if value in COSTS else value
        found.append(Section(title=title, rows=part, letters=tuple(letters)))
    return found


def causes(
    rows: Sequence[VerdictRow], told: Callable[[VerdictRow], bool] = lambda row: True
) -> list[Cause]:
    """Every reason among the rows, once, in order of first appearance, with the numbers of some.

    A code that means different things for different fits comes once for each. The numbers are
    those of the rows that are to be `told`, the same ones once.
    """
    costs = len({row.fit.value for row in rows})
    codes = list(dict.fromkeys(code for row in rows for code in row.meanings))
    found = dict.fromkeys(pair for row in rows for pair in row.meanings.items())
    causes = []
    for code, reason in sorted(found, key=lambda pair: codes.index(pair[0])):
        having = [row for row in rows if row.meanings.get(code) == reason]
        same = by_text(
            (row.numbers[code], row) for row in having if code in row.numbers and told(row)
        )
        several = {text: own for text, own in same.items() if len(own) < len(having)}
        causes.append(
            Cause(
                code=code,
                who=concerned(having, of_costs=costs),
                sentence=reason.sentence,
                next_step=reason.next_step,
                shared=" ".join(text for text in same if text not in several),
                several=tuple(
                    Said(who=concerned(own, of_costs=costs), text=text)
                    for text, own in several.items()
                ),
            )
        )
    return causes


def concerned(some: Sequence[VerdictRow], *, of_costs: int) -> str:
    """Who some rows are: `sdpa and loop`; where several costs are judged, of which cost too.

    As in `time: sdpa; workspace: loop`.
    """
    named = {section.title: _names(section.rows) for section in sections(some)}
    if of_costs == 1:
        return "".join(named.values())
    return "; ".join(f"{title[:1].lower()}{title[1:]}: {names}" for title, names in named.items())


def _names(rows: Sequence[VerdictRow]) -> str:
    return wording.listed([row.label for row in rows])


def _varying(groups: Sequence[Mapping[str, object]]) -> list[str]:
    """The keys to name a group by: the implementation always, the others where they differ."""
    keys = list(dict.fromkeys(key for group in groups for key in group))
    return [
        key
        for key in keys
        if key == "implementation" or len({str(group.get(key)) for group in groups}) > 1
    ]
