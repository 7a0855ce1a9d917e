"""Convolutions over positions: parameters and receptive fields."""

import pytest

from implementations.catalogue import suite
from implementations.parameters import parameter_count
from tests.implementations.layers.comparing import positions_read, small_case

BOTH = ["convolution", "convolution_dilated"]


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(("num_heads", "head_dim"), [(1, 7), (3, 5), (2, 13)])
def test_a_convolution_has_3_d_squared_plus_d_parameters(name, num_heads, head_dim):
    case = small_case(num_heads=num_heads, head_dim=head_dim)
    d = num_heads * head_dim

    assert parameter_count(suite()[name], case) == 3 * d**2 + d


@pytest.mark.parametrize(
    ("name", "is_causal", "position", "expected"),
    [
        ("convolution", False, 5, {4, 5, 6}),
        ("convolution", False, 0, {0, 1}),
        ("convolution", True, 5, {3, 4, 5}),
        ("convolution_dilated", False, 5, {1, 5, 9}),
        ("convolution_dilated", False, 11, {7, 11}),
        ("convolution_dilated", True, 11, {3, 7, 11}),
    ],
)
def test_a_position_reads_as_many_as_the_kernel_has_taps(name, is_causal, position, expected):
    case = small_case(seq_len=13)
    module = suite()[name].build(case).double()

    assert positions_read(module, case, position, is_causal=is_causal) == expected
