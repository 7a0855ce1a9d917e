"""The gradient of a float mask: right, or refused aloud; never lost without a word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bench.checks.probes.trial import (
    GRADIENTS,
    Stopped,
    Trial,
    gradients_of,
    leaves_of,
    no_gradient,
    probe,
    what_was_raised,
)
from bench.checks.probes.values import check_output
from bench.checks.results import CheckResult
from implementations.interface import UnsupportedCaseError
from implementations.oracle import GRAD_MASK


@probe
def check_mask_gradient(trial: Trial) -> Iterator[CheckResult]:
    """The mask asks for a gradient together with all other inputs, then alone."""
    if not trial.case.case.is_backward:
        yield from check_output(trial)
        return
    if not trial.wants_gradients:
        reason = f"{trial.implementation.name} has no backward pass"
        yield from trial.unsupported([GRAD_MASK], reason)
        return
    for others in (GRADIENTS, ()):
        inputs = trial.inputs()
        assert inputs.attn_mask is not None
        mask = inputs.attn_mask.detach().requires_grad_()
        inputs = replace(inputs, attn_mask=mask)
        leaves = leaves_of(inputs, others)
        try:
            output = trial.call(inputs, leaves)
            trial.formed(output, inputs, why=", where the mask asks for a gradient")
            gradients = gradients_of(output, (*leaves, mask), inputs)
        except Stopped:
            raise
        except Exception as refusal:
            said = str(refusal) if isinstance(refusal, UnsupportedCaseError) else ""
            reason = f"refuses a mask that requires a gradient: {said or what_was_raised(refusal)}"
            yield from trial.unsupported([GRAD_MASK], reason)
            return
        expected = trial.expect(inputs)
        found = {"output": output, **dict(zip((*GRADIENTS, GRAD_MASK), gradients, strict=True))}
        alone = "where the mask alone asks for one" if not others else ""
        for name in ("output", *others, GRAD_MASK):
            arrived, exact = found[name], expected.values[name]
            if arrived is None:
                missing = f"{no_gradient(name)}: it is lost"
                yield trial.failed(name, f"{missing}, {alone}" if alone else missing)
            elif arrived.shape != exact.shape:
                got = f"expected shape {tuple(exact.shape)}, got {tuple(arrived.shape)}"
                yield trial.failed(name, got)
            else:
                yield trial.compared(name, arrived, exact, expected.allowed[name], alone)
