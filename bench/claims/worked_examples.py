"""The articles' worked examples, small enough to follow by hand: scores, weights and output.

Every number is computed: the core `matmul` and the float64 oracle must agree on each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.checks.error_bound import expect
from bench.timing.inputs import Inputs
from implementations.attention.matmul import matmul
from implementations.interface import AttentionFunction
from implementations.masking import apply_mask, resolve_scale
from implementations.oracle import full_mask, largest_error, softmax_attention


class ExampleError(ValueError):
    """There is no such example; the message is one line for the user."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """A few words, their embeddings, and the rule by which they become queries, keys and values.

    `embeddings` has a row for each word. `queries` maps the embeddings (n, d) to the queries
    (n, d), as `rule` says; the keys and the values are the embeddings.
    """

    name: str
    title: str
    source: str
    words: tuple[str, ...]
    embeddings: tuple[tuple[float, ...], ...]
    rule: str
    queries: Callable[[Tensor], Tensor]


def _ones(size: int) -> Tensor:
    return torch.ones(size, size, dtype=torch.float64)


EXAMPLES = {
    one.name: one
    for one in (
        Example(
            name="three",
            title="Three words, with inputs that fit each other",
            source="article 003, made consistent: W_Q works on the features of a word",
            words=("I", "like", "tea"),
            embeddings=((1, 0, 1), (0, 1, 0), (1, 1, 1)),
            rule="Q = X·W_Q with W_Q = ones (3 × 3); K = V = X",
            queries=lambda x: x @ _ones(x.shape[1]),
        ),
        Example(
            name="literal",
            title="The same three words with the inputs as the article gives them",
            source="article 003, literally: W_Q stands on the left and adds up the words",
            words=("I", "like", "tea"),
            embeddings=((1, 2), (3, 4), (5, 6)),
            rule="Q = W_Q·X with W_Q = ones (3 × 3); K = V = X",
            queries=lambda x: _ones(x.shape[0]) @ x,
        ),
        Example(
            name="five",
            title="Five words without projections",
            source="article 004, with softmax over each row and the weights times V",
            words=("we", "read", "five", "short", "words"),
            embeddings=((1, 2), (2, 3), (3, 4), (4, 5), (5, 6)),
            rule="Q = K = V = X",
            queries=lambda x: x,
        ),
    )
}


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


def document(names: Sequence[str], *, is_causal: bool = False) -> dict[str, Any]:
    """The examples of these names, or all, worked out as JSON data; a hidden score is null.

    Raises:
        ExampleError: a name that no example has.

    """
    unknown = [name for name in names if name not in EXAMPLES]
    if unknown:
        raise ExampleError(f"examples are {', '.join(EXAMPLES)}; got {unknown[0]!r}")
    chosen = [EXAMPLES[name] for name in dict.fromkeys(names or EXAMPLES)]
    return {"examples": [_plain(worked(one, is_causal=is_causal)) for one in chosen]}


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
