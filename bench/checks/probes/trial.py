"""One implementation in one situation: its inputs, its calls, and what they are held against."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, wraps
from typing import Any, TypeAlias

import torch
from torch import Tensor

from bench.checks.error_bound import Expected, expect
from bench.checks.recipe import build
from bench.checks.results import CheckResult
from bench.checks.situation import CheckCase
from bench.timing.inputs import Inputs
from implementations.interface import Feature, Implementation, Layout
from implementations.oracle import QUANTITIES, Oracle, largest_error

GRADIENTS = QUANTITIES[1:]
Leaves = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One implementation in one situation.

    Inputs are made anew whenever they are asked for, so that whoever changes them changes his own.
    """

    implementation: Implementation
    case: CheckCase
    seed: int

    def inputs(self, seed_offset: int = 0) -> Inputs:
        """The inputs of the situation; another offset gives others of the same shapes."""
        return build(self.case, seed=self.seed + seed_offset, layout=self.implementation.layout)

    def at(self, case: CheckCase) -> Trial:
        """The same implementation in another situation."""
        return replace(self, case=case)

    def expected(self, seed_offset: int = 0) -> Expected:
        """What `inputs(seed_offset)` must give."""
        implementation = self.implementation
        return _expected(
            self.case, self.seed + seed_offset, implementation.layout, implementation.oracle
        )

    def expect(self, inputs: Inputs) -> Expected:
        """What other inputs must give, under the conditions of the situation."""
        return expect(
            inputs,
            is_causal=self.case.case.is_causal,
            scale=self.case.scale,
            oracle=self.implementation.oracle,
        )

    def call(self, inputs: Inputs, leaves: Leaves | None = None, **keywords: Any) -> Tensor:
        """The output for the inputs, or for `leaves` in place of their query, key and value."""
        query, key, value = leaves or (inputs.query, inputs.key, inputs.value)
        return self.implementation.call(
            query,
            key,
            value,
            attn_mask=inputs.attn_mask,
            is_causal=self.case.case.is_causal,
            scale=self.case.scale,
            **keywords,
        )

    def forward(self, inputs: Inputs, **keywords: Any) -> Tensor:
        """The output where no gradients are asked for."""
        with torch.no_grad():
            return self.call(inputs, **keywords)

    @property
    def wants_gradients(self) -> bool:
        """Whether the situation asks for gradients and the implementation promises them."""
        return self.case.case.is_backward and Feature.BACKWARD in self.implementation.supports

    def has(self, feature: Feature) -> bool:
        """Whether the implementation supports a feature."""
        return feature in self.implementation.supports

    def objection(self, output: object, inputs: Inputs) -> str | None:
        """What is wrong with an output before its values are looked at."""
        expected = inputs.grad_output.shape
        if not isinstance(output, Tensor):
            return f"expected a tensor, got {type(output).__name__}"
        if type(output) is not Tensor:
            kind = type(output).__name__
            return f"expected a plain torch.Tensor, got {kind}, which may compute when it is read"
        if output.shape != expected:
            return f"expected shape {tuple(expected)}, got {tuple(output.shape)}"
        query = inputs.query
        if output.dtype != query.dtype or output.device != query.device:
            kind = f"{query.dtype} on {query.device}"
            return f"expected {kind}, got {output.dtype} on {output.device}"
        return None

    def passed(self, check: str, **values: Any) -> CheckResult:
        """A check that was passed."""
        return self._result(check, "pass", **values)

    def failed(self, check: str, reason: str, **values: Any) -> CheckResult:
        """A check that failed without, or beside, numbers."""
        return self._result(check, "fail", reason=reason, **values)

    def unsupported(self, checks: Iterable[str], reason: str) -> list[CheckResult]:
        """Checks that the implementation, or what it was given, does not allow."""
        return [self._result(check, "unsupported", reason=reason) for check in checks]

    def raised(self, check: str, problem: BaseException, doing: str = "") -> CheckResult:
        """A check that ended with an exception."""
        return self._result(check, "error", reason=f"{doing}{what_was_raised(problem)}")

    def judged(self, check: str, condition: bool, reason: str) -> CheckResult:
        """A check that is a yes or a no; the reason is that of a no."""
        return self.passed(check) if condition else self.failed(check, reason)

    def compared(
        self, check: str, actual: Tensor, expected: Tensor, allowed: float, reason: str = ""
    ) -> CheckResult:
        """A check of numbers; `reason` says under which circumstances they came about."""
        return self.within(check, largest_error(actual, expected), allowed, reason)

    def within(self, check: str, error: float, allowed: float, reason: str = "") -> CheckResult:
        """A check of a largest error, which is infinite where an answer is not finite."""
        if not math.isfinite(error):
            why = "not finite where the reference is"
            return self.failed(check, f"{why}; {reason}" if reason else why, allowed=allowed)
        if error <= allowed:
            return self.passed(check, error=error, allowed=allowed)
        return self._result(check, "fail", error=error, allowed=allowed, reason=reason or None)

    def _result(self, check: str, status: str, **values: Any) -> CheckResult:
        return CheckResult(
            implementation=self.implementation.name,
            case=self.case,
            check=check,
            status=status,  # type: ignore[arg-type]  # spelled out by the callers above
            **values,
        )


