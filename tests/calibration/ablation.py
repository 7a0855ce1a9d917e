"""Switches the judge's rules off, one at a time: `python -m tests.calibration.ablation`.

Each claim is judged with the rule and without it on the same simulated sweep, so that a verdict
that changes is changed by the rule. A rule has a say in a sweep only if one of its functions
answers otherwise without it: this is noted while the whole judge judges, and only these sweeps are
judged again. The table goes to the end of docs/calibration.md.
"""

from __future__ import annotations

import argparse
import pickle
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from typing import Any
from unittest.mock import patch

from reports.judge.fit_groups import fit_groups
from reports.judge.result import Verdict
from reports.tables.read import Table, read_table
from tests.calibration.foreign import foreign_trials, foreign_tried
from tests.calibration.rules import RULES, Rule
from tests.calibration.scenarios import (
    CACHED,
    GRIDS,
    HIDING,
    NEAR,
    NOISES,
    ONE_VARIABLE,
    THREE_VARIABLES,
    TRUTHS,
)
from tests.calibration.tally import Outcome, trials, tried

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "calibration.md"
TABLES = (
    ("reports/gallery/quick", "time_s"),
    ("reports/gallery/quick", "workspace_bytes"),
    ("reports/gallery/cuda", "time_s"),
    ("reports/gallery/cuda", "graph_time_s"),
    ("reports/gallery/cuda", "workspace_bytes"),
    ("tests/reports/shared_machine.csv", "time_s"),
)
FIRST_SEED = 300_000
HEAD = """## Each rule switched off

Written by `python -m tests.calibration.ablation --sweeps {sweeps} --most {most}`, seeds from
{first} on. The whole judge judges {count} claims on the sweeps and tables above: {right} rightly,
{wrong} wrongly, the rest are left open. Each rule in `tests/calibration/rules.py` is then switched
off by itself, or its constant set to what has no effect, and the same claims are judged again.

- **say**: the claims where some answer within the judge depends on the rule.
- **judged**: those of them that were judged again, at most {most}, evenly drawn.
- **changed**: of these, the verdicts that change. **right**, **wrong**: how many more without it.
- **cover**: how many more of the intervals of true claims hold the true exponent.
- **tables**: the verdicts that change on the committed runs, {tables} in all.

| rule | say | judged | changed | right | wrong | cover | tables |
|---|--:|--:|---|--:|--:|--:|--:|
"""


@contextmanager
def switched_off(rule: Rule) -> Iterator[None]:
    """The judge without a rule."""
    with ExitStack() as stack:
        if rule.without is None:
            stack.enter_context(patch(rule.target, rule.value))
        else:
            original, without = resolve_name(rule.target), rule.without
            stack.enter_context(
                patch(rule.target, lambda *of, **by: without(original(*of, **by), *of, **by))
            )
        yield


@contextmanager
def watched(rules: Sequence[Rule]) -> Iterator[set[str]]:
    """The whole judge; the set names the rules that have a say."""
    told: set[str] = set()
    by_target: dict[str, list[Rule]] = {}
    for rule in rules:
        target = rule.asked if rule.without is None else rule.target
        if target is None:
            told.add(rule.name)
        else:
            by_target.setdefault(target, []).append(rule)

    def watcher(original: Callable[..., Any], those: Sequence[Rule]) -> Callable[..., Any]:
        def answer(*of: Any, **by: Any) -> Any:
            found = original(*of, **by)
            found = list(found) if isinstance(found, Iterator) else found
            told.update(
                rule.name
                for rule in those
                if rule.name not in told
                and (rule.without is None or not _same(rule.without(found, *of, **by), found))
            )
            return found

        return answer

    with ExitStack() as stack:
        for target, those in by_target.items():
            stack.enter_context(patch(target, watcher(resolve_name(target), those)))
        yield told


def _same(one: Any, other: Any) -> bool:
    try:
        return one is other or bool(one == other)
    except ValueError:  # arrays
        return pickle.dumps(one) == pickle.dumps(other)


Case = Callable[[], Outcome[Any]]


