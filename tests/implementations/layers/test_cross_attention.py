"""Attention from a decoder to a memory of another length."""

import pytest
import torch

from implementations.catalogue import suite
from implementations.parameters import parameter_count
from tests.implementations.layers.comparing import (
    assert_same,
    draw_mask,
    draw_memory,
    draw_x,
    small_case,
    trained,
    with_gradients,
)

CROSS = suite()["cross_attention"]


@pytest.mark.parametrize(("num_heads", "head_dim"), [(1, 7), (3, 5), (2, 13)])
def test_cross_attention_has_4_d_squared_plus_4_d_parameters(num_heads, head_dim):
    d = num_heads * head_dim

    case = small_case(num_heads=num_heads, head_dim=head_dim)

    assert parameter_count(CROSS, case) == 4 * d**2 + 4 * d


@pytest.mark.parametrize("kind", ["none", "boolean", "float"])
def test_a_memory_longer_than_x_is_read_as_the_formula_says(kind):
    case = small_case(key_len=7, mask=kind)
    module = CROSS.build(case).double()
    mask = draw_mask(case, kind)
    inputs = (draw_x(case), draw_memory(case))
    parameters = trained(module)

    actual = with_gradients(lambda *xs: module(*xs, attn_mask=mask), parameters, *inputs)
    expected = with_gradients(
        lambda *xs: CROSS.layer_oracle(parameters, *xs, mask, case), parameters, *inputs
    )

    assert_same(actual, expected, case)


def test_every_row_of_x_reads_every_row_of_the_memory_and_no_other_row_of_x():
    case = small_case(key_len=7)
    x, memory = draw_x(case).requires_grad_(), draw_memory(case).requires_grad_()

    output = CROSS.build(case).double()(x, memory)
    of_x, of_memory = torch.autograd.grad(output[:, 3].sum(), (x, memory))

    assert of_memory.all()
    assert of_x[:, 3].all()
    assert not of_x[:, [0, 1, 2, 4]].any()


def test_the_order_of_the_memory_does_not_matter():
    case = small_case(key_len=7)
    module = CROSS.build(case).double()
    x, memory = draw_x(case), draw_memory(case)

    assert_same({"output": module(x, memory.flip(1))}, {"output": module(x, memory)}, case)
