"""The masking semantics that the cores share."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from implementations.masking import (
    apply_mask,
    causal_mask,
    expand_mask,
    resolve_scale,
    safe_softmax,
)

CPU = torch.device("cpu")


def test_causal_triangle_is_aligned_top_left():
    assert causal_mask(2, 3, device=CPU).tolist() == [[True, False, False], [True, True, False]]
    assert causal_mask(3, 2, device=CPU).tolist() == [[True, False], [True, True], [True, True]]


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_a_block_of_the_causal_triangle_is_a_block_of_the_whole(rows, columns, row, column):
    whole = causal_mask(18, 18, device=CPU)

    block = causal_mask(rows, columns, device=CPU, first_query=row - column)

    assert torch.equal(block, whole[row : row + rows, column : column + columns])


def test_boolean_mask_keeps_true_and_float_mask_is_added():
    scores = torch.tensor([[1.0, 2.0]])

    kept = apply_mask(scores, torch.tensor([[True, False]]))
    added = apply_mask(scores, torch.tensor([[0.5, -math.inf]]))

    assert kept.tolist() == [[1.0, -math.inf]]
    assert added.tolist() == [[1.5, -math.inf]]
    assert apply_mask(scores, None) is scores


def test_safe_softmax_of_an_empty_row_is_zero_and_its_gradient_too():
    scores = torch.tensor([[0.0, 0.0], [-math.inf, -math.inf]], requires_grad=True)

    weights = safe_softmax(scores)
    (gradient,) = torch.autograd.grad(weights[:, 0].sum(), scores)

    assert weights.tolist() == [[0.5, 0.5], [0.0, 0.0]]
    assert gradient.tolist() == [[0.25, -0.25], [0.0, 0.0]]


def test_expanding_a_mask_copies_nothing():
    query, key = torch.zeros(2, 3, 5, 11), torch.zeros(2, 3, 7, 11)
    mask = torch.ones(5, 7, dtype=torch.bool)

    view = expand_mask(mask, query, key)

    assert view is not None
    assert view.shape == (2, 3, 5, 7)
    assert view.data_ptr() == mask.data_ptr()
    assert expand_mask(None, query, key) is None


def test_scale_defaults_to_one_over_the_root_of_head_dim():
    assert resolve_scale(torch.zeros(5, 16), None) == 0.25
    assert resolve_scale(torch.zeros(5, 16), 3.0) == 3.0
    assert resolve_scale(torch.zeros(5, 0), None) == pytest.approx(1.0)
