"""Additive attention: the score by hand, a learned vector, and what a call may hold."""

import math

import pytest
import torch

from implementations.attention.additive import IMPLEMENTATION, additive, additive_attention
from implementations.case import Case


def test_two_queries_and_two_keys_give_the_numbers_worked_out_by_hand():
    query = torch.tensor([[0.0, 1.0], [2.0, -1.0]], dtype=torch.float64)
    key = torch.tensor([[1.0, 0.0], [-2.0, 3.0]], dtype=torch.float64)
    scores = [
        [math.tanh(1) + math.tanh(1), math.tanh(-2) + math.tanh(4)],
        [math.tanh(3) + math.tanh(-1), math.tanh(0) + math.tanh(2)],
    ]
    weights = [
        [math.exp(0.5 * score) / sum(math.exp(0.5 * other) for other in row) for score in row]
        for row in scores
    ]

    found = additive(query, key, torch.eye(2, dtype=torch.float64), scale=0.5)

    torch.testing.assert_close(found, torch.tensor(weights, dtype=torch.float64))


def test_the_scale_is_every_component_of_the_vector(draw):
    query, key, value = draw(value_dim=13)
    weight = torch.full((11,), 0.7, dtype=torch.float64)

    found = additive_attention(query, key, value, weight, is_causal=True)

    torch.testing.assert_close(found, additive(query, key, value, is_causal=True, scale=0.7))


def test_a_component_of_zero_hides_its_feature(draw):
    query, key, value = draw()
    weight = torch.arange(-5.0, 6.0, dtype=torch.float64)
    other = query.clone()
    other[..., 5] += 3.0

    found = additive_attention(other, key, value, weight)

    torch.testing.assert_close(found, additive_attention(query, key, value, weight))


@pytest.mark.parametrize("kind", ["none", "causal", "boolean", "float"])
def test_the_gradients_of_inputs_and_of_the_vector_are_finite_differences(draw, kind):
    tensors = draw(leading=(), query_len=3, key_len=5, head_dim=2, value_dim=2)
    weight = torch.tensor([0.7, -1.3], dtype=torch.float64)
    kept = torch.arange(15).reshape(3, 5) % 4 > 0
    kept[1] = False
    mask = {"boolean": kept, "float": torch.linspace(-1, 1, 15).double().reshape(3, 5)}.get(kind)
    options = {"attn_mask": mask, "is_causal": kind == "causal"}
    leaves = [one.requires_grad_() for one in (*tensors, weight)]

    assert torch.autograd.gradcheck(lambda *given: additive_attention(*given, **options), leaves)


def test_additive_declines_exactly_the_sizes_whose_tanhs_take_more_than_a_gibibyte():
    fits = Case(seq_len=2048, head_dim=64)

    assert IMPLEMENTATION.unsupported(fits) is None
    for large in (Case(seq_len=2049, head_dim=64), Case(seq_len=2048, head_dim=64, num_heads=2)):
        reason = IMPLEMENTATION.unsupported(large)
        assert "use additive_chunked" in str(reason)
