"""The float64 reference, checked against hand-computed numbers, torch and finite differences."""

import math

import pytest
import torch
import torch.nn.functional as F

from implementations.oracle import evaluate, largest_error, reference, softmax_attention

EXPECTED_OUTPUT = [
    [0.9298, 0.7772, 0.9298],
    [0.8321, 0.7008, 0.8321],
    [0.9741, 0.8536, 0.9741],
]
EXPECTED_WEIGHTS = [
    [0.2228, 0.0702, 0.7070],
    [0.2992, 0.1679, 0.5329],
    [0.1464, 0.0259, 0.8277],
]


def by_hand() -> tuple[torch.Tensor, torch.Tensor]:
    """X and X W_Q for a matrix W_Q of ones: three tokens of three features."""
    x = torch.tensor([[1, 0, 1], [0, 1, 0], [1, 1, 1]], dtype=torch.float64)
    return x, x @ torch.ones(3, 3, dtype=torch.float64)


def test_oracle_gives_the_numbers_worked_out_by_hand():
    x, query = by_hand()

    output = softmax_attention(query, x, x, None, 1 / math.sqrt(3))
    weights = softmax_attention(query, x, torch.eye(3, dtype=torch.float64), None, 1 / math.sqrt(3))

    torch.testing.assert_close(output, torch.tensor(EXPECTED_OUTPUT).double(), rtol=0, atol=5e-5)
    torch.testing.assert_close(weights, torch.tensor(EXPECTED_WEIGHTS).double(), rtol=0, atol=5e-5)


def test_scores_of_the_first_row_follow_from_the_formula_written_out():
    # q = (2, 2, 2), so the scores are 4, 2 and 6, divided by the root of 3.
    x, query = by_hand()
    exponentials = [math.exp(score / math.sqrt(3)) for score in (4, 2, 6)]
    first = [e / sum(exponentials) for e in exponentials]

    output = softmax_attention(query, x, x, None, 1 / math.sqrt(3))

    expected = [first[0] + first[2], first[1] + first[2], first[0] + first[2]]
    assert output[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["none", "causal", "boolean", "float"])
def test_oracle_agrees_with_torch_in_float64(draw, kind):
    query, key, value = draw(value_dim=13)
    mask = {
        "boolean": torch.arange(35).reshape(5, 7) % 3 > 0,
        "float": torch.linspace(-2, 2, 35, dtype=torch.float64).reshape(5, 7),
    }.get(kind)
    causal = kind == "causal"
    leaves = [tensor.clone().requires_grad_() for tensor in (query, key, value)]
    upstream = torch.linspace(-1, 1, 2 * 3 * 5 * 13, dtype=torch.float64).reshape(2, 3, 5, 13)
    output = F.scaled_dot_product_attention(*leaves, attn_mask=mask, is_causal=causal)
    gradients = torch.autograd.grad(output, leaves, upstream)

    found = reference(
        query, key, value, attn_mask=mask, is_causal=causal, grad_output=upstream
    ).values

    for quantity, expected in zip(
        ("output", "grad_query", "grad_key", "grad_value"), (output, *gradients), strict=True
    ):
        torch.testing.assert_close(found[quantity], expected.detach())


def test_oracle_gradients_agree_with_finite_differences(draw):
    tensors = draw(leading=(), query_len=3, key_len=5, head_dim=2, value_dim=2)
    leaves = [tensor.requires_grad_() for tensor in tensors]
    mask = torch.ones(3, 5, dtype=torch.bool)
    mask[1] = False  # an empty row must not poison the others

    assert torch.autograd.gradcheck(lambda q, k, v: softmax_attention(q, k, v, mask, 0.7), leaves)


@pytest.mark.parametrize("mask_dtype", [torch.bool, torch.float64])
def test_empty_rows_have_zero_output_and_finite_gradients(draw, mask_dtype):
    query, key, value = draw()
    mask = torch.ones(5, 7, dtype=torch.bool)
    mask[[0, 3]] = False
    if mask_dtype != torch.bool:
        mask = torch.zeros(5, 7, dtype=torch.float64).masked_fill(~mask, -math.inf)

    found = reference(query, key, value, attn_mask=mask, grad_output=torch.ones(2, 3, 5, 11))

    assert torch.equal(found.values["output"][..., [0, 3], :], torch.zeros(2, 3, 2, 11).double())
    assert torch.equal(found.values["grad_query"][..., [0, 3], :], torch.zeros(2, 3, 2, 11))
    assert all(bool(value.isfinite().all()) for value in found.values.values())
    assert all(math.isfinite(value) for value in found.magnitudes.values())


def test_reference_is_float64_whatever_the_inputs_are(draw):
    inputs = [tensor.to(torch.bfloat16) for tensor in draw()]

    found = reference(*inputs, grad_output=torch.ones(2, 3, 5, 11, dtype=torch.bfloat16))

    exact = softmax_attention(*(t.double() for t in inputs), None, 1 / math.sqrt(11))
    assert {value.dtype for value in found.values.values()} == {torch.float64}
    assert torch.equal(found.values["output"], exact)


def test_magnitudes_bound_the_values_they_belong_to(draw):
    found = reference(*draw(), grad_output=torch.randn(2, 3, 5, 11).double())

    for name, value in found.values.items():
        assert float(value.abs().max()) <= found.magnitudes[name]


def test_evaluate_leaves_its_inputs_without_gradients(draw):
    query, key, value = draw()

    evaluate(softmax_attention, query, key, value, None, 1.0, torch.ones(2, 3, 5, 11).double())

    assert all(tensor.grad is None and not tensor.requires_grad for tensor in (query, key, value))


def test_largest_error_is_infinite_where_a_number_was_expected_and_none_came():
    expected = torch.tensor([1.0, 2.0], dtype=torch.float64)

    assert largest_error(torch.tensor([1.0, 2.5]), expected) == 0.5
    assert largest_error(torch.tensor([1.0, math.nan]), expected) == math.inf
    assert largest_error(torch.tensor([math.inf, 2.0]), expected) == math.inf
    assert largest_error(torch.empty(0), torch.empty(0, dtype=torch.float64)) == 0.0
