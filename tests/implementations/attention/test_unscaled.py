"""Dot-product attention without 1/√d: what the missing division does, and that nothing else is."""

import torch

from implementations.attention.matmul import matmul
from implementations.attention.unscaled import IMPLEMENTATION, unscaled


def weights_of(core, width):
    """The weights of 31 queries for 37 keys of so many features, all drawn from the normal."""
    generator = torch.Generator().manual_seed(0)
    query, key = (
        torch.randn(1, 1, rows, width, dtype=torch.float64, generator=generator)
        for rows in (31, 37)
    )
    return core(query, key, torch.eye(37, dtype=torch.float64)[None, None])


def test_unscaled_is_the_formula_without_the_division(draw):
    query, key, value = draw(value_dim=13)

    expected = (query @ key.mT).softmax(-1) @ value

    torch.testing.assert_close(unscaled(query, key, value), expected)


def test_queries_divided_by_the_root_of_their_width_give_scaled_attention(draw):
    query, key, value = draw()

    found = unscaled(query / 11**0.5, key, value, is_causal=True)

    torch.testing.assert_close(found, matmul(query, key, value, is_causal=True))


def test_the_weights_of_wide_heads_fall_on_single_keys_unless_scores_are_divided():
    narrow, wide = (weights_of(unscaled, width).amax(-1).mean() for width in (4, 1024))
    divided = [weights_of(matmul, width).amax(-1).mean() for width in (4, 1024)]

    assert wide > 0.9 > 0.5 > narrow
    assert max(divided) < 0.25


def test_the_oracle_takes_no_notice_of_a_scale(draw):
    tensors = draw()

    found = [IMPLEMENTATION.oracle(*tensors, None, scale) for scale in (0.3, 1.0)]

    torch.testing.assert_close(*found, rtol=0, atol=0)
    torch.testing.assert_close(found[0], unscaled(*tensors))
