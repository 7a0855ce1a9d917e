"""How gradients are asked for, refused and compared; what several probes share."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.checks.probes.trial import GRADIENTS, Trial, what_was_raised
from bench.checks.results import CheckResult
from bench.timing.inputs import Inputs, differentiate
from implementations.interface import UnsupportedCaseError

# What the reason of such a result begins with.
WHERE_ASKED = "where gradients are asked for, "


def refused_gradients(trial: Trial, problem: BaseException) -> list[CheckResult]:
    """An exception where inputs ask for gradients; `bench.checks.refusals` judges all cases."""
    if isinstance(problem, UnsupportedCaseError):
        return trial.unsupported(GRADIENTS, str(problem))
    if isinstance(problem, NotImplementedError):
        return trial.unsupported(GRADIENTS, what_was_raised(problem))
    return [trial.raised("grad_query", problem, WHERE_ASKED)]


def gradients_of(
    output: Tensor, leaves: tuple[Tensor, ...], inputs: Inputs, retain_graph: bool = False
) -> tuple[Tensor | None, ...]:
    """The gradients of `leaves`; None where none arrives."""
    if not output.requires_grad:
        return (None,) * len(leaves)
    return differentiate(output, leaves, inputs.grad_output, retain_graph=retain_graph)


def compared_gradient(
    trial: Trial, name: str, gradient: Tensor | None, leaf: Tensor, tracked: bool, reason: str = ""
) -> CheckResult:
    """One gradient against the reference; one that does not arrive stands for zeros."""
    expected = trial.expected()
    arrived = gradient if gradient is not None else torch.zeros_like(leaf)
    if gradient is None:
        what = name.removeprefix("grad_")
        reason = f"no gradient reaches {what}{reason and ' ' + reason}"
        if not tracked:
            reason += ": the output is detached (a forward-only kernel: verify --pass forward)"
    elif gradient.shape != leaf.shape or gradient.dtype != leaf.dtype:
        got = f"{tuple(gradient.shape)} {gradient.dtype}"
        return trial.failed(name, f"expected {tuple(leaf.shape)} {leaf.dtype}, got {got}")
    return trial.compared(name, arrived, expected.values[name], expected.allowed[name], reason)
