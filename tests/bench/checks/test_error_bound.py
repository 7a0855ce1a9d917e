"""The error rule in numbers: what the baseline excuses, what rounding does to sums and scores."""

import math
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from bench.checks.error_bound import BASELINE_FACTOR, Expected, expect
from bench.checks.recipe import build
from bench.checks.situations import check_cases
from bench.timing.inputs import Inputs
from implementations.case import DTYPES
from implementations.masking import apply_mask, safe_softmax
from implementations.oracle import (
    QUANTITIES,
    Oracle,
    evaluate,
    full_mask,
    largest_error,
    reference,
    softmax_attention,
)

LEADING, QUERY_LEN, KEY_LEN, HEAD_DIM, VALUE_DIM = (2, 3), 5, 7, 11, 13
TERMS = QUERY_LEN + HEAD_DIM + KEY_LEN + VALUE_DIM


def ones(dtype: torch.dtype, **changes: Tensor | None) -> Inputs:
    """Inputs of ones: every score is √11, every weight 1/7, every output 1."""

    def full(rows: int, columns: int) -> Tensor:
        return torch.ones(*LEADING, rows, columns, dtype=dtype)

    tensors = {
        "query": full(QUERY_LEN, HEAD_DIM),
        "key": full(KEY_LEN, HEAD_DIM),
        "value": full(KEY_LEN, VALUE_DIM),
        "grad_output": full(QUERY_LEN, VALUE_DIM),
        "attn_mask": None,
    }
    return Inputs(**{**tensors, **changes})


def off_by(error: float, dtype: torch.dtype) -> Oracle:
    """An oracle that is exact in float64, and whose baseline in `dtype` is off by `error`."""

    def oracle(
        query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None, scale: float
    ) -> Tensor:
        wide = (t.double() for t in (query, key, value))
        output = softmax_attention(*wide, attn_mask, scale).to(query.dtype)
        return output + error if query.dtype == dtype else output

    return oracle


SCORE = math.sqrt(HEAD_DIM)
EPS32 = torch.finfo(torch.float32).eps


def step(dtype: torch.dtype, terms: int = TERMS, score: float = SCORE) -> float:
    """What rounding does at magnitude 1, where all values are alike and scores matter to nobody."""
    return torch.finfo(dtype).eps + EPS32 * (math.sqrt(terms) + score)


def up_and_down(dtype: torch.dtype) -> Tensor:
    """Values of 7 and -7 in turn: the output is 1, the magnitude 7, and neither is rounded."""
    signs = torch.tensor([1.0, -1.0] * 4, dtype=dtype)[:KEY_LEN, None]
    return KEY_LEN * signs.expand(*LEADING, KEY_LEN, VALUE_DIM)


# Their standard deviation under equal weights.
SPREAD = math.sqrt(KEY_LEN**2 - 1.0)

HALF_AND_SINGLE = [torch.float32, torch.bfloat16, torch.float16]


@pytest.mark.parametrize("dtype", HALF_AND_SINGLE)
def test_where_the_baseline_is_exact_the_allowance_is_what_rounding_does(dtype):
    expected = expect(ones(dtype), oracle=off_by(0.0, dtype))

    assert expected.allowed["output"] == pytest.approx(step(dtype), rel=1e-6)


@pytest.mark.parametrize("dtype", HALF_AND_SINGLE)
def test_twice_the_baselines_error_is_allowed_besides(dtype):
    expected = expect(ones(dtype), oracle=off_by(0.25, dtype))

    assert BASELINE_FACTOR == 2.0
    assert expected.allowed["output"] == pytest.approx(0.5 + step(dtype), rel=1e-6)


@pytest.mark.parametrize("values_differ", [False, True])
def test_in_float64_the_bound_is_rounding_times_terms_and_scores_whatever_the_baseline(
    values_differ,
):
    inputs = ones(torch.float64)
    if values_differ:
        inputs = replace(inputs, value=up_and_down(torch.float64))
    magnitude = KEY_LEN if values_differ else 1
    bound = torch.finfo(torch.float64).eps * (1.0 + SCORE) * TERMS * magnitude

    for error in (0.0, 0.25):
        expected = expect(inputs, oracle=off_by(error, torch.float32))
        assert expected.allowed["output"] == pytest.approx(bound, rel=1e-6)


@pytest.mark.parametrize("dtype", HALF_AND_SINGLE)
@pytest.mark.parametrize("key_len", [7, 1009])
def test_longer_sums_are_allowed_the_root_of_their_terms_in_float32(dtype, key_len):
    shape = (*LEADING, key_len)
    key, value = torch.ones(*shape, HEAD_DIM, dtype=dtype), torch.ones(*shape, VALUE_DIM).to(dtype)

    found = expect(ones(dtype, key=key, value=value), oracle=off_by(0.0, dtype))

    terms = TERMS - KEY_LEN + key_len
    assert found.allowed["output"] == pytest.approx(step(dtype, terms), rel=1e-6)


