"""Says whether the call that was timed computed the right thing, at the very size and time.

The checks before a sweep ask at other sizes and at another time: a kernel may take another path at
a size that they never see, keep an answer, or go wrong after so many calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from bench.checks.timed.sampled_rows import Sample, row_errors
from bench.records import WRONG
from bench.timing.inputs import Inputs
from implementations.case import Case
from implementations.oracle import Oracle

INCORRECT, IMPLAUSIBLE = WRONG


def objection(
    outputs: Sequence[Tensor],
    inputs: Inputs,
    sample: Sample,
    case: Case,
    oracle: Oracle,
    earlier: Sequence[Tensor] = (),
) -> dict[str, Any] | None:
    """The answer that wrong outputs get instead of a time; None if nothing is wrong with them.

    `outputs` are (output, grad_query, grad_key, grad_value), or the output alone. `inputs` have the
    contents that the call saw, with an upstream gradient thinned to the sample. `earlier` are
    outputs of an earlier call, which must have kept their memory.
    """
    kinds = [type(one).__name__ for one in outputs if type(one) is not Tensor]
    if kinds:
        return _answer(IMPLAUSIBLE, f"gave a {kinds[0]}, which may compute when it is read")
    expected = (case.batch, case.num_heads, case.seq_len, case.value_dim)
    shape = tuple(outputs[0].shape)
    if shape != expected:
        return _answer(INCORRECT, f"gave an output of {shape}, expected {expected}")
    if case.is_backward and len(outputs) != 4:
        return _answer(INCORRECT, "gave no gradient for one of query, key and value")
    query = inputs.query
    if (outputs[0].dtype, outputs[0].device) != (query.dtype, query.device):
        return _answer(INCORRECT, f"gave {outputs[0].dtype} on {outputs[0].device}")
    others = (query, inputs.key, inputs.value, inputs.grad_output, *earlier)
    taken = {one.untyped_storage().data_ptr() for one in others if one.numel()}
    if any(one.untyped_storage().data_ptr() in taken for one in outputs if one.numel()):
        return _answer(INCORRECT, "gave outputs in the memory of its inputs or of earlier outputs")
    if not all(bool(one.isfinite().all()) for one in outputs):
        return _answer(INCORRECT, "gave values that are not finite at this size")
    errors = row_errors(
        outputs, inputs, sample, is_causal=case.is_causal, window=case.window, oracle=oracle
    )
    wrong = next((error for error in errors if error.bad), None)
    return None if wrong is None else _answer(INCORRECT, f"the timed call's {wrong}")


def _answer(status: str, reason: str) -> dict[str, Any]:
    return {"status": status, "reason": reason}
