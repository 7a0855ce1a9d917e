"""One implementation in one situation: its inputs, its calls, and what they are held against."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Any, TypeAlias

import torch
from torch import Tensor

from bench.checks.error_bound import Expected, expect
from bench.checks.recipe import build
from bench.checks.results import CheckResult, Status
from bench.checks.situation import CheckCase
from bench.process.answers import one_line
from bench.timing.inputs import CallInputs, Inputs, differentiate
from implementations.interface import Feature, Implementation, UnsupportedCaseError
from implementations.naming import Layout
from implementations.oracle import QUANTITIES, Oracle, largest_error

GRADIENTS = QUANTITIES[1:]
# What the reason of a result begins with where inputs ask for gradients and the kernel raises.
WHERE_ASKED = "where gradients are asked for, "
Leaves: TypeAlias = tuple[Tensor, ...]


class Stopped(Exception):  # noqa: N818  # no error: the probe has its answer
    """Ends a probe early, with the results that say why."""

    def __init__(self, results: Iterable[CheckResult]) -> None:
        super().__init__()
        self.results = tuple(results)


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

    def expected(self, seed_offset: int = 0) -> Expected:
        """What `inputs(seed_offset)` must give."""
        kernel = self.implementation
        return _expected(self.case, self.seed + seed_offset, kernel.layout, kernel.oracle)

    def expect(self, inputs: Inputs) -> Expected:
        """What other inputs must give, under the conditions of the situation."""
        return _expect(inputs, self.case, self.implementation.oracle)

    def call(self, inputs: Inputs, leaves: Leaves | None = None, **keywords: Any) -> Tensor:
        """The output for the inputs, or for `leaves` in place of their query, key and value."""
        query, key, value = leaves or (inputs.query, inputs.key, inputs.value)
        with of_the_kernel():
            asked = self.implementation.keywords(self.case.case, query, key, inputs.attn_mask)
            return self.implementation.call(
                query, key, value, scale=self.case.scale, **asked, **keywords
            )

    def forward(self, inputs: Inputs, **keywords: Any) -> Tensor:
        """The output where no gradients are asked for."""
        with torch.no_grad():
            return self.call(inputs, **keywords)

    def formed(
        self, output: Tensor, inputs: CallInputs, check: str = "output", why: str = ""
    ) -> Tensor:
        """The output, if it has the right form.

        Raises:
            Stopped: it has not.

        """
        problem = self.objection(output, inputs)
        if problem is not None:
            raise Stopped([self.failed(check, problem + why)])
        return output

    @property
    def wants_gradients(self) -> bool:
        """Whether the situation asks for gradients and the implementation promises them."""
        return self.case.case.is_backward and Feature.BACKWARD in self.implementation.supports

    def objection(self, output: object, inputs: CallInputs) -> str | None:
        """What is wrong with an output before its values are looked at."""
        kind = type(output).__name__
        if not isinstance(output, Tensor):
            return f"expected a tensor, got {kind}"
        if type(output) is not Tensor:
            return f"expected a plain torch.Tensor, got {kind}, which may compute when it is read"
        upstream = inputs.grad_output
        if output.shape != upstream.shape:
            return f"expected shape {tuple(upstream.shape)}, got {tuple(output.shape)}"
        if output.dtype != upstream.dtype or output.device != upstream.device:
            got = f"{output.dtype} on {output.device}"
            return f"expected {upstream.dtype} on {upstream.device}, got {got}"
        return None

    def result(self, check: str, status: Status, **values: Any) -> CheckResult:
        """What a check found."""
        name = self.implementation.name
        return CheckResult(
            implementation=name, case=self.case, check=check, status=status, **values
        )

    def failed(self, check: str, reason: str) -> CheckResult:
        """A check that failed without numbers."""
        return self.result(check, "fail", reason=reason)

    def unsupported(self, checks: Iterable[str], reason: str) -> list[CheckResult]:
        """Checks that the implementation, or what it was given, does not allow."""
        return [self.result(check, "unsupported", reason=reason) for check in checks]

    def raised(self, check: str, problem: BaseException, doing: str = "") -> CheckResult:
        """A check that ended with an exception."""
        return self.result(check, "error", reason=f"{doing}{what_was_raised(problem)}")

    def judged(self, check: str, condition: bool, reason: str) -> CheckResult:
        """A check that is a yes or a no; the reason is that of a no."""
        return self.result(check, "pass") if condition else self.failed(check, reason)

    def compared(
        self, check: str, actual: Tensor, expected: Tensor, allowed: float, reason: str = ""
    ) -> CheckResult:
        """A check of numbers; `reason` says under which circumstances they came about."""
        return self.within(check, largest_error(actual, expected), allowed, reason)

    def within(self, check: str, error: float, allowed: float, reason: str = "") -> CheckResult:
        """A check of a largest error, which is infinite where an answer is not finite."""
        if not math.isfinite(error):
            why = "not finite where the reference is"
            reason = f"{why}; {reason}" if reason else why
            return self.result(check, "fail", allowed=allowed, reason=reason)
        if error <= allowed:
            return self.result(check, "pass", error=error, allowed=allowed)
        return self.result(check, "fail", error=error, allowed=allowed, reason=reason or None)

    def compared_output(self, output: Tensor, why: str = "") -> CheckResult:
        """The output for `inputs()` against the reference."""
        expected = self.expected()
        values, allowed = expected.values["output"], expected.allowed["output"]
        return self.compared("output", output, values, allowed, why)

    def compared_gradient(
        self, name: str, gradient: Tensor | None, leaf: Tensor, tracked: bool, reason: str = ""
    ) -> CheckResult:
        """One gradient against the reference; one that does not arrive stands for zeros."""
        expected = self.expected()
        arrived = gradient if gradient is not None else torch.zeros_like(leaf)
        if gradient is None:
            reason = f"{no_gradient(name)}{reason and ' ' + reason}"
            if not tracked:
                reason += ": the output is detached (a forward-only kernel: verify --pass forward)"
        elif gradient.shape != leaf.shape or gradient.dtype != leaf.dtype:
            got = f"{tuple(gradient.shape)} {gradient.dtype}"
            return self.failed(name, f"expected {tuple(leaf.shape)} {leaf.dtype}, got {got}")
        return self.compared(name, arrived, expected.values[name], expected.allowed[name], reason)

    def refused_gradients(self, problem: BaseException) -> list[CheckResult]:
        """An exception where inputs ask for gradients; `bench.checks.refusals` judges all cases."""
        if isinstance(problem, UnsupportedCaseError):
            return self.unsupported(GRADIENTS, str(problem))
        if isinstance(problem, NotImplementedError):
            return self.unsupported(GRADIENTS, what_was_raised(problem))
        return [self.raised("grad_query", problem, WHERE_ASKED)]

    def gradients(
        self, output: Tensor, leaves: Leaves, inputs: CallInputs, check: str = "grad_query"
    ) -> tuple[Tensor | None, ...]:
        """The gradients of `leaves`; None where none arrives.

        Raises:
            Stopped: the backward pass raised.

        """
        try:
            return gradients_of(output, leaves, inputs)
        except Exception as problem:
            raise Stopped([self.raised(check, problem, "the backward pass ")]) from problem


@contextlib.contextmanager
def of_the_kernel() -> Iterator[None]:
    """What a kernel raises is an error, though it raises an exception of ours."""
    try:
        yield
    except Stopped:
        raise RuntimeError("Stopped, which only the checks may raise") from None


Probe: TypeAlias = Callable[[Trial], Iterator[CheckResult]]


def probe(check: Probe) -> Probe:
    """The procedure, where `Stopped` is an end like any other."""

    @wraps(check)
    def run(trial: Trial) -> Iterator[CheckResult]:
        try:
            yield from check(trial)
        except Stopped as stopped:
            yield from stopped.results

    return run


@lru_cache(maxsize=1024)
def _expected(case: CheckCase, seed: int, layout: Layout, oracle: Oracle) -> Expected:
    """The expectation of a situation, which many implementations share."""
    return _expect(build(case, seed=seed, layout=layout), case, oracle)


def _expect(inputs: Inputs, case: CheckCase, oracle: Oracle) -> Expected:
    one = case.case
    return expect(
        inputs, is_causal=one.is_causal, window=one.window, scale=case.scale, oracle=oracle
    )


def leaves_of(inputs: Inputs, asked: Collection[str] = GRADIENTS) -> Leaves:
    """Query, key and value as views that share the storage; those asked for require a gradient."""
    given = {"query": inputs.query, "key": inputs.key, "value": inputs.value}
    return tuple(t.detach().requires_grad_(f"grad_{name}" in asked) for name, t in given.items())


def gradients_of(
    output: Tensor, leaves: Leaves, inputs: CallInputs, retain_graph: bool = False
) -> tuple[Tensor | None, ...]:
    """The gradients of `leaves`; None where none arrives."""
    if not output.requires_grad:
        return (None,) * len(leaves)
    with of_the_kernel():
        return differentiate(output, leaves, inputs.grad_output, retain_graph=retain_graph)


def no_gradient(name: str) -> str:
    """That a gradient, `grad_key` for one, does not arrive."""
    return f"no gradient reaches {name.removeprefix('grad_')}"


def tensors_of(inputs: CallInputs) -> dict[str, Tensor]:
    """Everything that a kernel is given, its upstream gradient included, by name."""
    mask = {} if inputs.attn_mask is None else {"attn_mask": inputs.attn_mask}
    return {**inputs.tensors, "grad_output": inputs.grad_output, **mask}


def snapshot(inputs: CallInputs) -> dict[str, Tensor]:
    """The bytes of every input, those around a slice included."""
    return {name: _bytes(tensor).clone() for name, tensor in tensors_of(inputs).items()}


def changed_since(before: Mapping[str, Tensor], inputs: CallInputs) -> list[str]:
    """The names of the inputs whose memory is not what it was."""
    now = tensors_of(inputs)
    return [name for name, content in before.items() if not torch.equal(content, _bytes(now[name]))]


def _bytes(tensor: Tensor) -> Tensor:
    return torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(tensor.untyped_storage())


def same(left: Tensor, right: Tensor) -> bool:
    """Whether two tensors are equal to the last bit, NaN equal to NaN."""
    return bool(((left == right) | (left.isnan() & right.isnan())).all())


def shared_memory(output: Tensor, inputs: CallInputs) -> str | None:
    """That the output lies in the memory of inputs; None if it does not."""
    place = output.untyped_storage().data_ptr()
    given = tensors_of(inputs).items()
    shared = [name for name, one in given if one.untyped_storage().data_ptr() == place]
    if not shared or not output.numel():
        return None
    return f"the output lies in the memory of {' and '.join(shared)}"


def what_was_raised(problem: BaseException) -> str:
    """An exception in one line."""
    said = one_line(problem)
    return f"raised {type(problem).__name__}" + (f": {said}" if said else "")
