"""Every layer of the suite against its own oracle, its formula written step by step, in float64."""

import pytest
import torch

from implementations.case import Case
from implementations.catalogue import suite
from implementations.interface import Feature, Implementation
from tests.implementations.layers.comparing import (
    assert_same,
    draw_mask,
    draw_memory,
    draw_x,
    small_case,
    trained,
    with_gradients,
)

LAYERS = [one for one in suite().values() if one.kind == "layer"]


def taking(feature: Feature) -> list[Implementation]:
    return [one for one in LAYERS if feature in one.supports]


def compare(layer: Implementation, case: Case, mask: torch.Tensor | None = None) -> None:
    module = layer.build(case).double()
    parameters = trained(module)
    options = {} if mask is None else {"attn_mask": mask}
    if case.is_causal:
        options["is_causal"] = True

    def formula(x: torch.Tensor, *memory: torch.Tensor) -> torch.Tensor:
        return layer.layer_oracle(
            dict(module.named_parameters()), x, *(memory or (None,)), mask, case
        )

    inputs = (draw_x(case), draw_memory(case)) if layer.needs_memory else (draw_x(case),)
    if Feature.BACKWARD in layer.supports:
        actual = with_gradients(lambda *given: module(*given, **options), parameters, *inputs)
        expected = with_gradients(formula, parameters, *inputs)
    else:
        actual, expected = {"output": module(*inputs, **options)}, {"output": formula(*inputs)}
    assert_same(actual, expected, case)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_a_layer_and_all_its_gradients_equal_its_formula(layer):
    compare(layer, small_case())


@pytest.mark.parametrize("layer", taking(Feature.CAUSAL), ids=lambda layer: layer.name)
def test_a_causal_layer_equals_its_formula(layer):
    compare(layer, small_case(is_causal=True))


@pytest.mark.parametrize("leading", [(), (3, 1)], ids=str)
@pytest.mark.parametrize("kind", ["boolean", "float"])
@pytest.mark.parametrize(
    "layer",
    [one for one in taking(Feature.BOOLEAN_MASK) if Feature.FLOAT_MASK in one.supports],
    ids=lambda layer: layer.name,
)
def test_a_masked_layer_equals_its_formula_and_a_row_without_keys_gives_no_nan(
    layer, kind, leading
):
    case = small_case(mask=kind)

    compare(layer, case, draw_mask(case, kind, *leading))


@pytest.mark.parametrize("layer", taking(Feature.CAUSAL), ids=lambda layer: layer.name)
def test_no_causal_layer_sees_a_later_position(layer):
    case = small_case()
    module = layer.build(case).double()
    x = draw_x(case)
    later = x.clone()
    later[:, 3:] += 1.0

    assert torch.equal(module(x, is_causal=True)[:, :3], module(later, is_causal=True)[:, :3])


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_items_of_a_batch_do_not_see_each_other(layer):
    case = small_case()
    module = layer.build(case).double()
    inputs = (draw_x(case), draw_memory(case)) if layer.needs_memory else (draw_x(case),)
    changed = [one.clone() for one in inputs]
    for one in changed:
        one[1] += 1.0

    with torch.no_grad():
        before, after = module(*inputs), module(*changed)

    assert torch.equal(before[0], after[0])
    assert torch.equal(before[2], after[2])
    assert not torch.equal(before[1], after[1])


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_a_layer_is_built_alike_each_time_and_leaves_other_random_numbers_alone(layer):
    before = torch.get_rng_state()
    first, second = (dict(layer.build(small_case()).named_parameters()) for _ in range(2))

    assert torch.equal(torch.get_rng_state(), before)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(bool(one.all()) for one in first.values()), "a bias of zero hides that it is missing"
