"""Additive self-attention with projections of its own."""

import pytest
import torch

from implementations.catalogue import suite
from implementations.parameters import parameter_count
from tests.implementations.layers.comparing import draw_x, positions_read, small_case

ADDITIVE = suite()["additive_layer"]


@pytest.mark.parametrize(("num_heads", "head_dim"), [(1, 7), (3, 5), (2, 13)])
def test_additive_attention_has_2_d_squared_plus_d_parameters(num_heads, head_dim):
    case = small_case(num_heads=num_heads, head_dim=head_dim)
    d = num_heads * head_dim

    assert parameter_count(ADDITIVE, case) == 2 * d**2 + d


def test_without_the_vector_every_position_counts_the_same():
    case = small_case()
    module, x = ADDITIVE.build(case).double(), draw_x(case)
    with torch.no_grad():
        module.weight.zero_()

    assert torch.allclose(module(x), x.mean(dim=1, keepdim=True).expand_as(x), atol=1e-15, rtol=0.0)


def test_tokens_mix_in_additive_attention():
    case = small_case()

    assert positions_read(ADDITIVE.build(case).double(), case, 1) == {0, 1, 2, 3, 4}


def test_a_case_whose_tanhs_do_not_fit_is_declined():
    assert ADDITIVE.unsupported(small_case(seq_len=2**9)) is None
    assert "use additive_chunked" in ADDITIVE.unsupported(small_case(seq_len=2**14))
