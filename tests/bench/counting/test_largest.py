"""The longest sequence within an amount of memory, by workspaces that are made up."""

import pytest

from bench.counting.counter import Formula
from bench.counting.largest import longest
from bench.counting.lattice import fitted
from implementations.case import Case
from implementations.catalogue import suite

WIDTH = 64
TENSORS = 4 * 4 * WIDTH
"""Bytes of query, key, value and output for each position."""


def found(workspace, budget, **sizes):
    formula = Formula(
        fitted=fitted(workspace, 8192),
        is_unknown=False,
        is_by_formula=False,
        is_lower_bound=False,
        reason="no polynomial",
    )
    case = Case(seq_len=1, head_dim=WIDTH, **sizes)
    return longest(suite()["matmul"], case, formula, budget)


def test_inputs_and_output_count_beside_the_workspace():
    answer = found(lambda p: 1024 * p.n, 2**30)

    assert answer.seq_len == 2**30 // (TENSORS + 1024)
    assert answer.bytes == answer.seq_len * (TENSORS + 1024)


def test_only_lengths_count_on_which_the_polynomial_holds():
    answer = found(lambda p: 2**20 * -(-p.n // 512), 2**30)

    assert answer.seq_len == 512 * (2**30 // (2**20 + 512 * TENSORS))


@pytest.mark.parametrize(
    ("workspace", "budget", "why"),
    [
        (lambda p: min(p.h, 2) * p.n, 2**30, "is for h at least 2 only"),
        (lambda p: p.n**3, 2**30, "no polynomial"),
        (lambda p: p.n, TENSORS, "even n = 1 takes 1 KiB"),
    ],
)
def test_without_a_longest_sequence_there_is_a_reason(workspace, budget, why):
    answer = found(workspace, budget)

    assert answer.seq_len is None
    assert why in answer.reason
