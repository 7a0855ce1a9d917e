"""What `bench.counting.mechanisms` says, by formulas: for tests that load no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

LENGTHS = (8, 16, 32, 64, 128)


def term(coefficient: int, **powers: int) -> dict[str, Any]:
    return {"coefficient": coefficient, "powers": powers}


def paths(
    operators: Callable[[int], int], lengths: Sequence[int] = LENGTHS, **sizes: int
) -> list[dict[str, Any]]:
    return [
        {"sizes": {"n": n, **sizes}, "layers": operators(n), "operators": operators(n)}
        for n in lengths
    ]


def log3(n: int) -> int:
    return next(layers for layers in range(1, 99) if 3**layers >= n)


def row(
    counted: str, flops: list[Any], rounds: list[Any], found: list[Any], kernel: int | None = None
) -> dict[str, Any]:
    return {
        "counted": counted,
        "kernel": kernel,
        "flops": {"terms": flops, "valid": "all sizes"},
        "sequential_operations": {"terms": rounds, "valid": "all sizes"},
        "paths": found,
    }


MECHANISMS: dict[str, Any] = {
    "rows": {
        "self_attention": row(
            "matmul", [term(4, n=2, d=1), term(5, n=2)], [term(4)], paths(lambda n: 1)
        ),
        "recurrent": row(
            "rnn",
            [term(4, n=1, d=2), term(3, n=1, d=1)],
            [term(3, n=1), term(2)],
            paths(lambda n: 3 * n + 1),
        ),
        "convolutional": row(
            "convolution_dilated",
            [term(6, n=1, d=2)],
            [term(2)],
            paths(lambda n: 2 * log3(n), k=3),
            kernel=3,
        ),
        "convolutional_contiguous": row(
            "convolution",
            [term(6, n=1, d=2)],
            [term(2)],
            paths(lambda n: 2 * -(-(n - 1) // 2), k=3),
            kernel=3,
        ),
        "restricted": row(
            "sliding_window",
            [term(5, n=1, d=1, r=1), term(-2, n=1, d=1)],
            [term(9)],
            paths(lambda n: -(-(n - 1) // 4), r=9) + paths(lambda n: -(-(n - 1) // 8), r=17),
        ),
        "linear": row(
            "linear", [term(4, n=1, d=2), term(11, n=1, d=1)], [term(8)], paths(lambda n: 4)
        ),
    }
}