@pytest.mark.parametrize("dtype", HALF_AND_SINGLE)
def test_larger_scores_of_values_that_are_alike_are_allowed_more_in_float32_only(dtype):
    steep = expect(ones(dtype), scale=10.0, oracle=off_by(0.0, dtype))

    limit = step(dtype, score=10.0 * HEAD_DIM)
    assert steep.allowed["output"] == pytest.approx(limit, rel=1e-5)


@pytest.mark.parametrize("dtype", HALF_AND_SINGLE)
@pytest.mark.parametrize("scale", [0.0, 0.1, 10.0])
def test_where_values_differ_rounded_scores_are_allowed_what_they_move(dtype, scale):
    score = scale * HEAD_DIM

    found = expect(ones(dtype, value=up_and_down(dtype)), scale=scale, oracle=off_by(0.0, dtype))

    moved = torch.finfo(dtype).eps * score * SPREAD
    limit = KEY_LEN * step(dtype, score=score) + moved
    assert found.allowed["output"] == pytest.approx(limit, rel=1e-6)


def test_larger_values_are_allowed_more_in_proportion():
    exact = off_by(0.0, torch.float32)
    values = up_and_down(torch.float32)

    small, large = (
        expect(ones(torch.float32, value=factor * values), oracle=exact).allowed
        for factor in (1.0, 64.0)
    )

    for name in ("output", "grad_query", "grad_key"):
        assert large[name] == pytest.approx(64.0 * small[name], rel=1e-6)
    assert large["grad_value"] == pytest.approx(small["grad_value"], rel=1e-6)


def test_what_cancels_in_the_sum_does_not_shrink_the_allowance():
    exact = off_by(0.0, torch.float32)

    cancelling = expect(ones(torch.float32, value=up_and_down(torch.float32)), oracle=exact)

    assert float(cancelling.values["output"].max()) == pytest.approx(1.0)
    limit = KEY_LEN * step(torch.float32) + EPS32 * SCORE * SPREAD
    assert cancelling.allowed["output"] == pytest.approx(limit, rel=1e-6)


def test_a_row_with_all_its_weight_on_one_key_is_not_excused_by_its_rounded_scores():
    mask = torch.ones(QUERY_LEN, KEY_LEN, dtype=torch.bool)
    one_key = mask & (torch.arange(KEY_LEN) == 3)
    values, exact = up_and_down(torch.bfloat16), off_by(0.0, torch.bfloat16)

    single, several = (
        expect(ones(torch.bfloat16, value=values, attn_mask=kept), scale=10.0, oracle=exact)
        for kept in (one_key, mask)
    )

    limit = KEY_LEN * step(torch.bfloat16, score=10.0 * HEAD_DIM)
    assert single.allowed["output"] == pytest.approx(limit, rel=1e-6)
    assert several.allowed["output"] > 50 * single.allowed["output"]


def test_scores_of_masked_keys_excuse_nothing():
    mask = torch.zeros(QUERY_LEN, KEY_LEN)
    mask[:, 3] = -math.inf
    key = torch.ones(*LEADING, KEY_LEN, HEAD_DIM)
    key[..., 3, :] = 1000.0
    exact = off_by(0.0, torch.float32)

    masked = expect(ones(torch.float32, key=key, attn_mask=mask), oracle=exact)

    assert masked.allowed["output"] == pytest.approx(step(torch.float32), rel=1e-6)


def test_a_baseline_that_overflows_excuses_nobody():
    def overflowing(
        query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None, scale: float
    ) -> Tensor:
        output = softmax_attention(query, key, value, attn_mask, scale)
        return output if query.dtype == torch.float64 else output * math.inf

    expected = expect(ones(torch.float32), oracle=overflowing)

    assert expected.allowed["output"] == pytest.approx(step(torch.float32), rel=1e-6)
    assert all(math.isfinite(limit) for limit in expected.allowed.values())


def test_a_softmax_that_overflows_as_a_baseline_excuses_nobody():
    def naive(
        query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None, scale: float
    ) -> Tensor:
        scores = apply_mask(query @ key.mT * scale, attn_mask)
        if query.dtype == torch.float64:
            return safe_softmax(scores) @ value
        powers = scores.exp()
        return powers / powers.sum(-1, keepdim=True) @ value

    allowed = expect(ones(torch.float32), scale=50.0, oracle=naive).allowed

    exact = expect(ones(torch.float32), scale=50.0, oracle=off_by(0.0, torch.float32)).allowed
    assert allowed == pytest.approx(exact, rel=1e-2)


