"""Claims on what comes out, decided by working examples and random inputs."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from bench.claims.articles.scores_times_weights import scores_times_weights
from bench.claims.claim import Decision, Ruling, Value, all_hold
from bench.claims.examples import EXAMPLES, Example
from bench.claims.reach import ROUNDING, normal
from bench.claims.worked_examples import worked
from implementations.attention.matmul import matmul
from implementations.attention.unscaled import unscaled
from implementations.interface import AttentionFunction
from implementations.oracle import largest_error

WIDTHS = (1, 4, 16, 64, 256, 1024)
ROWS = 61


def _weights(core: AttentionFunction, d: int) -> Tensor:
    """The weights of random queries and keys: the output where the values are the unit matrix."""
    query, key = normal(ROWS, d), normal(ROWS, d, seed=1)
    return core(query, key, torch.eye(ROWS, dtype=torch.float64))


def formula_and_code(
    formula: AttentionFunction = unscaled, code: AttentionFunction = matmul
) -> Decision:
    """Do the formula without √d and the code with it give the same weights?"""
    values: dict[str, Value] = {}
    shares: dict[str, list[float]] = {}
    for name, core in (("formula", formula), ("code", code)):
        shares[name] = [_entropy_share(_weights(core, d)) for d in WIDTHS]
        values |= {f"entropy_{name}_d{d}": one for d, one in zip(WIDTHS, shares[name], strict=True)}
    differences = [largest_error(_weights(formula, d), _weights(code, d)) for d in WIDTHS]
    told = "; ".join(
        f"{name} {', '.join(f'{100 * one:.3g} %' for one in row)}" for name, row in shares.items()
    )
    return all_hold(
        [
            (
                max(differences) <= ROUNDING,
                f"entropy of the weights, as a share of log n, for random words at d = "
                f"{', '.join(map(str, WIDTHS))}: {told}",
            )
        ],
        **values,
    )


def _entropy_share(weights: Tensor) -> float:
    """The mean entropy of the rows as a share of the largest one, log n."""
    return float(torch.special.entr(weights).sum(-1).mean()) / math.log(weights.shape[-1])


def one_formula(
    dot_product: AttentionFunction = unscaled, scaled: AttentionFunction = matmul
) -> Decision:
    """Are dot-product and scaled dot-product attention one formula?"""
    differences = [largest_error(_weights(dot_product, d), _weights(scaled, d)) for d in WIDTHS]
    told = ", ".join(f"{one:.2g}" for one in differences)
    return all_hold(
        [
            (
                max(differences) <= ROUNDING,
                f"largest difference between weights at d = {', '.join(map(str, WIDTHS))}: {told}",
            )
        ],
        **{f"difference_d{d}": one for d, one in zip(WIDTHS, differences, strict=True)},
    )


def three_words(example: Example = EXAMPLES["literal"]) -> Decision:
    """Do the inputs of the example give every word weights of its own?

    The article's printed numbers are not kept here: what its inputs give decides.
    """
    found, mended = worked(example), worked(EXAMPLES["three"])
    spread = float((found.weights.amax(0) - found.weights.amin(0)).max())
    evidence = (
        f"as they stand: scores {_rows(found.scores)}, outputs {_rows(found.output)}; with inputs "
        f"that fit: weights {_rows(mended.weights)}, outputs {_rows(mended.output)}"
    )
    return Decision(
        ruling=Ruling.TRUE if spread > ROUNDING else Ruling.FALSE,
        evidence=evidence,
        values={"spread_of_weights": spread},
    )


def _rows(matrix: Tensor) -> str:
    """Every distinct row once, at four decimals."""
    rows = dict.fromkeys(f"({', '.join(f'{one:.4f}' for one in row)})" for row in matrix.tolist())
    return " ".join(rows) + (" in every row" if len(rows) == 1 < len(matrix) else "")


def _span(sums: Tensor) -> str:
    """The least and the greatest of some numbers, or the one number that they are."""
    low, high = (f"{float(end):.4g}" for end in (sums.min(), sums.max()))
    return low if low == high else f"{low} to {high}"


def columns_sum_to_one(
    toy: Callable[[Tensor], tuple[Tensor, Tensor]] = scores_times_weights,
) -> Decision:
    """Do the columns of the softmax sum to 1, and is the product the output of attention?"""
    right = worked(EXAMPLES["five"])
    weights, product = toy(right.value)
    sums = {"columns": weights.sum(0), "rows": weights.sum(1), "product": product.sum(1)}
    told = {name: _span(one) for name, one in sums.items()}
    is_output = product.shape == right.output.shape and (
        largest_error(product, right.output) <= ROUNDING
    )
    return all_hold(
        [
            (
                bool(((sums["columns"] - 1.0).abs() <= ROUNDING).all()),
                f"sums of columns: {told['columns']}; of rows: {told['rows']}",
            ),
            (
                is_output,
                f"sums of the rows of the product: {told['product']}; scaled attention gives rows "
                f"from {_rows(right.output[:1])} to {_rows(right.output[-1:])}",
            ),
        ],
        **{
            f"{name}_{end}": float(getattr(one, end)())
            for name, one in sums.items()
            for end in ("min", "max")
        },
    )
