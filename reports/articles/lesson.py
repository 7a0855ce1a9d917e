"""A worked example of attention step by step, as a student reads it on a terminal.

An example is an entry of `attnscale explain --json`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

Matrix = Sequence[Sequence[float | None]]
HIDDEN = "hidden"


def lesson(example: Mapping[str, Any]) -> Group:
    """Four steps, each with its formula, its numbers and one of them written out."""
    words, d = example["words"], example["head_dim"]
    last = len(words) - 1  # the one word that sees every word, also under a causal mask
    features = [f"feature {number + 1}" for number in range(d)]
    hidden = " A word does not see the words after it." if example["is_causal"] else ""
    steps: tuple[tuple[str | Table | Text, ...], ...] = (
        (
            f"1. Every word becomes a row of {d} numbers. {example['rule']}.",
            _table("query Q", words, features, example["query"]),
            _table("key K, value V", words, features, example["key"]),
        ),
        (
            f"2. Scores: Q·Kᵀ / √d with d = {d}. A row asks, a column is asked.{hidden}",
            _table("scores", words, words, example["scores"]),
            _score_in_full(example, last, 0),
        ),
        (
            "3. Weights: the softmax of each row. Every row sums to 1.",
            _table("weights", words, words, example["weights"]),
            _weights_in_full(example, last),
        ),
        (
            "4. Output: weights·V. Every word becomes a mixture of the values.",
            _table("output", words, features, example["output"]),
            _output_in_full(example, last),
        ),
    )
    parts: list[RenderableType] = [
        Text(f"{example['name']}: {example['title']}", style="bold"),
        Text(f"Source: {example['source']}."),
    ]
    for heading, *shown in steps:
        parts += [Text(), Text(str(heading)), *(Padding(one, (0, 0, 0, 3)) for one in shown)]
    check = (
        f"Checked: the core matmul and the float64 oracle differ by {example['difference']:.2g} at "
        f"most; {example['allowed']:.1e} is allowed."
    )
    return Group(*parts, Text(), Text(check), Text())


def _table(corner: str, rows: Sequence[str], columns: Sequence[str], matrix: Matrix) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column(corner)
    for column in columns:
        table.add_column(column, justify="right")
    for name, numbers in zip(rows, matrix, strict=True):
        table.add_row(name, *map(number, numbers))
    return table


def number(value: float | None) -> str:
    """Four decimals, a whole number without any; what a mask hides has no number."""
    if value is None:
        return HIDDEN
    return f"{value:.0f}" if value == round(value) else f"{value:.4f}"


def _score_in_full(example: Mapping[str, Any], row: int, column: int) -> Text:
    """One score as the products that make it up."""
    query, key, d = example["query"][row], example["key"][column], example["head_dim"]
    products = " + ".join(f"{number(q)}·{number(k)}" for q, k in zip(query, key, strict=True))
    total = sum(q * k for q, k in zip(query, key, strict=True))
    return Text(
        f"“{example['words'][row]}” asks “{example['words'][column]}”: ({products}) / √{d} "
        f"= {number(total)} / {number(math.sqrt(d))} = {number(example['scores'][row][column])}"
    )


def _weights_in_full(example: Mapping[str, Any], row: int) -> Text:
    """One row of weights as powers of e over their sum, the largest score taken off first."""
    scores = example["scores"][row]
    powers = [math.exp(score - max(scores)) for score in scores]
    shown = ", ".join(f"e^({number(s)} − {number(max(scores))})" for s in scores)
    values = ", ".join(number(one) for one in powers)
    return Text(
        f"“{example['words'][row]}”: {shown} = {values}; each is divided by "
        f"their sum {number(sum(powers))}"
    )


def _output_in_full(example: Mapping[str, Any], row: int) -> Text:
    """One row of the output as the weighted sum of the values."""
    terms = " + ".join(
        f"{number(weight)}·{_vector(value)}"
        for weight, value in zip(example["weights"][row], example["value"], strict=True)
    )
    return Text(f"“{example['words'][row]}”: {terms} = {_vector(example['output'][row])}")


def _vector(numbers: Sequence[float]) -> str:
    return f"({', '.join(map(number, numbers))})"
