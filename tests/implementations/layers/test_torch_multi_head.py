"""torch's own layer behind our keywords: which way it takes, and what it refuses."""

import pytest
import torch

from bench.machine.workspace import workspace_bytes
from implementations.case import Case
from implementations.layers.torch_multi_head import IMPLEMENTATION, VARIANTS
from implementations.parameters import parameter_count
from tests.implementations.layers.comparing import (
    assert_same,
    draw_mask,
    draw_x,
    small_case,
    trained,
)

(FAST_PATH,) = VARIANTS


@pytest.mark.parametrize(("num_heads", "head_dim"), [(1, 7), (3, 5), (2, 13)])
def test_torchs_layer_has_4_d_squared_plus_4_d_parameters(num_heads, head_dim):
    d = num_heads * head_dim

    case = small_case(num_heads=num_heads, head_dim=head_dim)

    assert parameter_count(IMPLEMENTATION, case) == 4 * d**2 + 4 * d


def test_a_boolean_mask_keeps_where_it_is_true():
    case = small_case()
    module = IMPLEMENTATION.build(case).double()
    x = draw_x(case)
    first_only = torch.zeros(case.seq_len, case.seq_len, dtype=torch.bool)
    first_only[:, 0] = True

    kept = module(x, attn_mask=first_only)

    assert torch.allclose(kept, module(x[:, :1]).expand_as(kept), rtol=0.0, atol=1e-14)


@pytest.mark.parametrize("kind", ["boolean", "float"])
def test_each_head_of_each_item_may_have_a_mask_of_its_own(kind):
    case = small_case(mask=kind)
    module = IMPLEMENTATION.build(case).double()
    mask, x = draw_mask(case, kind, case.batch, case.num_heads), draw_x(case)

    actual = {"output": module(x, attn_mask=mask)}

    expected = IMPLEMENTATION.layer_oracle(trained(module), x, None, mask, case)
    assert_same(actual, {"output": expected}, case)


def test_a_mask_beside_is_causal_is_refused_as_by_every_core():
    case = small_case()

    with pytest.raises(ValueError, match="attn_mask and is_causal exclude each other"):
        IMPLEMENTATION.build(case).double()(
            draw_x(case), attn_mask=draw_mask(case, "boolean"), is_causal=True
        )


def scores_kept(layer, seq_len: int) -> float:
    """How many score matrices of one head the workspace holds, beside projections of x."""
    case = Case(seq_len=seq_len, num_heads=2, head_dim=8, dtype="float32")
    module = layer.build(case)
    x = draw_x(case).float()
    with torch.no_grad():
        return workspace_bytes(lambda: (module(x),), "cpu") / 4 / seq_len**2


def test_only_the_fast_path_keeps_the_scores_of_all_heads():
    assert scores_kept(FAST_PATH, 1024) == pytest.approx(2.0, abs=0.1)
    assert scores_kept(IMPLEMENTATION, 1024) < 1.0


def test_the_fast_path_declines_what_torch_would_send_the_other_way():
    assert FAST_PATH.unsupported(small_case(num_heads=2)) is None
    assert "even number of heads, got num_heads=3" in FAST_PATH.unsupported(small_case(num_heads=3))
    assert "does not support backward" in FAST_PATH.unsupported(
        small_case(pass_="forward_backward")
    )
