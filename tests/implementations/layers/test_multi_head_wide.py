"""Heads that are wider than d_model / num_heads."""

import pytest

from implementations.catalogue import suite
from implementations.parameters import parameter_count
from tests.implementations.layers.comparing import small_case

WIDE = suite()["multi_head_wide"]


@pytest.mark.parametrize(("num_heads", "head_dim"), [(1, 7), (3, 5), (2, 13)])
def test_wide_heads_take_10_d_squared_plus_8_d_parameters(num_heads, head_dim):
    d = num_heads * head_dim

    case = small_case(num_heads=num_heads, head_dim=head_dim)

    assert parameter_count(WIDE, case) == 10 * d**2 + 8 * d


def test_queries_keys_and_values_are_as_wide_as_they_say():
    shapes = {name: tuple(one.shape) for name, one in WIDE.build(small_case()).named_parameters()}

    assert shapes["query.weight"] == shapes["key.weight"] == (2 * 22, 22)
    assert shapes["value.weight"] == (3 * 22, 22)
    assert shapes["output.weight"] == (22, 3 * 22)
