"""Looks at the whole answer of a layer, where its oracle costs little at the timed size.

A layer mixes positions as it likes, so that no few rows can be computed without the others. Where
the oracle would take too long the answer is not compared; its form is looked at all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from bench.checks.layer_bound import expect_layer
from bench.checks.timed.sampled_rows import QuantityError
from bench.timing.inputs import LayerInputs
from implementations.case import Case
from implementations.interface import Implementation
from implementations.oracle import largest_error

# A tenth of a second or two in all, beside visits of some milliseconds. A recurrence is a loop of
# Python over its steps; additive attention holds a number for each feature of each pair, 128 MiB in
# float64; projections multiply d_model by d_model.
MOST_STEPS, MOST_PAIR_FEATURES, MOST_PRODUCTS = 2**9, 2**24, 2**27


def is_affordable(case: Case) -> bool:
    """Whether the oracle of any layer takes little time and memory at these sizes."""
    rows = case.batch * case.seq_len
    return (
        max(case.seq_len, case.key_len) <= MOST_STEPS
        and rows * case.key_len * case.d_model <= MOST_PAIR_FEATURES
        and rows * case.d_model**2 <= MOST_PRODUCTS
    )


def layer_errors(
    outputs: Sequence[Tensor],
    implementation: Implementation,
    parameters: Mapping[str, Tensor],
    inputs: LayerInputs,
    case: Case,
) -> Iterator[QuantityError]:
    """Compare the output, and the gradients if they are there, with the oracle.

    `outputs` are the output and the gradients of x, the memory and each parameter, or the output
    alone. Nothing where the oracle is not affordable.
    """
    if not is_affordable(case):
        return
    expected = expect_layer(
        implementation, parameters, inputs, case, with_gradients=len(outputs) > 1
    )
    for (quantity, exact), actual in zip(expected.values.items(), outputs, strict=True):
        error = largest_error(actual, exact)
        yield QuantityError(quantity=quantity, error=error, allowed=expected.allowed[quantity])
