"""The judge's rules and tuned constants, each with what the judge does without it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np

from reports.judge.models.breaks import CACHED_BYTES
from reports.judge.models.error_scale import Setting
from reports.judge.models.explanations import choose
from reports.judge.models.outgrowing import best_rival
from reports.judge.refutation import _Jumps, one_jump_reaches

J, M = "reports.judge", "reports.judge.models"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule, where it stands, and what stands there without it.

    `target` is a function, and `without` gets its answer, then its arguments; or, where `without`
    is None, a constant, and `value` is what it is without the rule. A constant has a say where the
    function `asked` is called, or everywhere.
    """

    name: str
    target: str
    without: Callable[..., Any] | None = None
    value: Any = None
    asked: str | None = None


def _rule(name: str, target: str, to: Any) -> Rule:
    """A rule whose function always answers `to`, or what it makes of the answer."""
    without = to if callable(to) else lambda answer, *args, **options: to
    return Rule(name=name, target=target, without=without)


def _finding(name: str, **changes: Any) -> Rule:
    """A finding that is never made."""
    return _rule(
        name, f"{J}.judge.findings_of", to=lambda answer, *_, **__: replace(answer, **changes)
    )


def _constant(name: str, target: str, to: Any, asked: str | None = None) -> Rule:
    return Rule(name=name, target=target, value=to, asked=asked)


class _NoPlateau(_Jumps):
    """Without the jump before which all cells read one value."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._one = np.zeros_like(self._one)


class _NoDearerTerm(_Jumps):
    """Without the jump of a single lower-order term."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._lower = []


def _four_cells(answer: bool, setting: Any, model: Any, _: Any, *rest: Any) -> bool:
    return answer and one_jump_reaches(setting, model, 4, *rest)