Probe: TypeAlias = Callable[[Trial], Iterator[CheckResult]]


def of_an_output(probe: Callable[[Trial, Inputs, Tensor], Iterator[CheckResult]]) -> Probe:
    """The probe, given the inputs and an output of the right form; any other output fails."""

    @wraps(probe)
    def check(trial: Trial) -> Iterator[CheckResult]:
        inputs = trial.inputs()
        output = trial.forward(inputs)
        problem = trial.objection(output, inputs)
        if problem is not None:
            yield trial.failed("output", problem)
        else:
            yield from probe(trial, inputs, output)

    return check


@lru_cache(maxsize=1024)
def _expected(case: CheckCase, seed: int, layout: Layout, oracle: Oracle) -> Expected:
    """The expectation of a situation, which many implementations share."""
    return expect(
        build(case, seed=seed, layout=layout),
        is_causal=case.case.is_causal,
        scale=case.scale,
        oracle=oracle,
    )


def leaves_of(inputs: Inputs, asked: Iterable[str] = GRADIENTS) -> Leaves:
    """Query, key and value as views that share the storage; those asked for require a gradient."""
    wanted = set(asked)

    def leaf(name: str, tensor: Tensor) -> Tensor:
        return tensor.detach().requires_grad_(f"grad_{name}" in wanted)

    return (
        leaf("query", inputs.query),
        leaf("key", inputs.key),
        leaf("value", inputs.value),
    )


def tensors_of(inputs: Inputs) -> dict[str, Tensor]:
    """Everything that a kernel is given, its upstream gradient included, by name."""
    found = {
        "query": inputs.query,
        "key": inputs.key,
        "value": inputs.value,
        "grad_output": inputs.grad_output,
    }
    return found if inputs.attn_mask is None else {**found, "attn_mask": inputs.attn_mask}


def snapshot(inputs: Inputs) -> dict[str, Tensor]:
    """The bytes of every input, those around a slice included."""
    return {name: _bytes(tensor).clone() for name, tensor in tensors_of(inputs).items()}


def changed_since(before: Mapping[str, Tensor], inputs: Inputs) -> list[str]:
    """The names of the inputs whose memory is not what it was."""
    now = tensors_of(inputs)
    return [name for name, content in before.items() if not torch.equal(content, _bytes(now[name]))]


def _bytes(tensor: Tensor) -> Tensor:
    return torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(tensor.untyped_storage())


def same(left: Tensor, right: Tensor) -> bool:
    """Whether two tensors are equal to the last bit, NaN equal to NaN."""
    return bool(((left == right) | (left.isnan() & right.isnan())).all())


def shares_memory(output: Tensor, inputs: Inputs) -> list[str]:
    """The inputs that the output lies in the memory of."""
    if not output.numel():
        return []
    place = output.untyped_storage().data_ptr()
    return [
        name
        for name, one in tensors_of(inputs).items()
        if one.untyped_storage().data_ptr() == place
    ]


def what_was_raised(problem: BaseException) -> str:
    """An exception in one line."""
    first = str(problem).strip().partition("\n")[0][:300]
    return (
        f"raised {type(problem).__name__}: {first}" if first else f"raised {type(problem).__name__}"
    )