@pytest.mark.parametrize("name", ["more_keys", "causal", "float_mask", "masked_rows_boolean"])
@pytest.mark.parametrize("dtype", HALF_AND_SINGLE)
def test_gradients_are_allowed_by_the_same_rule_as_the_output(dtype, name):
    one = next(
        case for case in check_cases([str(dtype).removeprefix("torch.")]) if case.name == name
    )
    inputs = build(one, seed=3)
    tensors = (inputs.query, inputs.key, inputs.value)
    terms = one.case.seq_len + one.case.key_len + 2 * HEAD_DIM
    causal, scale = one.case.is_causal, HEAD_DIM**-0.5

    found = expect(inputs, is_causal=causal, oracle=softmax_attention)

    exact = reference(
        *tensors, attn_mask=inputs.attn_mask, is_causal=causal, grad_output=inputs.grad_output
    )
    mask = full_mask(inputs.query, inputs.key, inputs.attn_mask, causal)
    baseline = evaluate(softmax_attention, *tensors, mask, scale, inputs.grad_output)
    for quantity in QUANTITIES:
        size, moved = exact.magnitudes[quantity], exact.sensitivities[quantity]
        error = largest_error(baseline[quantity], exact.values[quantity])
        sums = EPS32 * (math.sqrt(terms) + exact.score_magnitude) * size
        limit = 2.0 * error + torch.finfo(dtype).eps * (size + moved) + sums
        assert found.allowed[quantity] == pytest.approx(limit), quantity
        assert error > 0.0
        assert moved > 0.0


def test_every_quantity_has_a_value_in_float64_and_an_allowance():
    expected = expect(ones(torch.bfloat16), oracle=softmax_attention)

    assert isinstance(expected, Expected)
    assert set(expected.values) == set(expected.allowed) == set(QUANTITIES)
    assert {value.dtype for value in expected.values.values()} == {torch.float64}


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_are_taken_under_the_upstream_gradient_of_the_inputs(dtype):
    own = getattr(torch, dtype)
    twice = ones(own, grad_output=torch.full((*LEADING, QUERY_LEN, VALUE_DIM), 2.0, dtype=own))

    once = expect(ones(own), oracle=softmax_attention).values["grad_value"]

    expected = expect(twice, oracle=softmax_attention).values["grad_value"]
    torch.testing.assert_close(expected, 2 * once)
    torch.testing.assert_close(once, torch.full_like(once, QUERY_LEN / KEY_LEN))


# Beyond this size nothing happens to a number that does not happen below it.
LARGEST = 50_000


class Found(NamedTuple):
    """What is expected of a quantity in a situation: its largest number, and how far it may be off.

    The largest is NaN where one of them is, and 0 where there are none.
    """

    situation: str
    quantity: str
    largest: float
    allowed: float


@cache
def found_in_every_situation(dtype: str) -> list[Found]:
    found = []
    for one in (case for case in check_cases([dtype]) if case.size < LARGEST):
        expected = expect(
            build(one, seed=0),
            is_causal=one.case.is_causal,
            scale=one.scale,
            oracle=softmax_attention,
        )
        for name in QUANTITIES:
            numbers = expected.values[name].abs()
            largest = float(numbers.max()) if numbers.numel() else 0.0
            found.append(Found(one.name, name, largest, expected.allowed[name]))
    return found


@pytest.mark.parametrize("dtype", DTYPES)
def test_in_every_situation_the_answer_and_the_allowance_are_finite(dtype):
    for one in found_in_every_situation(dtype):
        assert math.isfinite(one.largest), one
        assert 0.0 <= one.allowed < math.inf, one


# Their gradients cancel to nothing: all keys are alike, or one of them has all the weight.
VANISHING = (
    "constant_inputs",
    "very_negative_scores",
    "very_large_scores",
    "causal_very_negative_scores",
)
# What is added to a row of scores leaves few digits of the scores themselves.
FEW_DIGITS = {"rows_of_minus_1e9": ("float32",), "rows_of_the_least_number": DTYPES}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", VANISHING)
def test_where_gradients_vanish_the_output_is_still_told_from_another(name, dtype):
    one = next(case for case in check_cases([dtype]) if case.name == name)

    expected = expect(
        build(one, seed=0),
        is_causal=one.case.is_causal,
        scale=one.scale,
        oracle=softmax_attention,
    )

    assert expected.allowed["output"] < 0.1 * float(expected.values["output"].abs().max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_allowance_is_so_wide_that_another_answer_fits_in(dtype):
    for one in found_in_every_situation(dtype):
        if one.situation in VANISHING or dtype in FEW_DIGITS.get(one.situation, ()):
            continue
        assert not one.largest or one.allowed < 0.1 * one.largest, one


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_in_half_precision_too_some_situations_allow_no_other_answer(dtype, quantity):
    def share(name: str) -> float:
        one = next(case for case in check_cases([dtype]) if case.name == name)
        expected = expect(build(one, seed=0), scale=one.scale, oracle=softmax_attention)
        return expected.allowed[quantity] / float(expected.values[quantity].abs().max())

    assert min(share(name) for name in ("plain", "tiny_scores", "more_keys")) < 0.1
