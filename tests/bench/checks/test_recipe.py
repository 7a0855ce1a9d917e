"""What the recipes leave behind: the same numbers for gate and reader, lying where they promise."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.checks.probes.trial import tensors_of
from bench.checks.recipe import build, source
from bench.checks.situation import CheckCase
from bench.checks.situations import check_cases
from bench.timing.inputs import Inputs
from implementations.case import DTYPES

CASES = {one.name: one for one in check_cases(["float32"])}
FOUR_DIMENSIONS = [name for name, one in CASES.items() if len(one.leading) == 2]
AT_LEAST_ONE_KEY = [
    name
    for name, one in CASES.items()
    if one.case.mask == "boolean"
    if not any(word in name for word in ("masked", "queries", "empty_rows"))
]


def with_dtype(name: str, dtype: str) -> CheckCase:
    return replace(CASES[name], case=replace(CASES[name].case, dtype=dtype))


def equal(left: Inputs, right: Inputs) -> bool:
    ours, theirs = tensors_of(left), tensors_of(right)
    return ours.keys() == theirs.keys() and all(
        torch.equal(ours[name], theirs[name]) for name in ours
    )


def test_every_recipe_gives_the_shapes_and_dtypes_of_its_case():
    for name in CASES:
        one = CASES[name]
        case = one.case
        inputs = build(one, seed=0)
        assert inputs.query.shape == (*one.leading, case.seq_len, case.head_dim)
        assert inputs.key.shape == (*one.leading_of_keys, case.key_len, case.head_dim)
        assert inputs.value.shape == (*one.leading_of_keys, case.key_len, case.value_dim)
        assert inputs.grad_output.shape == (*one.leading, case.seq_len, case.value_dim)
        floats = [inputs.query, inputs.key, inputs.value, inputs.grad_output]
        if case.mask == "none":
            assert inputs.attn_mask is None
        else:
            assert inputs.attn_mask is not None
            scores = (*one.leading, case.seq_len, case.key_len)
            assert torch.broadcast_shapes(inputs.attn_mask.shape, scores) == scores
            if case.mask == "boolean":
                assert inputs.attn_mask.dtype == torch.bool
            else:
                floats.append(inputs.attn_mask)
        assert {tensor.dtype for tensor in floats} == {torch.float32}
        assert all(bool(tensor.isfinite().all()) for tensor in floats[:4])


@pytest.mark.parametrize("name", ["plain", "masked_rows_float", "packed", "offset", "banded_mask"])
def test_the_same_seed_gives_the_same_tensors_and_another_seed_others(name):
    first, second, other = (build(CASES[name], seed=seed) for seed in (3, 3, 5))

    assert equal(first, second)
    assert not torch.equal(first.query, other.query)
    assert not torch.equal(first.value, other.value)


def test_tensors_are_new_at_each_call():
    first, second = build(CASES["plain"], seed=0), build(CASES["plain"], seed=0)

    first.query.zero_()

    assert bool(second.query.any())


def test_making_inputs_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()

    build(CASES["infinite_entries"], seed=0)

    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", ["plain", "value_dim", "boolean_mask_of_heads", "long_sums"])
def test_the_layout_changes_where_tensors_lie_and_nothing_else(name):
    ours, theirs = (build(CASES[name], seed=0, layout=layout) for layout in ("bhsd", "bshd"))

    assert equal(ours, theirs)
    for tensor in (theirs.query, theirs.key, theirs.value, theirs.grad_output):
        assert tensor.transpose(1, 2).is_contiguous()
        _, heads, rows, features = tensor.shape
        assert tensor.stride() == (heads * rows * features, features, heads * features, 1)
    assert ours.query.is_contiguous()


def test_a_layout_that_needs_heads_leaves_other_dimensions_as_they_are():
    for name in ("two_dimensions", "three_dimensions", "five_dimensions"):
        assert build(CASES[name], seed=0, layout="bshd").query.is_contiguous()


@pytest.mark.parametrize("name", ["plain", "float_mask", "boolean_mask"])
def test_float64_is_drawn_in_float64_and_not_widened_from_float32(name):
    for tensor in tensors_of(build(with_dtype(name, "float64"), seed=0)).values():
        if tensor.is_floating_point():
            assert tensor.dtype == torch.float64
            assert not torch.equal(tensor, tensor.float().double())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["plain", "float_mask", "nan_beyond", "beyond_blocks_masked"])
def test_half_precision_sees_the_numbers_of_float32_rounded(name, dtype):
    single, half = build(CASES[name], seed=0), build(with_dtype(name, dtype), seed=0)

    rounded = {
        key: tensor.to(getattr(torch, dtype)) if tensor.is_floating_point() else tensor
        for key, tensor in tensors_of(single).items()
    }
    for key, tensor in tensors_of(half).items():
        assert torch.equal(tensor, rounded[key])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_float_mask_has_the_dtype_of_the_query_and_a_boolean_one_stays_boolean(dtype):
    for name in ("float_mask", "infinite_entries", "mask_nan_beyond"):
        assert build(with_dtype(name, dtype), seed=0).attn_mask.dtype == getattr(torch, dtype)
    assert build(with_dtype("boolean_mask", dtype), seed=0).attn_mask.dtype == torch.bool


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_reader_who_pastes_the_recipe_gets_what_the_gate_ran(dtype):
    for name in [name for name in CASES if CASES[name].size < 100_000]:
        one = with_dtype(name, dtype)
        found: dict[str, Any] = {"attn_mask": None}
        exec("\n".join(["import torch", *source(one, seed=7)]), found)
        ours = tensors_of(build(one, seed=7))
        for key, tensor in ours.items():
            assert torch.equal(found[key], tensor)
            assert found[key].stride() == tensor.stride()
            assert found[key].storage_offset() == tensor.storage_offset()
        assert (found["attn_mask"] is None) == ("attn_mask" not in ours)


def test_every_row_keeps_a_key_where_a_mask_does_not_promise_otherwise():
    for name in AT_LEAST_ONE_KEY:
        mask = build(CASES[name], seed=0).attn_mask
        assert bool(mask.any(dim=-1).all())
        if name not in ("boolean_mask_single_query", "mask_expanded"):  # of one row that is drawn
            assert not bool(mask.all())


@pytest.mark.parametrize(
    ("name", "empty"),
    [
        ("masked_rows_boolean", slice(0, None, 2)),
        ("all_masked_boolean", slice(None)),
        ("boolean_mask_of_queries", slice(1, None, 2)),
        ("masked_rows_65x131", slice(40, None)),
    ],
)
def test_rows_without_keys_are_where_a_boolean_mask_promises_them(name, empty):
    mask = build(CASES[name], seed=0).attn_mask

    expected = torch.ones(mask.shape[-2], dtype=torch.bool)
    expected[empty] = False
    assert torch.equal(mask.any(dim=-1), expected)


@pytest.mark.parametrize(
    ("name", "empty"), [("masked_rows_float", slice(0, None, 2)), ("all_masked_float", slice(None))]
)
def test_rows_without_keys_are_where_a_float_mask_promises_them(name, empty):
    mask = build(CASES[name], seed=0).attn_mask

    expected = torch.zeros(mask.shape[-2], dtype=torch.bool)
    expected[empty] = True
    assert torch.equal((mask == -torch.inf).all(dim=-1), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_infinite_entries_leave_every_row_a_key_and_large_ones_stay_finite(dtype):
    infinite = build(with_dtype("infinite_entries", dtype), seed=0).attn_mask
    finite = build(with_dtype("most_negative_entries", dtype), seed=0).attn_mask

    assert bool((infinite == -torch.inf).any())
    assert bool(infinite.isfinite().any(dim=-1).all())
    assert bool(finite.isfinite().all())
    assert float(finite.min()) < -50_000


def offsets_of(tensor: Tensor) -> tuple[bool, bool, int]:
    return tensor.is_contiguous(), 0 in tensor.stride(), tensor.storage_offset()


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("rows_before_heads", {"query", "key", "value"}),
        ("columns_first", {"query", "key", "value"}),
        ("each_its_own_way", {"key", "value"}),
        ("packed", {"query", "key", "value"}),
        ("nan_beyond", {"query", "key", "value"}),
        ("mask_columns_first", {"attn_mask"}),
        ("mask_nan_beyond", {"attn_mask"}),
        ("upstream_columns_first", {"grad_output"}),
        ("upstream_causal", {"grad_output"}),
    ],
)
def test_what_is_said_not_to_be_contiguous_is_not(name, changed):
    found = tensors_of(build(CASES[name], seed=0))

    assert {key for key, tensor in found.items() if not tensor.is_contiguous()} == changed


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("expanded_heads", {"key", "value"}),
        ("expanded_batch", {"query", "key", "value"}),
        ("upstream_of_a_sum", {"grad_output"}),
    ],
)
def test_what_is_said_to_be_expanded_repeats_the_same_memory(name, changed):
    found = tensors_of(build(CASES[name], seed=0))

    assert {key for key, tensor in found.items() if 0 in tensor.stride()} == changed
    for key in changed:
        repeated = found[key].stride().index(0)
        assert torch.equal(found[key], found[key].narrow(repeated, 0, 1).expand(found[key].shape))


@pytest.mark.parametrize("name", ["offset", "nan_beyond", "packed", "mask_nan_beyond"])
def test_what_is_said_to_lie_off_the_start_does(name):
    found = tensors_of(build(CASES[name], seed=0))

    assert any(tensor.storage_offset() > 0 for tensor in found.values())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "surrounded"),
    [
        ("offset", {"query", "key", "value"}),
        ("nan_beyond", {"query", "key", "value"}),
        ("nan_beyond_65x131", {"query", "key", "value"}),
        ("nan_beyond_causal", {"query", "key", "value"}),
        ("mask_nan_beyond", {"attn_mask"}),
    ],
)
def test_nan_lies_around_the_tensors_and_not_in_them(name, surrounded, dtype):
    for key, tensor in tensors_of(build(with_dtype(name, dtype), seed=0)).items():
        around = torch.empty(0, dtype=tensor.dtype).set_(tensor.untyped_storage())
        assert not bool(tensor.isnan().any())
        assert int(around.isnan().sum()) == around.numel() - tensor.numel()
        assert (around.numel() > tensor.numel()) == (key in surrounded)


@pytest.mark.parametrize("name", [name for name, one in CASES.items() if one.area == "memory"])
def test_memory_situations_differ_from_plain_ones_in_where_tensors_lie(name):
    one = CASES[name]

    moved = tensors_of(build(one, seed=0))

    usual = tensors_of(build(replace(one, arrange=()), seed=0))
    if name == "one_tensor_thrice":
        assert len({moved[key].data_ptr() for key in ("query", "key", "value")}) == 1
        return
    assert any(offsets_of(moved[key]) != offsets_of(usual[key]) for key in usual)
    if "expanded" not in name:
        assert all(torch.equal(moved[key], usual[key]) for key in usual)


def test_every_recipe_runs_in_the_other_layout_too():
    for name in FOUR_DIMENSIONS:
        ours, theirs = build(CASES[name], seed=0), build(CASES[name], seed=0, layout="bshd")
        assert equal(ours, theirs)
