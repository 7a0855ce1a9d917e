"""Laws of attention under powers of two, which are exact: no size of number is treated apart.

Values times 2^k give outputs and gradients times 2^k; so do upstream gradients, for the gradients;
queries times 2^k with keys times 2^-k leave dot products as they are, and are not asked of other
scores. Multiplying by a power of two rounds nothing, so that a right kernel keeps to these laws to
the last bit, as long as nothing overflows or becomes subnormal. A kernel that clamps what is large,
drops what is small or holds something in a narrower dtype does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from bench.checks.probes.trial import GRADIENTS, Trial, gradients_of, leaves_of, probe
from bench.checks.results import CheckResult
from bench.timing.inputs import Inputs

# As far as products of three such numbers stay within the dtype's normal range; float16 has hardly
# any room below ordinary numbers.
EXPONENTS = {"float64": (300, -300), "float32": (40, -40), "bfloat16": (40, -40), "float16": (9,)}
# All inputs below a millionth at once; their gradients are products of three of them.
SMALL = {"float64": -100, "float32": -24, "bfloat16": -24}
WITHOUT_GRADIENTS, WITH_THEM = "output", "output where gradients are asked for"


class Law(NamedTuple):
    """What is multiplied by which power of 2^k, and what must come out multiplied by which."""

    check: str
    given: dict[str, int]
    gives: dict[str, int]
    words: str


UPSTREAM = {"grad_query": 1, "grad_key": 1, "grad_value": 1}
VALUES = {WITHOUT_GRADIENTS: 1, WITH_THEM: 1, "grad_query": 1, "grad_key": 1}
SCORES = {"grad_query": -1, "grad_key": 1}
LAWS = (
    Law("values_scaled", {"value": 1}, VALUES, "values"),
    Law("upstream_scaled", {"grad_output": 1}, UPSTREAM, "upstream gradients"),
    Law("scores_kept", {"query": 1, "key": -1}, SCORES, "queries, and keys divided,"),
)


@probe
def check_scaling(trial: Trial) -> Iterator[CheckResult]:
    """Each law for each power of two; then inputs that are all small, against the reference."""
    inputs = trial.inputs()
    trial.formed(trial.forward(inputs), inputs)
    base = _quantities(trial, inputs)
    for law in LAWS:
        if _holds(trial, law, inputs):
            yield _judged(trial, law, inputs, base)
    if trial.case.case.dtype in SMALL:
        yield _small(trial, inputs)


def _holds(trial: Trial, law: Law, inputs: Inputs) -> bool:
    """Whether the formula itself, in float64, keeps to the law: few scores are dot products."""
    names = ("query", "key", "value", "grad_output")
    exact = replace(inputs, **{name: getattr(inputs, name).double() for name in names})
    base, other = (trial.expect(one).values for one in (exact, _scaled(exact, law.given, 1)))
    return all(
        torch.equal(other[name], base[name] * 2.0 ** law.gives.get(name, 0)) for name in base
    )


def _judged(trial: Trial, law: Law, inputs: Inputs, base: dict[str, Tensor]) -> CheckResult:
    case = trial.case.case
    # On a GPU sums are added up in no fixed order, and in float16 what is small is subnormal.
    exact = case.device == "cpu" and case.dtype != "float16"
    found = []
    for exponent in EXPONENTS[case.dtype]:
        actual = _quantities(trial, _scaled(inputs, law.given, exponent))
        for name in (one for one in base if one in actual):
            power = exponent * law.gives.get(name, 0)
            restored = actual[name].cpu().double() * 2.0**-power
            quantity = "output" if name == WITH_THEM else name
            allowed = 0.0 if exact else 2 * trial.expected().allowed[quantity]
            reason = f"{law.words} times 2^{exponent} do not give {name} times 2^{power}"
            expected = base[name].cpu().double()
            found.append(trial.compared(law.check, restored, expected, allowed, reason))
    return max(found, key=CheckResult.severity)


def _small(trial: Trial, inputs: Inputs) -> CheckResult:
    every = dict.fromkeys(("query", "key", "value", "grad_output"), 1)
    small = _scaled(inputs, every, SMALL[trial.case.case.dtype])
    expected = trial.expect(small)
    found = []
    for name, actual in _quantities(trial, small).items():
        quantity = "output" if name == WITH_THEM else name
        # Told at their ordinary size: gradients of scores are products of three small numbers.
        power = 3 if quantity in ("grad_query", "grad_key") else 1
        unit = 2.0 ** (-power * SMALL[trial.case.case.dtype])
        value, allowed = unit * expected.values[quantity], unit * expected.allowed[quantity]
        reason = f"{name} of inputs that are all small"
        restored = unit * actual.cpu().double()
        found.append(trial.compared("small_inputs", restored, value, allowed, reason))
    return max(found, key=CheckResult.severity)


def _scaled(inputs: Inputs, powers: dict[str, int], exponent: int) -> Inputs:
    factors = {name: 2.0 ** (power * exponent) for name, power in powers.items()}
    return replace(inputs, **{name: getattr(inputs, name) * by for name, by in factors.items()})


def _quantities(trial: Trial, inputs: Inputs) -> dict[str, Tensor]:
    """What the kernel gives: the output without gradients and with them, and those that arrive."""
    found: dict[str, Tensor | None] = {WITHOUT_GRADIENTS: trial.forward(inputs)}
    if trial.wants_gradients:
        leaves = leaves_of(inputs)
        try:
            output = trial.call(inputs, leaves)
            found[WITH_THEM] = output.detach()
            found |= zip(GRADIENTS, gradients_of(output, leaves, inputs), strict=True)
        except Exception:
            pass  # refused gradients are the business of other checks
    return {name: one for name, one in found.items() if one is not None}
