"""The shortest way of the gradient from the last output to the first input."""

import pytest
import torch
from torch import nn

from bench.counting.path import Path, PathError, shortest_path
from implementations.attention.matmul import matmul

D = 5


def positions(n):
    generator = torch.Generator().manual_seed(0)
    return 1e-6 * (1.0 + torch.rand(1, n, D, generator=generator, dtype=torch.float64))


def positive(module):
    with torch.no_grad():
        for parameter in module.double().parameters():
            parameter.fill_(1.0 / parameter[0].numel() if parameter.dim() > 1 else 1e-6)
    return module


def stack_of(layer):
    return lambda count: [layer] * count


def before(step):
    """Each position also looks at the one so many steps before it."""

    def layer(x):
        return x + torch.cat([torch.zeros_like(x[:, :step]), x[:, :-step]], dim=1)[:, : x.shape[1]]

    return layer


def test_attention_connects_any_two_positions_in_one_layer():
    attend = lambda x: matmul(x[:, None], x[:, None], x[:, None])[:, 0]  # noqa: E731

    assert shortest_path(stack_of(attend), positions(7)) == Path(seq_len=7, layers=1, operators=1)
    assert shortest_path(stack_of(attend), positions(61)).operators == 1


@pytest.mark.parametrize("n", [5, 11, 53])
def test_one_recurrent_layer_is_enough_but_as_long_as_its_sequence(n):
    rnn = positive(nn.RNN(D, D, batch_first=True))

    found = shortest_path(stack_of(lambda x: rnn(x)[0]), positions(n))

    assert (found.layers, found.operators) == (1, 3 * n + 1)


@pytest.mark.parametrize(("n", "step"), [(7, 1), (13, 3), (31, 5)])
def test_layers_with_a_short_reach_are_stacked(n, step):
    assert shortest_path(stack_of(before(step)), positions(3 * step + 1)).layers == 3
    if (n - 1) % step == 0:
        assert shortest_path(stack_of(before(step)), positions(n)).layers == (n - 1) // step


@pytest.mark.parametrize(("n", "layers"), [(2, 1), (8, 3), (9, 4), (64, 6)])
def test_a_reach_that_doubles_takes_a_logarithm_of_layers(n, layers):
    # The last position has to reach n - 1 back by steps of 1, 2, 4, …, each at most once.
    found = shortest_path(lambda count: [before(2**level) for level in range(count)], positions(n))

    assert found.layers == layers


def test_a_shortcut_is_found_beside_a_long_way():
    def layer(x):
        slow = x
        for _ in range(7):
            slow = slow * 3.0
        return slow.cumsum(1) + 1e-3 * x.cumsum(1)

    # The sum over positions, its factor, and the addition; the detour takes seven more.
    assert shortest_path(stack_of(layer), positions(5)).operators == 3


def test_views_have_no_length():
    def layer(x):
        return x.mT.contiguous().mT.unsqueeze(1)[:, 0].cumsum(1)

    plain = shortest_path(stack_of(lambda x: x.cumsum(1)), positions(5)).operators

    assert shortest_path(stack_of(layer), positions(5)).operators <= plain + 1


def test_positions_that_never_meet_are_an_error():
    with pytest.raises(PathError, match="do not connect 7 positions"):
        shortest_path(stack_of(lambda x: x * 2.0), positions(7))
