"""The position-wise feed-forward layer."""

import pytest

from implementations.catalogue import suite
from implementations.parameters import parameter_count
from tests.implementations.layers.comparing import positions_read, small_case

FEED_FORWARD = suite()["feed_forward"]


@pytest.mark.parametrize(("num_heads", "head_dim"), [(1, 7), (3, 5), (2, 13)])
def test_feed_forward_has_8_d_squared_plus_5_d_parameters(num_heads, head_dim):
    case = small_case(num_heads=num_heads, head_dim=head_dim)
    d = num_heads * head_dim

    assert parameter_count(FEED_FORWARD, case) == 8 * d**2 + 5 * d


def test_feed_forward_reads_its_own_position_only():
    case = small_case()

    assert positions_read(FEED_FORWARD.build(case).double(), case, 3) == {3}
