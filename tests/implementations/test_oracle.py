"""The float64 reference, checked against hand-computed numbers, torch and finite differences."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from implementations.masking import apply_mask, safe_softmax
from implementations.oracle import (
    QUANTITIES,
    Oracle,
    Reference,
    evaluate,
    full_mask,
    largest_error,
    reference,
    softmax_attention,
)

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
    assert all(math.isfinite(value) for value in found.sensitivities.values())


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


LEADING, QUERY_LEN, KEY_LEN, HEAD_DIM, VALUE_DIM = (2, 3), 5, 7, 11, 13
DELTA = 1e-7
MASKS = ["none", "causal", "boolean", "float", "infinite"]


def mask_of(kind: str, generator: torch.Generator) -> Tensor | None:
    """A mask that leaves some rows empty where it is one of True and False or has infinities."""
    numbers = torch.randn(QUERY_LEN, KEY_LEN, generator=generator, dtype=torch.float64)
    kept = torch.rand(QUERY_LEN, KEY_LEN, generator=generator) < 0.6
    kept[1] = False
    masks = {
        "boolean": kept,
        "float": 3.0 * numbers,
        "infinite": numbers.masked_fill(~kept, -math.inf),
    }
    return masks.get(kind)


def perturbed(signs: Tensor, mask: Tensor | None) -> Oracle:
    """The formula with every score off by DELTA times its magnitude, up or down."""

    def oracle(
        query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None, scale: float
    ) -> Tensor:
        sizes = query.detach().abs() @ key.detach().abs().mT * abs(scale)
        if mask is not None and mask.dtype != torch.bool:
            sizes = sizes + mask.abs().where(mask.isfinite(), 0.0)
        scores = query @ key.mT * scale + DELTA * signs * sizes
        return safe_softmax(apply_mask(scores, attn_mask)) @ value

    return oracle


def moved_and_allowed(kind: str, scale: float, seed: int) -> dict[str, tuple[float, float]]:
    """By quantity: how far scores that are off by DELTA of their size move it, and may move it."""
    generator = torch.Generator().manual_seed(seed)

    def normal(rows: int, columns: int) -> Tensor:
        return torch.randn(*LEADING, rows, columns, generator=generator, dtype=torch.float64)

    query, key = normal(QUERY_LEN, HEAD_DIM), normal(KEY_LEN, HEAD_DIM)
    value, upstream = normal(KEY_LEN, VALUE_DIM), normal(QUERY_LEN, VALUE_DIM)
    mask, causal = mask_of(kind, generator), kind == "causal"
    signs = torch.randint(0, 2, (*LEADING, QUERY_LEN, KEY_LEN), generator=generator) * 2.0 - 1.0
    exact = reference(
        query, key, value, attn_mask=mask, is_causal=causal, scale=scale, grad_output=upstream
    )
    merged = full_mask(query, key, mask, causal)
    off = evaluate(perturbed(signs, mask), query, key, value, merged, scale, upstream)
    return {
        name: (largest_error(off[name], exact.values[name]), DELTA * exact.sensitivities[name])
        for name in QUANTITIES
    }


@settings(max_examples=60)
@given(
    kind=st.sampled_from(MASKS),
    scale=st.sampled_from([-0.3, 0.0, 0.3, 1.0, 7.0]),
    seed=st.integers(0, 10_000),
)
def test_scores_that_are_off_move_every_quantity_by_its_sensitivity_at_most(kind, scale, seed):
    for name, (moved, allowed) in moved_and_allowed(kind, scale, seed).items():
        # Beyond the first order there is a share of about DELTA, and what float64 itself rounds.
        assert moved <= allowed * (1.0 + 1e-3) + 1e-12, name


@pytest.mark.parametrize("kind", MASKS)
def test_some_scores_that_are_off_move_every_quantity_by_most_of_its_sensitivity(kind):
    found = [moved_and_allowed(kind, 1.0, seed) for seed in range(23)]

    for name in QUANTITIES:
        assert max(moved / allowed for moved, allowed in (one[name] for one in found)) > 0.3


def two_keys(value: list[list[float]], score: float = 3.0) -> Reference:
    """One query whose scores of two keys are both `score`."""
    query = torch.tensor([[score]], dtype=torch.float64)
    key = torch.ones(2, 1, dtype=torch.float64)
    values = torch.tensor(value, dtype=torch.float64)
    upstream = torch.ones(1, len(value[0]), dtype=torch.float64)
    return reference(query, key, values, scale=1.0, grad_output=upstream)


def test_the_sensitivity_of_two_opposite_values_is_the_size_of_their_scores():
    # Weights of one half: one score up by 3 δ, the other down, move the output by 3 δ.
    found = two_keys([[1.0], [-1.0]])

    assert found.sensitivities["output"] == pytest.approx(3.0)
    # And each weight by half of that.
    assert found.sensitivities["grad_value"] == pytest.approx(1.5)


def test_values_that_are_alike_make_the_output_insensitive_and_not_the_gradient_of_value():
    # The spread is a difference of squares, of which float64 leaves the root of its rounding step.
    nothing = math.sqrt(64 * torch.finfo(torch.float64).eps)

    found = two_keys([[5.0, 7.0], [5.0, 7.0]])

    assert found.sensitivities["output"] <= nothing * 7.0 * 3.0
    assert found.sensitivities["grad_query"] <= nothing * 7.0 * 3.0
    assert found.sensitivities["grad_value"] == pytest.approx(1.5)


def test_sensitivities_grow_with_the_scores_and_vanish_with_them():
    small, large, none = (two_keys([[1.0], [-1.0]], score) for score in (2.0, 34.0, 0.0))

    assert large.sensitivities["output"] == pytest.approx(17 * small.sensitivities["output"])
    assert set(none.sensitivities.values()) == {0.0}


@pytest.mark.parametrize("how", ["scores", "boolean", "float", "single key"])
def test_a_row_with_all_its_weight_on_one_key_is_not_sensitive_at_all(draw, how):
    query, key, value = draw(key_len=1 if how == "single key" else KEY_LEN)
    mask = None
    if how == "scores":
        query, key = query.abs() + 1.0, key.abs()
        key[..., 4, :] += 300.0
    elif how != "single key":
        mask = torch.arange(KEY_LEN).expand(QUERY_LEN, KEY_LEN) == 4
        if how == "float":
            mask = torch.zeros(QUERY_LEN, KEY_LEN).double().masked_fill(~mask, -math.inf)

    found = reference(query, key, value, attn_mask=mask, grad_output=torch.ones(2, 3, 5, 11))

    assert found.score_magnitude > 0.0
    assert found.sensitivities["output"] == 0.0
    assert found.magnitudes["output"] > 0.0
    if how != "scores":  # where others underflow to zero, they are not there
        assert found.sensitivities["grad_query"] == 0.0


@pytest.mark.parametrize("kind", MASKS)
def test_keys_without_weight_do_not_count_for_the_sensitivity(draw, kind):
    query, key, value = draw()
    mask = mask_of(kind, torch.Generator().manual_seed(0))
    if mask is None:
        mask = torch.ones(QUERY_LEN, KEY_LEN, dtype=torch.bool).tril()
    mask[:, 3] = False if mask.dtype == torch.bool else -math.inf
    huge = key.clone()
    huge[..., 3, :] *= 1e6
    upstream = torch.ones(2, 3, 5, 11)

    found, other = (
        reference(query, one, value, attn_mask=mask, grad_output=upstream) for one in (key, huge)
    )

    assert found.sensitivities["output"] > 0.0
    assert found.sensitivities["output"] == other.sensitivities["output"]
    assert found.score_magnitude == other.score_magnitude


@pytest.mark.parametrize("sizes", [{"query_len": 0}, {"key_len": 0}, {"leading": (0, 3)}])
def test_nothing_at_all_has_neither_magnitude_nor_sensitivity(draw, sizes):
    query, key, value = draw(**sizes)

    found = reference(query, key, value, grad_output=torch.zeros(*query.shape[:-1], 11))

    assert set(found.sensitivities.values()) == {0.0}
    assert set(found.magnitudes.values()) == {0.0}


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
