"""Multi-head attention within a band."""

import pytest

from implementations.catalogue import suite
from implementations.parameters import parameter_count
from tests.implementations.layers.comparing import (
    assert_same,
    draw_x,
    positions_read,
    small_case,
    trained,
    with_gradients,
)

WINDOW = suite()["sliding_window_layer"]


@pytest.mark.parametrize(("num_heads", "head_dim"), [(1, 7), (3, 5), (2, 13)])
def test_a_window_leaves_4_d_squared_plus_4_d_parameters(num_heads, head_dim):
    case = small_case(num_heads=num_heads, head_dim=head_dim, window=3)
    d = num_heads * head_dim

    assert parameter_count(WINDOW, case) == 4 * d**2 + 4 * d


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize(("seq_len", "window"), [(5, 1), (5, 2), (5, 7), (61, 3), (61, 23)])
def test_the_layer_and_its_gradients_equal_multi_head_attention_in_the_band(
    seq_len, window, is_causal
):
    case = small_case(seq_len=seq_len, window=window, is_causal=is_causal)
    module = WINDOW.build(case).double()
    parameters, options = trained(module), {"is_causal": True} if is_causal else {}

    actual = with_gradients(lambda x: module(x, **options), parameters, draw_x(case))
    expected = with_gradients(
        lambda x: WINDOW.layer_oracle(parameters, x, None, None, case), parameters, draw_x(case)
    )

    assert_same(actual, expected, case)


@pytest.mark.parametrize(
    ("is_causal", "expected"), [(False, {27, 28, 29, 30, 31}), (True, {27, 28, 29})]
)
def test_a_position_reads_nothing_outside_the_band(is_causal, expected):
    case = small_case(seq_len=61, window=3, is_causal=is_causal)
    module = WINDOW.build(case).double()

    assert positions_read(module, case, 29, is_causal=is_causal) == expected
