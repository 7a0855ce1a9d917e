"""The error rule of layers: what right layers lose is allowed, and little more."""

from dataclasses import replace

import pytest
import torch

from bench.checks.layer_bound import expect_layer
from bench.timing.built_module import build_module, parameters_of
from bench.timing.inputs import make_layer_inputs
from implementations.case import DTYPES, Case
from implementations.oracle import largest_error
from tests.bench.some_layers import ATTENTION, CROSS, RECURRENCE

CASE = Case(batch=2, seq_len=13, num_heads=3, head_dim=5, pass_="forward_backward")


def asked(layer, case, seed=0):
    module = build_module(layer, case, seed=seed)
    inputs = make_layer_inputs(case, seed=seed, needs_memory=layer.needs_memory)
    return module, inputs, expect_layer(layer, parameters_of(module), inputs, case)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layer", [ATTENTION, RECURRENCE], ids=lambda one: one.name)
def test_a_right_output_is_within_the_bound_for_many_inputs(layer, dtype):
    for seed in range(20):
        module, inputs, expected = asked(layer, replace(CASE, dtype=dtype), seed)
        with torch.no_grad():
            output = module(inputs.x)
        assert largest_error(output, expected.values["output"]) <= expected.allowed["output"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_bound_is_a_few_steps_of_rounding_of_the_largest_number(dtype):
    step = torch.finfo(getattr(torch, dtype)).eps
    for layer in (ATTENTION, RECURRENCE):
        _, _, expected = asked(layer, replace(CASE, dtype=dtype))
        largest = float(expected.values["output"].abs().max())
        assert step * largest < expected.allowed["output"] < 20 * step * largest


def test_a_thousandth_of_any_quantity_is_beyond_the_bound_in_float32():
    for layer in (ATTENTION, CROSS, RECURRENCE):
        _, _, expected = asked(layer, CASE)
        for name, value in expected.values.items():
            if name != "grad_key.bias":  # zero in exact arithmetic
                assert expected.allowed[name] < 1e-3 * float(value.abs().max()), name


def test_the_gradient_of_a_keys_bias_is_allowed_what_rounding_leaves_of_zero():
    _, _, expected = asked(ATTENTION, CASE)

    value = float(expected.values["grad_key.bias"].abs().max())
    assert value < 1e-12 < 1e-7 < expected.allowed["grad_key.bias"]


def test_a_single_key_leaves_x_without_a_gradient_and_with_an_allowance():
    _, _, expected = asked(CROSS, replace(CASE, key_len=1))

    assert not expected.values["grad_x"].any()
    assert expected.allowed["grad_x"] > 0.0


def test_a_formula_that_torch_refuses_in_the_dtype_is_taken_in_float32():
    def refusing(parameters, x, memory, attn_mask, case):
        if x.dtype == torch.float16:
            raise RuntimeError("not implemented for 'Half'")
        return ATTENTION.layer_oracle(parameters, x, memory, attn_mask, case)

    case = replace(CASE, dtype="float16")
    _, _, expected = asked(replace(ATTENTION, layer_oracle=refusing), case)
    _, _, usual = asked(ATTENTION, case)

    assert 0.1 < expected.allowed["output"] / usual.allowed["output"] <= 1.0


def test_a_formula_that_overflows_excuses_nobody():
    def overflowing(parameters, x, memory, attn_mask, case):
        output = ATTENTION.layer_oracle(parameters, x, memory, attn_mask, case)
        return output * 1e30 * 1e-30 if x.dtype == torch.float16 else output

    layer = replace(ATTENTION, layer_oracle=overflowing)
    _, _, expected = asked(layer, replace(CASE, dtype="float16"))

    assert expected.allowed["output"] < 0.1
