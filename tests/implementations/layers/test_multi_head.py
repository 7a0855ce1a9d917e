"""Multi-head attention: torch's own layer under copied weights, parameters, heads apart."""

import pytest
import torch
from torch import Tensor, nn

from implementations.layers.multi_head import IMPLEMENTATION, VARIANTS, MultiHead
from implementations.parameters import parameter_count
from tests.implementations.layers.comparing import (
    assert_same,
    draw_mask,
    draw_x,
    positions_read,
    small_case,
    trained,
    with_gradients,
)

EVERY_CORE = [IMPLEMENTATION, *VARIANTS]


def theirs(module: MultiHead) -> nn.MultiheadAttention:
    """torch's layer with the same weights."""
    layer = nn.MultiheadAttention(
        module.query.in_features, module.num_heads, batch_first=True, dtype=torch.float64
    )
    projections = (module.query, module.key, module.value)
    with torch.no_grad():
        layer.in_proj_weight.copy_(torch.cat([one.weight for one in projections]))
        layer.in_proj_bias.copy_(torch.cat([one.bias for one in projections]))
        layer.out_proj.load_state_dict(module.output.state_dict())
    return layer


def packed(results: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our results by torch's names."""
    given = dict(results)
    for kind in ("weight", "bias"):
        parts = [given.pop(f"{name}.{kind}") for name in ("query", "key", "value")]
        given[f"in_proj_{kind}"] = torch.cat(parts)
        given[f"out_proj.{kind}"] = given.pop(f"output.{kind}")
    return given


@pytest.mark.parametrize("kind", ["none", "boolean", "float", "causal"])
@pytest.mark.parametrize("layer", EVERY_CORE, ids=lambda layer: layer.name)
def test_multi_head_equals_torchs_layer_under_copied_weights(layer, kind):
    case = small_case()
    module = layer.build(case).double()
    mask = draw_mask(case, kind)
    hidden = ~mask if kind == "boolean" else mask
    if kind == "causal":
        hidden = torch.ones(case.seq_len, case.seq_len, dtype=torch.bool).triu(1)
    reference = theirs(module)

    ours = with_gradients(
        lambda x: module(x, attn_mask=mask, is_causal=kind == "causal"),
        trained(module),
        draw_x(case),
    )
    expected = with_gradients(
        lambda x: reference(x, x, x, attn_mask=hidden, need_weights=False)[0],
        trained(reference),
        draw_x(case),
    )

    assert_same(packed(ours), expected, case)


@pytest.mark.parametrize("kind", ["boolean", "float"])
@pytest.mark.parametrize("layer", EVERY_CORE, ids=lambda layer: layer.name)
def test_each_head_of_each_item_may_have_a_mask_of_its_own(layer, kind):
    case = small_case(mask=kind)
    module = layer.build(case).double()
    mask, x = draw_mask(case, kind, case.batch, case.num_heads), draw_x(case)

    actual = {"output": module(x, attn_mask=mask)}

    expected = layer.layer_oracle(trained(module), x, None, mask, case)
    assert_same(actual, {"output": expected}, case)


@pytest.mark.parametrize("layer", EVERY_CORE, ids=lambda layer: layer.name)
@pytest.mark.parametrize(("num_heads", "head_dim"), [(1, 30), (2, 15), (15, 2), (3, 7), (5, 11)])
def test_multi_head_has_4_d_squared_plus_4_d_parameters_at_any_number_of_heads(
    layer, num_heads, head_dim
):
    d = num_heads * head_dim

    case = small_case(num_heads=num_heads, head_dim=head_dim)

    assert parameter_count(layer, case) == 4 * d**2 + 4 * d


def test_a_head_has_its_own_queries_keys_and_values():
    case = small_case()
    module = IMPLEMENTATION.build(case).double()
    with torch.no_grad():
        module.output.weight[:, : case.head_dim] = 0.0  # the output does not see the first head

    gradients = with_gradients(module, trained(module), draw_x(case))

    for name in ("query.weight", "key.weight", "value.weight"):
        assert not gradients[name][: case.head_dim].any()
        assert gradients[name][case.head_dim :].all()


def test_tokens_mix_in_multi_head_attention():
    case = small_case()

    assert positions_read(IMPLEMENTATION.build(case).double(), case, 1) == {0, 1, 2, 3, 4}


def test_any_core_fits_inside():
    def values_only(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return value

    module = MultiHead(6, 2, qk_dim=5, value_dim=7, core=values_only).double()
    x = draw_x(small_case(num_heads=2, head_dim=3))

    assert torch.allclose(module(x), module.output(module.value(x)), rtol=0.0, atol=1e-15)
