"""The modules of layers: the same parameters everywhere, none of which hides a fault."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from bench.timing.built_module import bound_module, build_module, call_bytes, parameters_of
from bench.timing.inputs import make_layer_inputs
from implementations.case import Case
from implementations.catalogue import suite
from tests.bench.some_layers import ATTENTION, CROSS

CASE = Case(batch=2, seq_len=5, num_heads=3, head_dim=7)


def test_parameters_depend_on_the_seed_alone():
    first, again, other = (parameters_of(build_module(ATTENTION, CASE, seed=s)) for s in (0, 0, 1))

    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


def test_building_leaves_random_numbers_and_the_default_dtype_alone():
    before = torch.get_rng_state()

    build_module(ATTENTION, replace(CASE, dtype="float64"))

    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_default_dtype() == torch.float32


def test_parameters_in_float64_have_digits_that_float32_lacks():
    module = build_module(ATTENTION, replace(CASE, dtype="float64"))

    assert all((one != one.float().double()).any() for one in module.parameters())


def test_biases_of_zeros_get_numbers():
    def build(case):
        layer = nn.Linear(case.d_model, case.d_model)
        nn.init.zeros_(layer.bias)
        return layer

    module = build_module(replace(ATTENTION, build=build), CASE)

    assert module.bias.std() > 0.01


@pytest.mark.parametrize(("pass_", "training"), [("forward", False), ("forward_backward", True)])
def test_a_module_is_trained_where_gradients_are_asked_for(pass_, training):
    assert build_module(ATTENTION, replace(CASE, pass_=pass_)).training is training


def test_what_is_no_module_is_told():
    with pytest.raises(TypeError, match=r"attention: build must give a torch.nn.Module, got int"):
        build_module(replace(ATTENTION, build=lambda case: 3), CASE)


def test_keywords_that_are_not_asked_for_are_left_out():
    class Seen(nn.Module):
        def forward(self, x, **keywords):
            seen.append(keywords)
            return x

    seen = []
    for case in (CASE, replace(CASE, is_causal=True), replace(CASE, mask="boolean")):
        bound_module(ATTENTION, Seen(), make_layer_inputs(case), case)()

    assert [set(one) for one in seen] == [set(), {"is_causal"}, {"attn_mask"}]


def test_a_window_is_a_mask_to_a_layer_that_takes_masks_only():
    class Seen(nn.Module):
        def forward(self, x, attn_mask):
            return attn_mask

    case = replace(CASE, window=2, is_causal=True)
    mask = bound_module(ATTENTION, Seen(), make_layer_inputs(case), case)()

    assert mask.tolist() == [[0 <= i - j < 2 for j in range(5)] for i in range(5)]


def test_a_call_holds_parameters_and_with_a_backward_pass_all_gradients():
    width = 21
    parameters = 4 * (width**2 + width)

    assert call_bytes(ATTENTION, CASE) == 4 * (2 * 2 * 5 * width + parameters)
    trained = replace(CASE, pass_="forward_backward", key_len=11)
    assert call_bytes(CROSS, trained) == 2 * 4 * (2 * (2 * 5 + 11) * width + parameters)
    assert call_bytes(suite()["matmul"], CASE) == CASE.tensor_bytes


def test_a_window_that_is_a_mask_takes_a_byte_for_each_pair():
    plain, band = Case(seq_len=7, head_dim=5), Case(seq_len=7, head_dim=5, window=3)

    masked, native = suite()["matmul"], suite()["sliding_window"]

    assert call_bytes(masked, band) - call_bytes(masked, plain) == 7 * 7
    assert call_bytes(native, band) == band.tensor_bytes
