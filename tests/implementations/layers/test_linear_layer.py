"""Multi-head linear attention."""

import pytest
import torch
import torch.nn.functional as F

from implementations.catalogue import suite
from implementations.parameters import parameter_count
from tests.implementations.layers.comparing import (
    assert_same,
    draw_x,
    positions_read,
    small_case,
)

LINEAR = suite()["linear_layer"]


@pytest.mark.parametrize(("num_heads", "head_dim"), [(1, 7), (3, 5), (2, 13)])
def test_linear_attention_has_4_d_squared_plus_4_d_parameters(num_heads, head_dim):
    case = small_case(num_heads=num_heads, head_dim=head_dim)
    d = num_heads * head_dim

    assert parameter_count(LINEAR, case) == 4 * d**2 + 4 * d


def test_a_head_divides_its_sum_of_values_by_its_sum_of_weights():
    case = small_case(num_heads=1)
    module, x = LINEAR.build(case).double(), draw_x(case)
    queries, keys = (F.elu(one(x)) + 1 for one in (module.query, module.key))
    weights = torch.einsum("bic,bjc->bij", queries, keys)

    expected = module.output(weights / weights.sum(dim=-1, keepdim=True) @ module.value(x))

    assert_same({"output": module(x)}, {"output": expected}, case)


def test_tokens_mix_in_linear_attention():
    case = small_case()

    assert positions_read(LINEAR.build(case).double(), case, 1) == {0, 1, 2, 3, 4}