def cases(sweeps: int) -> list[Case]:
    """The simulated sweeps, each with a true or a false claim."""
    plane, first = [GRIDS["7x6"], GRIDS["triangle"]], FIRST_SEED
    growing = [truth for truth in TRUTHS if truth.true != "1"]
    asked = [
        *trials(TRUTHS, plane, NOISES, sweeps, first_seed=first),
        *trials(CACHED, plane[:1], NOISES, sweeps, first_seed=first),
        *trials(NEAR, plane[:1], NOISES[:3], 2 * sweeps, first_seed=first),
        *trials(ONE_VARIABLE, [GRIDS["ten sizes"]], NOISES, 4 * sweeps, first_seed=first),
        *trials(THREE_VARIABLES[:1], [GRIDS["4x4x4"]], NOISES[:4], sweeps, first_seed=first),
        *(one for one in trials(growing, plane[:1], HIDING, sweeps, first_seed=first) if one.true),
    ]
    foreign = foreign_trials(8 * sweeps, first_seed=first)
    return [
        *(lambda one=one: tried(one) for one in asked),
        *(lambda one=one: foreign_tried(one) for one in foreign),
    ]


@cache
def _read(table: str) -> Table:
    return read_table(ROOT / table)


def verdicts_of(table: str, value: str) -> list[Verdict]:
    """The verdicts on one committed run."""
    read = _read(table)
    return [one.verdict for one in fit_groups(read.frame, value=value, info=read.shared_info)]


def kind(outcome: Outcome[Any]) -> str:
    """Whether a verdict is right, wrong, or leaves the claim open."""
    if outcome.verdict is Verdict.INCONCLUSIVE:
        return "open"
    good = Verdict.CONFIRMED if outcome.trial.true else Verdict.REFUTED
    return "right" if outcome.verdict is good else "wrong"


@dataclass(kw_only=True)
class Row:
    """What becomes of the verdicts without a rule."""

    rule: str
    say: int
    judged: int
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)
    covered: int = 0
    tables: int = 0

    def more(self, of: str) -> int:
        """How many more verdicts of a kind there are."""
        return sum(((b == of) - (a == of)) * count for (a, b), count in self.moves.items())

    def __str__(self) -> str:
        changed = ", ".join(f"{count} {a} → {b}" for (a, b), count in sorted(self.moves.items()))
        numbers = (f"{one:+d}" if one else "0" for one in (self.more("right"), self.more("wrong")))
        return (
            f"| {self.rule} | {self.say} | {self.judged} | {changed or 'none'} | "
            f"{' | '.join(numbers)} | {self.covered:+d} | {self.tables} |"
        )


class Ablation:
    """The whole judge's verdicts, and what becomes of them without a rule."""

    def __init__(self, rules: Sequence[Rule], sweeps: int, most: int) -> None:
        self._cases, self._most = cases(sweeps), most
        self._whole = [self._watched(rules, case) for case in self._cases]
        self._tables = [self._watched(rules, lambda one=one: verdicts_of(*one)) for one in TABLES]
        self.kinds = Counter(kind(found) for found, _ in self._whole)
        self.tables = sum(len(found) for found, _ in self._tables)

    @staticmethod
    def _watched(rules: Sequence[Rule], case: Callable[[], Any]) -> tuple[Any, set[str]]:
        with watched(rules) as told:
            return case(), told

    def without(self, rule: Rule) -> Row:
        """Judge what the rule has a say in again."""
        say = [k for k, (_, told) in enumerate(self._whole) if rule.name in told]
        again = say[:: -(-len(say) // self._most) or 1]
        row = Row(rule=rule.name, say=len(say), judged=len(again))
        with switched_off(rule):
            for before, after in ((self._whole[k][0], self._cases[k]()) for k in again):
                row.covered += after.covered - before.covered
                if kind(before) != kind(after):
                    row.moves[kind(before), kind(after)] += 1
            for one, (verdicts, told) in zip(TABLES, self._tables, strict=True):
                if rule.name in told:
                    pairs = zip(verdicts, verdicts_of(*one), strict=True)
                    row.tables += sum(before is not after for before, after in pairs)
        return row


def main(arguments: Sequence[str] | None = None) -> None:
    """Judge, switch off, judge again, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=1, help="a law, grid and noise")
    parser.add_argument("--most", type=int, default=200, help="claims judged again for a rule")
    parser.add_argument("--only", nargs="*", help="rules, by their names; the page is left alone")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    rules = [rule for rule in RULES if not options.only or rule.name in options.only]
    ablation = Ablation(rules, options.sweeps, options.most)
    lines = []
    for rule in rules:
        lines.append(str(ablation.without(rule)))
        print(lines[-1], flush=True)
    if options.only:
        return
    head = HEAD.format(
        sweeps=options.sweeps,
        most=options.most,
        first=FIRST_SEED,
        count=ablation.kinds.total(),
        right=ablation.kinds["right"],
        wrong=ablation.kinds["wrong"],
        tables=ablation.tables,
    )
    page = PAGE.read_text(encoding="utf-8").partition(HEAD.splitlines()[0])[0].rstrip()
    PAGE.write_text(f"{page}\n\n{head}" + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
