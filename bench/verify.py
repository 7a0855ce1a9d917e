"""The correctness gate: outputs and gradients against the float64 oracle, before any timing.

The error rule is the three-way comparison of the FlashAttention tests (Dao et al. 2022): with the
reference computed in float64 from inputs already rounded to the tested dtype, and a baseline that
is the plain formula in the tested dtype, an implementation may be off by at most twice the
baseline's own error plus one step of rounding. That step is taken at the reference's magnitude,
the sum with every term replaced by its absolute value (Higham 2002, section 3.1), and once more
for every unit of the largest score: a score s is rounded by about ε·|s|, and exp turns that into a
relative error of the weight. In float64, where reference and baseline round alike, the bound is
that step times the number of terms instead.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from bench.inputs import Inputs, make_inputs
from bench.situations import CheckCase
from implementations.interface import Feature, Implementation, UnsupportedCaseError
from implementations.masking import resolve_scale
from implementations.oracle import (
    QUANTITIES,
    Reference,
    evaluate,
    full_mask,
    largest_error,
    reference,
)

BASELINE_FACTOR = 2.0
# No more rows than blocks leave over at 523 and 2053 keys; scores that outweigh all others' sum.
HEAVY_ROWS = 5
HEAVY_FACTOR = 4.0

Status = Literal["pass", "fail", "unsupported", "error"]


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """One quantity of one implementation in one situation; errors are absolute."""

    implementation: str
    case: CheckCase
    check: str
    status: Status
    error: float | None = None
    allowed: float | None = None
    reason: str | None = None

    @classmethod
    def from_plain(cls, row: Mapping[str, Any]) -> CheckResult:
        """Undo `dataclasses.asdict`, for a result that came from another process."""
        return cls(**{**row, "case": CheckCase.from_plain(row["case"])})

    def to_dict(self) -> dict[str, Any]:
        """The entry of `verify --json`."""
        return {
            "implementation": self.implementation,
            "case": self.case.to_dict(),
            "check": self.check,
            "status": self.status,
            "error": self.error,
            "allowed": self.allowed,
            "reason": self.reason,
        }

    def __str__(self) -> str:
        """One line: who, in which case, what was checked, and by how much it is off."""
        text = f"{self.implementation}: {self.check} in case {self.case.name} ({self.case.case})"
        if self.error is not None and self.allowed is not None:
            text += f": error {self.error:.3g}, allowed {self.allowed:.3g}"
        return f"{text}: {self.reason}" if self.reason else text


def verify(
    implementation: Implementation, cases: Sequence[CheckCase], *, seed: int = 0
) -> Iterator[CheckResult]:
    """Check one implementation case by case; a failing or raising case does not end the others."""
    for case in cases:
        reason = _unsupported(implementation, case)
        if reason is not None:
            yield _result(implementation, case, "output", "unsupported", reason=reason)
            continue
        try:
            # A kernel's own warnings are its business; the gate judges numbers.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                results = _check(implementation, case, seed)
        except UnsupportedCaseError as problem:
            yield _result(implementation, case, "output", "unsupported", reason=str(problem))
        except Exception as problem:
            what = f"raised {type(problem).__name__}: {str(problem).partition(chr(10))[0]}"
            yield _result(implementation, case, "output", "error", reason=what)
        else:
            yield from results


def summary(results: Iterable[CheckResult]) -> dict[str, int]:
    """How many checks passed, failed, were unsupported or raised."""
    counts = Counter(result.status for result in results)
    return {status: counts[status] for status in get_args(Status)}


def _unsupported(implementation: Implementation, case: CheckCase) -> str | None:
    # A missing backward pass narrows what is checked; it does not excuse the forward pass.
    forward = replace(case.case, pass_="forward")
    reason = implementation.unsupported(forward)
    if (
        reason is None
        and len(case.leading) != 2
        and Feature.LEADING_DIMS not in implementation.supports
    ):
        reason = f"{implementation.name} takes (batch, num_heads, rows, head_dim) only"
    if reason is None and case.scale is not None and Feature.SCALE not in implementation.supports:
        reason = f"{implementation.name} does not take scale"
    return reason


def _check(implementation: Implementation, case: CheckCase, seed: int) -> list[CheckResult]:
    inputs = _inputs(case, seed)
    scale = resolve_scale(inputs.query, case.scale)
    expected = reference(
        inputs.query,
        inputs.key,
        inputs.value,
        attn_mask=inputs.attn_mask,
        is_causal=case.case.is_causal,
        scale=scale,
        grad_output=inputs.grad_output,
        oracle=implementation.oracle,
    )
    baseline = evaluate(
        implementation.oracle,
        inputs.query,
        inputs.key,
        inputs.value,
        full_mask(inputs.query, inputs.key, inputs.attn_mask, case.case.is_causal),
        scale,
        inputs.grad_output,
    )
    with_gradients = case.case.is_backward and Feature.BACKWARD in implementation.supports
    originals = {name: tensor.clone() for name, tensor in _tensors(inputs).items()}
    actual, shape_problem = _run(implementation, case, inputs, with_gradients)
    if shape_problem:
        return [_result(implementation, case, "output", "fail", reason=shape_problem)]

    results = []
    for name in QUANTITIES:
        if name not in actual:
            reason = f"{implementation.name} has no backward pass"
            if case.case.is_backward:
                results.append(_result(implementation, case, name, "unsupported", reason=reason))
            continue
        allowed = allowed_error(case, name, expected, baseline[name])
        error = largest_error(actual[name], expected.values[name])
        if math.isinf(error):
            results.append(
                _result(
                    implementation,
                    case,
                    name,
                    "fail",
                    allowed=allowed,
                    reason="not finite where the reference is",
                )
            )
            continue
        status: Status = "pass" if error <= allowed else "fail"
        results.append(_result(implementation, case, name, status, error=error, allowed=allowed))
    results.append(_unmodified(implementation, case, originals, inputs))
    return results


def _unmodified(
    implementation: Implementation,
    case: CheckCase,
    originals: Mapping[str, Tensor],
    inputs: Inputs,
) -> CheckResult:
    now = _tensors(inputs)
    changed = [name for name, before in originals.items() if not torch.equal(before, now[name])]
    if not changed:
        return _result(implementation, case, "inputs_unmodified", "pass")
    reason = f"changed its {' and '.join(changed)} in place"
    return _result(implementation, case, "inputs_unmodified", "fail", reason=reason)


def _tensors(inputs: Inputs) -> dict[str, Tensor]:
    found = {"query": inputs.query, "key": inputs.key, "value": inputs.value}
    return found if inputs.attn_mask is None else {**found, "attn_mask": inputs.attn_mask}


def allowed_error(case: CheckCase, quantity: str, expected: Reference, baseline: Tensor) -> float:
    """The largest absolute error that the rule of this module forgives."""
    step = torch.finfo(getattr(torch, case.case.dtype)).eps
    # exp passes a score's absolute rounding error on to its weight as a relative one.
    rounding = step * expected.magnitudes[quantity] * (1.0 + expected.score_magnitude)
    if case.case.dtype == "float64":
        terms = case.case.seq_len + case.case.key_len + case.case.head_dim + case.case.value_dim
        return rounding * terms
    return BASELINE_FACTOR * largest_error(baseline, expected.values[quantity]) + rounding


def _run(
    implementation: Implementation, case: CheckCase, inputs: Inputs, with_gradients: bool
) -> tuple[dict[str, Tensor], str | None]:
    tensors = (inputs.query, inputs.key, inputs.value)
    if with_gradients:
        # Views share the storage, so that a change in place shows in the originals.
        tensors = tuple(tensor.detach().requires_grad_() for tensor in tensors)  # type: ignore[assignment]  # three of them
    with torch.set_grad_enabled(with_gradients):
        output = implementation.call(
            *tensors,
            attn_mask=inputs.attn_mask,
            is_causal=case.case.is_causal,
            scale=case.scale,
        )
    expected_shape = inputs.grad_output.shape
    if not isinstance(output, Tensor):
        return {}, f"expected a tensor, got {type(output).__name__}"
    if output.shape != expected_shape:
        return {}, f"expected shape {tuple(expected_shape)}, got {tuple(output.shape)}"
    if output.dtype != inputs.query.dtype or output.device != inputs.query.device:
        expected = f"{inputs.query.dtype} on {inputs.query.device}"
        return {}, f"expected {expected}, got {output.dtype} on {output.device}"
    actual = {"output": output}
    if with_gradients and output.requires_grad:
        gradients = torch.autograd.grad(output, tensors, inputs.grad_output)
        actual.update(zip(QUANTITIES[1:], gradients, strict=True))
    return actual, None


def _inputs(case: CheckCase, seed: int) -> Inputs:
    drawn = make_inputs(case.case, seed=seed)
    mask = drawn.attn_mask
    if mask is not None and case.full_mask:
        # Each leading index has its keys in another order.
        shifts = range(math.prod(case.leading))
        mask = torch.stack([mask.roll(shift, dims=-1) for shift in shifts])
        mask = mask.reshape(*case.leading, *mask.shape[-2:])
    if case.heavy_tail:
        drawn.key[..., -HEAVY_ROWS:, :] *= HEAVY_FACTOR
    if mask is not None and case.empty_rows:
        mask[..., ::2, :] = False if mask.dtype == torch.bool else -math.inf
    elif mask is not None and mask.dtype == torch.bool:
        mask[..., :1] = True  # every other row keeps a key, if there is one

    def shaped(tensor: Tensor) -> Tensor:
        return tensor.reshape(*case.leading, *tensor.shape[-2:])

    return Inputs(
        query=shaped(drawn.query),
        key=shaped(drawn.key),
        value=shaped(drawn.value),
        grad_output=shaped(drawn.grad_output),
        attn_mask=mask,
    )


def _result(
    implementation: Implementation,
    case: CheckCase,
    check: str,
    status: Status,
    *,
    error: float | None = None,
    allowed: float | None = None,
    reason: str | None = None,
) -> CheckResult:
    return CheckResult(
        implementation=implementation.name,
        case=case,
        check=check,
        status=status,
        error=error,
        allowed=allowed,
        reason=reason,
    )
