"""The scores, the weights and the output of the articles' examples, in float64.

Every number is computed: the core `matmul` and the float64 oracle must agree on each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.checks.error_bound import expect
from bench.claims.examples import Example
from bench.timing.inputs import Inputs
from implementations.attention.matmul import matmul
from implementations.interface import AttentionFunction
from implementations.masking import apply_mask, resolve_scale
from implementations.oracle import full_mask, largest_error, softmax_attention


@dataclass(frozen=True, kw_only=True)
class Worked:
    """An example worked out in float64, n words of d features.

    query, key, value and output (n, d); scores and weights (n, n), a row for each query. A score
    that the causal mask hides is -inf. `difference` is the largest between the core and the oracle,
    `allowed` what the error rule of the checks allows.
    """

    example: Example
    is_causal: bool
    query: Tensor
    key: Tensor
    value: Tensor
    scores: Tensor
    weights: Tensor
    output: Tensor
    difference: float
    allowed: float


def worked(
    example: Example, *, is_causal: bool = False, core: AttentionFunction = matmul
) -> Worked:
    """The scores by the formula; the weights and the output by the core.

    The weights are the output of the core where the values are the unit matrix.

    Raises:
        ArithmeticError: the core and the float64 oracle do not agree.

    """
    key = value = torch.tensor(example.embeddings, dtype=torch.float64)
    query = example.queries(key)
    scores = softmax_attention.scores(query, key, resolve_scale(query, None))
    scores = apply_mask(scores, full_mask(query, key, None, is_causal))
    found, differences, limits = [], [], []
    for values in (torch.eye(len(value), dtype=torch.float64), value):
        inputs = Inputs(query=query, key=key, value=values, grad_output=values, attn_mask=None)
        expected = expect(
            inputs, is_causal=is_causal, oracle=softmax_attention, with_gradients=False
        )
        found.append(core(query, key, values, is_causal=is_causal))
        differences.append(largest_error(found[-1], expected.values["output"]))
        limits.append(expected.allowed["output"])
        if differences[-1] > limits[-1]:
            raise ArithmeticError(
                f"{example.name}: the core and the oracle differ by {differences[-1]:.3g}, "
                f"allowed is {limits[-1]:.3g}"
            )
    return Worked(
        example=example,
        is_causal=is_causal,
        query=query,
        key=key,
        value=value,
        scores=scores,
        weights=found[0],
        output=found[1],
        difference=max(differences),
        allowed=min(limits),
    )


def document(examples: Sequence[Example], *, is_causal: bool = False) -> dict[str, Any]:
    """The examples worked out, as JSON data; a hidden score is null."""
    return {"examples": [_plain(worked(one, is_causal=is_causal)) for one in examples]}


def _plain(worked: Worked) -> dict[str, Any]:
    example = worked.example
    told = ("name", "title", "source", "rule")
    matrices = ("query", "key", "value", "scores", "weights", "output")
    return {
        **{name: getattr(example, name) for name in told},
        "words": list(example.words),
        "is_causal": worked.is_causal,
        "head_dim": worked.query.shape[-1],
        **{name: _rows(getattr(worked, name)) for name in matrices},
        "difference": worked.difference,
        "allowed": worked.allowed,
    }


def _rows(matrix: Tensor) -> list[list[float | None]]:
    return [[one if abs(one) < torch.inf else None for one in row] for row in matrix.tolist()]
