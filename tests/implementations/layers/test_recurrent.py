"""Recurrent layers: parameters, and what a state depends on."""

import pytest
import torch

from implementations.catalogue import suite
from implementations.parameters import parameter_count
from tests.implementations.layers.comparing import draw_x, positions_read, small_case

GATES = {"rnn": 1, "gru": 3, "lstm": 4}


@pytest.mark.parametrize(("name", "gates"), GATES.items())
@pytest.mark.parametrize(("num_heads", "head_dim"), [(1, 7), (3, 5), (2, 13)])
def test_a_gate_has_2_d_squared_plus_2_d_parameters(name, gates, num_heads, head_dim):
    case = small_case(num_heads=num_heads, head_dim=head_dim)
    d = num_heads * head_dim

    assert parameter_count(suite()[name], case) == gates * (2 * d**2 + 2 * d)


@pytest.mark.parametrize("name", GATES)
def test_a_state_depends_on_all_earlier_positions_and_on_no_later_one(name):
    case = small_case()

    assert positions_read(suite()[name].build(case).double(), case, 3) == {0, 1, 2, 3}


@pytest.mark.parametrize("name", GATES)
def test_a_recurrence_goes_on_from_a_state_that_it_has_reached(name):
    case = small_case()
    steps = suite()[name].build(case).double().steps
    x = draw_x(case)

    whole, _ = steps(x)
    _, reached = steps(x[:, :2])
    rest, _ = steps(x[:, 2:], reached)

    assert torch.allclose(whole[:, 2:], rest, rtol=0.0, atol=1e-15)
