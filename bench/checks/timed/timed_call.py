"""Says whether the call that was timed computed the right thing, at the very size and time.

The checks before a sweep ask at other sizes and at another time: a kernel may take another path at
a size that they never see, keep an answer, or go wrong after so many calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from bench.checks.timed.sampled_rows import Sample, row_errors
from bench.checks.timed.whole_answer import layer_errors
from bench.records import WRONG
from bench.timing.inputs import CallInputs, Inputs, LayerInputs
from implementations.case import Case
from implementations.interface import Implementation

INCORRECT, IMPLAUSIBLE = WRONG


def objection(
    outputs: Sequence[Tensor],
    implementation: Implementation,
    inputs: CallInputs,
    sample: Sample,
    case: Case,
    parameters: Mapping[str, Tensor],
    earlier: Sequence[Tensor] = (),
) -> dict[str, Any] | None:
    """The answer that wrong outputs get instead of a time; None if nothing is wrong with them.

    `outputs` are the output and the gradients of all inputs and parameters, or the output alone.
    `inputs` have the contents that the call saw, those of a core with an upstream gradient thinned
    to the sample. `earlier` are outputs of an earlier call, which must have kept their memory.
    """
    kinds = [type(one).__name__ for one in outputs if type(one) is not Tensor]
    if kinds:
        return _answer(IMPLAUSIBLE, f"gave a {kinds[0]}, which may compute when it is read")
    upstream, given = inputs.grad_output, tuple(inputs.tensors.values())
    expected, shape = tuple(upstream.shape), tuple(outputs[0].shape)
    if shape != expected:
        return _answer(INCORRECT, f"gave an output of {shape}, expected {expected}")
    names = [*inputs.tensors, *parameters]
    if case.is_backward and len(outputs) != 1 + len(names):
        told = f"{', '.join(names[:-1])} and {names[-1]}" if names[1:] else names[0]
        return _answer(INCORRECT, f"gave no gradient for one of {told}")
    if (outputs[0].dtype, outputs[0].device) != (upstream.dtype, upstream.device):
        return _answer(INCORRECT, f"gave {outputs[0].dtype} on {outputs[0].device}")
    others = (*given, upstream, *parameters.values(), *earlier)
    taken = {one.untyped_storage().data_ptr() for one in others if one.numel()}
    if any(one.untyped_storage().data_ptr() in taken for one in outputs if one.numel()):
        return _answer(INCORRECT, "gave outputs in the memory of its inputs or of earlier outputs")
    if not all(bool(one.isfinite().all()) for one in outputs):
        return _answer(INCORRECT, "gave values that are not finite at this size")
    if isinstance(inputs, Inputs):
        errors = row_errors(
            outputs,
            inputs,
            sample,
            is_causal=case.is_causal,
            window=case.window,
            oracle=implementation.oracle,
        )
    else:
        assert isinstance(inputs, LayerInputs)
        if earlier and outputs[0].numel() and torch.equal(outputs[0], earlier[0]):
            return _answer(INCORRECT, "gave the answer to other inputs again")
        errors = layer_errors(outputs, implementation, parameters, inputs, case)
    wrong = next((error for error in errors if error.bad), None)
    return None if wrong is None else _answer(INCORRECT, f"the timed call's {wrong}")


def _answer(status: str, reason: str) -> dict[str, Any]:
    return {"status": status, "reason": reason}