RULES = (
    # the verdict
    _finding("lack of fit", misfit=False),
    _finding("overhead that dominates", overhead=0.0),
    _finding("sizes too few, too near or moving together", limits=()),
    _finding("terms that are absent", absent=()),
    _finding("claimed exponents that fit worse", claim_fits=True),
    _rule("outgrown at the claimed exponents", f"{J}.judge.outgrown", to=False),
    # the cells
    _rule("weights by overhead and rounding", f"{J}.judge.discounted", to=lambda _, one: one),
    _rule(
        "small sizes left out",
        f"{J}.judge.judgeable",
        to=lambda answer, one: answer if answer[2] is None else (one, choose(one), None),
    ),
    _constant("ERROR_OF_FEW", f"{J}.judge.ERROR_OF_FEW", 0.005),
    _constant("MOST_LACKING", f"{J}.judge.MOST_LACKING", 0),
    _constant("design effect", f"{M}.error_scale.Setting.design_effect", property(lambda _: 1.0)),
    # before a refutation
    _rule("refutation: sizes too few", f"{J}.refutation._sizes_too_few", to=False),
    _rule("refutation: four sizes, a jump", f"{J}.refutation._too_few_beside_a_jump", to=False),
    _rule("refutation: four sizes, a limit", f"{J}.refutation._too_few_at_the_limit", to=False),
    _rule("refutation: rests on largest", f"{J}.refutation.rests_on_largest", to=False),
    _rule("refutation: rests on ramp", f"{J}.refutation._rests_on_ramp", to=False),
    _rule("refutation: saved by one thing more", f"{J}.refutation.is_saved", to=False),
    _rule("saved by as much without logarithm", f"{J}.refutation._with_plain_terms", to=inf),
    _rule("saved by a lead over many doublings", f"{J}.refutation.is_long", to=False),
    _rule("saved by one jump", f"{J}.refutation.one_jump_reaches", to=False),
    _rule("one jump: half-way", f"{J}.refutation.ramps", to=lambda *_: []),
    _constant(
        "one jump: plateau",
        f"{J}.refutation._Jumps",
        _NoPlateau,
        f"{J}.refutation.one_jump_reaches",
    ),
    _constant(
        "one jump: dearer term",
        f"{J}.refutation._Jumps",
        _NoDearerTerm,
        f"{J}.refutation.one_jump_reaches",
    ),
    _rule("one jump: of one cell", f"{J}.refutation.one_jump_reaches", to=_four_cells),
    _constant(
        "saved: visible share", f"{J}.refutation.VISIBLE_SHARE", 0.0, f"{J}.refutation.is_saved"
    ),
    _constant(
        "saved: misfit in errors",
        f"{J}.refutation.MISFIT_IN_ERRORS",
        inf,
        f"{J}.refutation.is_saved",
    ),
    _constant("saved: AS_GOOD", f"{J}.refutation.AS_GOOD", 0.0, f"{J}.refutation.is_saved"),
    _constant(
        "LEAST_LOGARITHM",
        f"{J}.refutation.LEAST_LOGARITHM",
        0.0,
        f"{J}.refutation._with_plain_terms",
    ),
    _rule(
        "saved: what an absent term has to reach",
        f"{J}.refutation._to_be_reached",
        to=lambda answer, setting, chosen, *_: chosen.score + 2.0,
    ),
    _constant(
        "the other statistic",
        f"{J}.fit.OTHER",
        {"quiet": "quiet", "median": "median", "min": "min"},
        f"{J}.fit._left_open",
    ),
    # findings
    _constant("WIDEST", f"{J}.findings.WIDEST", 1.0, f"{J}.findings.allowed_exponents"),
    _rule(
        "half of a logarithm",
        f"{J}.findings.within",
        to=lambda answer, model, margins, largest: tuple(
            (float(c) - m, float(c) + m) for c, m in zip(model.claimed, margins, strict=True)
        ),
    ),
    _rule(
        "overhead at claimed exponents",
        f"{J}.findings._overhead",
        to=lambda answer, setting, chosen: chosen.solution.shares[:, : chosen.model.overheads].sum(
            axis=1
        ),
    ),
    # the explanations
    _rule("far exponents", f"{M}.fitted._is_steep", to=False),
    _rule("far exponents that are steep", f"{M}.fitted._is_steep", to=True),
    _rule("plain terms over many doublings", f"{M}.explanations.is_long", to=False),
    _rule("small breaks", f"{M}.explanations._is_small", to=False),
    _rule("a rival", f"{M}.explanations.best_rival", to=None),
    _rule(
        "the second rival",
        f"{M}.explanations.best_rival",
        to=lambda answer, setting, limit: answer and _single(setting, limit),
    ),
    _rule("shows_beyond, of a rival", f"{M}.outgrowing.shows_beyond", to=True),
    _rule("breaks", f"{M}.explanations.best_breaks", to=[]),
    _rule("caches left by degrees", f"{M}.explanations.spills", to=lambda *_: []),
    _rule("page faults", f"{M}.breaks._by_faults", to=lambda *_: []),
    _rule(
        "breaks at the bytes for the caches",
        f"{M}.breaks._quantities",
        to=lambda answer, *_: [one for one in answer if one[1] != CACHED_BYTES],
    ),
    _rule("PHYSICAL_BONUS", f"{M}.explanations._bonus", to=0.0),
    _constant("PRICE", f"{M}.fitted.PRICE", 0.0),
    _constant("PRICE_BESIDE_SEVERAL", f"{M}.fitted.PRICE_BESIDE_SEVERAL", 0.5),
    _constant("MOST_TRIED", f"{M}.explanations.MOST_TRIED", 4),
    _constant("MOST_FITTED", f"{M}.explanations.MOST_FITTED", 1),
)


def _single(setting: Setting, limit: float) -> Any:
    """The best rival of one term."""
    from unittest.mock import patch

    with patch(f"{M}.outgrowing.combinations", lambda *_: ()):
        return best_rival(setting, limit)
