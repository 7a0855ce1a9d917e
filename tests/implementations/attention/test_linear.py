"""Linear attention: its sums by hand, chunk by chunk, and its cost."""

import math

import pytest
import torch
from torch import Tensor

from bench.counting.direct import count
from implementations.attention.linear import IMPLEMENTATION, SHORTEST_CHUNK, linear
from implementations.case import PASSES, Case

AROUND_CHUNKS = (1, SHORTEST_CHUNK - 1, SHORTEST_CHUNK, SHORTEST_CHUNK + 1, 131)


def features(x: Tensor) -> Tensor:
    return torch.nn.functional.elu(x) + 1.0


def one_token_after_another(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Equations 18 to 20 of Katharopoulos et al. 2020: a recurrent network of two sums."""
    rows, keys = features(query), features(key)
    state = torch.zeros(*key.shape[:-2], key.shape[-1], value.shape[-1], dtype=key.dtype)
    total = torch.zeros(*key.shape[:-2], key.shape[-1], dtype=key.dtype)
    outputs = []
    for i in range(query.shape[-2]):
        if i < key.shape[-2]:
            state = state + keys[..., i, :, None] * value[..., i, None, :]
            total = total + keys[..., i, :]
        weighted = (rows[..., i, None, :] @ state)[..., 0, :]
        outputs.append(weighted / (rows[..., i, :] * total).sum(-1, keepdim=True))
    return torch.stack(outputs, dim=-2)


def all_pairs(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    weights = features(query) @ features(key).mT
    return weights / weights.sum(-1, keepdim=True) @ value


def results(attend, tensors):
    leaves = [one.clone().requires_grad_() for one in tensors]
    output = attend(*leaves)
    return output, *torch.autograd.grad(output, leaves, torch.ones_like(output).cumsum(-2))


@pytest.mark.parametrize("key_len", AROUND_CHUNKS)
@pytest.mark.parametrize("query_len", AROUND_CHUNKS)
def test_causal_chunks_give_what_one_token_after_another_gives(draw, query_len, key_len):
    tensors = draw(leading=(3,), query_len=query_len, key_len=key_len, value_dim=13)

    found = results(lambda *given: linear(*given, is_causal=True), tensors)

    for actual, expected in zip(found, results(one_token_after_another, tensors), strict=True):
        torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("leading", [(), (2,), (2, 3), (2, 1, 3)])
def test_sums_of_all_keys_give_what_the_kernel_of_all_pairs_gives(draw, leading):
    tensors = draw(leading=leading, value_dim=13)

    for actual, expected in zip(results(linear, tensors), results(all_pairs, tensors), strict=True):
        torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("is_causal", [False, True])
def test_rows_whose_weights_all_vanish_give_zeros_and_gradients_of_zero(is_causal):
    query, value = torch.ones(2, 5, 3), torch.ones(2, 5, 3)
    key = torch.full((2, 5, 3), -1e4)  # exp of it is 0
    leaves = [one.requires_grad_() for one in (query, key, value)]

    output = linear(*leaves, is_causal=is_causal)

    for one in (output, *torch.autograd.grad(output.sum(), leaves)):
        assert torch.equal(one, torch.zeros(2, 5, 3))


def test_weights_of_low_features_keep_their_digits():
    query, value = torch.ones(1, 1), torch.tensor([[0.0], [1.0]])
    key = torch.tensor([[-12.0], [-12.5]])  # elu + 1 in float32 would keep two digits

    output = linear(query, key, value)

    assert output.item() == pytest.approx(1 / (1 + math.exp(0.5)), rel=1e-6)


def test_zero_has_the_slope_of_both_its_sides():
    query = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    key, value = torch.tensor([[0.0], [2.0]]).double(), torch.tensor([[0.0], [1.0]]).double()
    key.requires_grad_()

    (slope,) = torch.autograd.grad(linear(query, key, value), key)

    # 3 / (φ(k₀) + 3) at φ(k₀) = 1, whose slope is 1
    assert slope[0].item() == pytest.approx(-3 / 16)


@pytest.mark.parametrize("is_causal", [False, True])
def test_sums_beyond_the_largest_number_of_half_precision_do_not_overflow(is_causal):
    ones = torch.ones(4099, 16, dtype=torch.float16)

    output = linear(ones, ones, 7 * ones, is_causal=is_causal)

    assert torch.equal(output, 7 * ones)


@pytest.mark.parametrize("pass_", PASSES)
@pytest.mark.parametrize("is_causal", [False, True])
def test_the_operations_are_proportional_to_n_and_to_the_square_of_head_dim(pass_, is_causal):
    def products(**sizes):
        case = Case(pass_=pass_, is_causal=is_causal, **sizes)
        found = count(IMPLEMENTATION, case).matmul_flops
        assert found
        return found

    least = products(seq_len=1024, head_dim=64)

    assert products(seq_len=2048, head_dim=64) == pytest.approx(2 * least, rel=0.01)
    assert products(seq_len=1024, head_dim=128) == pytest.approx(4 * least, rel=0.05)
    assert products(seq_len=1024, head_dim=64, num_heads=2) == 2 * least
