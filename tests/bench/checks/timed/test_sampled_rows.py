"""A few rows of an answer against the reference, at any size."""

import random
from dataclasses import replace

import pytest
import torch

from bench.checks.error_bound import expect
from bench.checks.timed.sampled_rows import Sample, draw_sample, row_errors, thin_upstream
from bench.timing.inputs import make_inputs
from bench.timing.prepared_call import prepare
from implementations.case import DTYPES, Case
from implementations.catalogue import suite
from implementations.oracle import QUANTITIES, softmax_attention

CASE = Case(seq_len=37, key_len=41, head_dim=11, value_dim=13, batch=2, num_heads=3)
BACKWARD = replace(CASE, pass_="forward_backward")


def errors(case: Case, name: str = "matmul", spoil=lambda outputs: None, seed: int = 0):
    sample = draw_sample(case, random.Random(seed))
    inputs = make_inputs(case)
    thin_upstream(inputs.grad_output, sample)
    outputs = list(prepare(suite()[name], inputs, case).run())
    spoil(outputs)
    return list(row_errors(outputs, inputs, sample, is_causal=case.is_causal))


def test_a_sample_has_the_first_row_the_last_and_others_in_every_draw():
    chance = random.Random(0)
    draws = [draw_sample(CASE, chance) for _ in range(200)]

    assert all({0, 36} < set(one.rows) and len(one.rows) == 6 for one in draws)
    assert {row for one in draws for row in one.rows} > set(range(10))
    assert {item for one in draws for item in one.items} == {
        (b, h) for b in (0, 1) for h in (0, 1, 2)
    }
    assert draw_sample(replace(CASE, seq_len=1), chance).rows == (0,)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "condition", [{}, {"is_causal": True}, {"mask": "boolean"}, {"mask": "float"}]
)
def test_right_kernels_are_within_what_is_allowed(dtype, condition):
    for seed in range(5):
        found = errors(replace(BACKWARD, dtype=dtype, **condition), seed=seed)
        assert [one.quantity for one in found] == list(QUANTITIES)
        assert not any(one.bad for one in found), [str(one) for one in found]


def test_without_a_backward_pass_the_output_alone_is_compared():
    assert [one.quantity for one in errors(CASE)] == ["output"]


def test_the_gradients_of_a_thinned_upstream_are_those_of_the_sampled_rows_alone():
    sample = Sample(items=((1, 2),), rows=(0, 17, 36))
    inputs = make_inputs(BACKWARD)
    thin_upstream(inputs.grad_output, sample)

    whole = expect(inputs, oracle=softmax_attention).values
    outputs = [whole[name].float() for name in QUANTITIES]

    assert not inputs.grad_output[..., 1:17, :].any()
    assert max(one.error for one in row_errors(outputs, inputs, sample)) < 1e-6


@pytest.mark.parametrize(("place", "quantity"), [*enumerate(QUANTITIES)])
def test_what_is_wrong_is_told_with_the_first_place_of_it(place, quantity):
    def spoil(outputs):
        outputs[place] = outputs[place].clone()
        outputs[place][1, 2, 36:] += 0.25

    found = [one for seed in range(10) for one in errors(BACKWARD, spoil=spoil, seed=seed)]

    wrong = [one for one in found if one.bad]
    assert wrong
    kind = "row" if quantity in ("output", "grad_query") else "key"
    assert {(one.quantity, one.place) for one in wrong} == {
        (quantity, f"batch 1, head 2, {kind} 36")
    }
    assert str(wrong[0]).startswith(("output at", "gradient of"))
    assert f"is off by {wrong[0].error:.3g}, allowed" in str(wrong[0])


GROUPED = replace(BACKWARD, num_heads=6, num_kv_heads=3)


@pytest.mark.parametrize("condition", [{}, {"is_causal": True}, {"mask": "boolean"}])
def test_heads_that_share_keys_are_looked_at_together(condition):
    case = replace(GROUPED, **condition)

    found = [one for seed in range(5) for one in errors(case, seed=seed)]

    assert not any(one.bad for one in found), [str(one) for one in found]


def test_a_gradient_that_is_no_sum_over_the_group_is_wrong():
    def halve(outputs):
        outputs[2] = outputs[2] / 2

    wrong = [one.quantity for one in errors(GROUPED, spoil=halve) if one.bad]

    assert wrong == ["grad_key"]


def test_what_is_wrong_in_the_second_head_of_a_group_is_told_with_its_number():
    def spoil(outputs):
        outputs[0] = outputs[0].clone()
        outputs[0][1, 5, 36] += 0.25

    places = {one.place for one in errors(GROUPED, spoil=spoil) if one.bad}

    assert places == {"batch 1, head 5, row 36"}


def test_a_sample_of_grouped_heads_has_as_many_heads_of_queries_at_most():
    case = replace(CASE, batch=7, num_heads=8, num_kv_heads=2)

    assert len(draw_sample(case, random.Random(0)).items) == 4


@pytest.mark.parametrize(
    ("seq_len", "key_len", "most"),
    [(1, 2**13, 16), (1, 2**15, 4), (1, 2**20, 1), (2**20, 2**20, 16), (3, 0, 16)],
)
def test_a_sample_has_fewer_heads_where_few_queries_meet_many_keys(seq_len, key_len, most):
    case = replace(CASE, num_heads=16, batch=1, seq_len=seq_len, key_len=key_len)

    assert len(draw_sample(case, random.Random(0)).items) == most


def test_what_is_not_a_number_is_wrong():
    def spoil(outputs):
        outputs[0] = outputs[0] * torch.nan

    assert errors(CASE, spoil=spoil)[0].bad
