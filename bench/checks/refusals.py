"""Tells a kernel that refuses from one that is broken, where it declared nothing.

A function given on the command line has no list of what it supports. If it raises in every
situation of one kind, such as three dimensions or bfloat16, and answers in others, it does not
support that kind: it is loud about it, and nobody gets a wrong number. A keyword that stands in the
signature is a promise; it may be taken back by ValueError or an assertion in every case, and by
nothing else. Where it raises in all that is asked, `witnesses` names what to ask beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from bench.checks.probes.trial import GRADIENTS, WHERE_ASKED
from bench.checks.results import CheckResult
from bench.checks.situation import CheckCase
from bench.checks.traits import FEATURES, KINDS, PROMISED, Kind, dtype
from bench.process.answers import POISONED
from implementations.case import DTYPES
from implementations.interface import Feature, Implementation

MASKS = (Feature.BOOLEAN_MASK, Feature.FLOAT_MASK)
RAISED = ("output", *GRADIENTS)


def witnesses(implementation: Implementation, results: Sequence[CheckResult]) -> list[CheckCase]:
    """What to ask in other dtypes where an undeclared kernel raised in all of its own.

    A kernel for half precision alone raises in all of float32, as a broken kernel does. It refuses
    float32 if it answers elsewhere. Each mask is asked once, in the most regular of its situations.
    """
    asked = [one for one in results if one.status != "unsupported" and _is_telling(one.case)]
    if implementation.declared or not all(map(_raised, asked)):
        return []
    regular: dict[tuple[str, bool], CheckCase] = {}
    for one in asked:
        if one.case.probe == "values":
            best = regular.setdefault(_mask(one), one.case)
            regular[_mask(one)] = max(best, one.case, key=_regularity)
    others = [name for name in DTYPES if name not in {one.case.case.dtype for one in asked}]
    return [case.under(dtype=name) for case in regular.values() for name in others]


def _regularity(case: CheckCase) -> tuple[bool, int]:
    """Four dimensions, and sizes that are multiples of much, are what most kernels take."""
    one = case.case
    divisor = math.gcd(one.seq_len, one.key_len, one.head_dim, one.value_dim)
    return len(case.leading) == 2 and not case.arrange, divisor


def mark_refusals_unsupported(
    implementation: Implementation,
    results: Sequence[CheckResult],
    elsewhere: Sequence[CheckResult] = (),
) -> list[CheckResult]:
    """The results, with what an undeclared kernel refuses marked `unsupported`.

    `elsewhere` are results of `witnesses`: they tell what is refused, and are not returned.
    """
    found = [*results, *elsewhere]
    if implementation.declared:
        return list(results)
    found = _without_gradients(implementation.name, found)
    if implementation.supports.isdisjoint(MASKS):
        found = [_without_keys(one) for one in found]
    # Who refuses a dtype was never asked for a feature in it.
    for kind in (dtype, *FEATURES, *KINDS):
        for words in dict.fromkeys(filter(None, (kind(one.case) for one in found))):
            found = _mark_kind(implementation.name, found, kind, words)
    return found[: len(results)]


def _without_gradients(name: str, results: list[CheckResult]) -> list[CheckResult]:
    """A kernel that raises wherever gradients are asked for does not have any."""
    asked = [one for one in results if one.check in GRADIENTS and one.status != "unsupported"]
    if not asked or not all((one.reason or "").startswith(WHERE_ASKED) for one in asked):
        return results
    return _refused(results, asked, f"{name} refuses inputs that require gradients")


def _without_keys(result: CheckResult) -> CheckResult:
    """That a row without keys gives zeros is promised by those who take masks."""
    infinite = (result.reason or "").startswith("not finite")
    if result.case.case.key_len or result.status != "fail" or not infinite:
        return result
    reason = f"{result.implementation} gives nothing finite where there are no keys"
    return replace(result, status="unsupported", reason=reason)


def _mark_kind(name: str, results: list[CheckResult], kind: Kind, words: str) -> list[CheckResult]:
    of_kind: list[CheckResult] = []
    others: list[CheckResult] = []
    for one in results:
        if one.status != "unsupported" and one.check != "zero_rate":
            (of_kind if kind(one.case) == words else others).append(one)
    raised = [one for one in of_kind if _raised(one)]
    # Without two keys there is nothing to weigh, and much is left uncomputed.
    telling = [one for one in of_kind if _is_telling(one.case)] or of_kind
    if not raised or not all(map(_raised, telling)):
        return results
    answered = [one for one in others if one.status == "pass" and _is_telling(one.case)]
    refused = bool(answered) and all(_on_purpose(one) for one in raised)
    if kind not in PROMISED:
        # Who raises for a mask or is_causal whatever the kind does not refuse the kind.
        refused |= {_mask(one) for one in answered}.issuperset(_mask(one) for one in raised)
    if not refused:
        return results
    return _refused(results, raised, f"{name} refuses {words}")


def _refused(
    results: list[CheckResult], refusals: Sequence[CheckResult], what: str
) -> list[CheckResult]:
    """The results, with these among them marked."""
    places = {id(one) for one in refusals}
    reason = f"{what}: {refusals[0].reason}"
    return [
        replace(one, status="unsupported", reason=reason) if id(one) in places else one
        for one in results
    ]


def _raised(result: CheckResult) -> bool:
    """Whether the kernel raised; an illegal access on a GPU is no refusal."""
    fatal = POISONED in (result.reason or "")
    return result.status == "error" and result.check in RAISED and not fatal


def _on_purpose(result: CheckResult) -> bool:
    """Whether the exception is one by which programmers say no."""
    return (result.reason or "").startswith(("raised ValueError", "raised AssertionError"))


def _is_telling(case: CheckCase) -> bool:
    return case.case.seq_len > 1 and case.case.key_len > 1 and case.case.batch > 0


def _mask(result: CheckResult) -> tuple[str, bool]:
    return result.case.case.mask, result.case.case.is_causal
