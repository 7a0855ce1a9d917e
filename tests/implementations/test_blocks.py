"""Tiles cover a call exactly once, and masks of tiles are pieces of the whole mask."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from implementations import blocks
from implementations.blocks import (
    Masking,
    Scratch,
    Tile,
    accumulate_,
    accumulator,
    cut,
    scores_per_tile,
    summing_dtype,
    working_dtype,
)
from implementations.masking import causal_mask

shapes = st.tuples(
    st.lists(st.integers(0, 3), max_size=2), st.integers(0, 40), st.integers(0, 1100)
)


@given(shapes, st.integers(1, 700), st.integers(1, 600))
def test_tiles_cover_every_row_of_every_head_exactly_once(shape, keys, rows):
    leading, num_heads, query_len = shape
    query = torch.zeros(*leading, num_heads, query_len, 1)
    visited = torch.zeros(*leading, num_heads, query_len, 1)

    for tile in replace(cut(query, keys=keys), rows=rows).tiles(query):
        tile.queries(visited).add_(1)

    assert torch.equal(visited, torch.ones_like(visited))


@given(shapes, st.integers(1, 700))
def test_no_tile_holds_more_scores_than_the_caches(shape, keys):
    leading, num_heads, query_len = shape
    query = torch.zeros(*leading, num_heads, query_len, 1)
    room = scores_per_tile(query.device, torch.float32)

    for tile in cut(query, keys=keys).tiles(query):
        assert tile.queries(query).shape == (*tile.shape, 1)
        assert 0 < math.prod(tile.shape) * keys <= room


@given(shapes, st.integers(1, 700), st.integers(1, 600))
def test_a_tile_has_the_fewest_rows_that_are_asked_for_where_a_head_has_as_many(shape, keys, rows):
    leading, num_heads, query_len = shape
    query = torch.zeros(*leading, num_heads, query_len, 1)

    found = cut(query, keys=keys, fewest_rows=rows).rows

    assert found == max(min(rows, query_len), cut(query, keys=keys).rows)


def test_the_cores_share_of_a_tile_is_twice_its_cache(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(blocks, "_l2_bytes", lambda: 4096)
    cpu, gpu = torch.device("cpu"), torch.device("cuda")

    assert scores_per_tile(cpu, torch.float32) == 3 * 2 * 4096 // 4
    assert scores_per_tile(cpu, torch.float64) == 3 * 2 * 4096 // 8
    assert scores_per_tile(gpu, torch.float32) == blocks.GPU_TILE_BYTES // 4


@pytest.mark.parametrize(
    ("told", "believed"),
    [({"l2_cache_size": 2**19}, 2**19), ({"l2_cache_size": 2**30}, 2**20), ({}, 2**20)],
)
def test_the_cache_of_a_core_is_what_torch_tells_but_no_more_than_a_mebibyte(
    monkeypatch, told, believed
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told, raising=False)

    assert blocks._l2_bytes.__wrapped__() == believed


@given(st.integers(1, 23), st.integers(1, 23), st.integers(1, 9))
def test_causal_blocks_put_together_are_the_causal_triangle(query_len, key_len, keys_per_block):
    masking = Masking(attn_mask=None, is_causal=True)
    query = torch.zeros(1, query_len, 1)
    whole = torch.full((1, query_len, key_len), -math.inf)
    for tile in replace(cut(query, keys=keys_per_block), rows=5).tiles(query):
        stop = masking.key_stop(tile, key_len)
        for start in range(0, stop, keys_per_block):
            seeing = masking.seeing(tile, start)
            part = seeing.queries(whole)[..., start : min(start + keys_per_block, stop)]
            part.zero_()
            masking.apply_(part, seeing, start)

    expected = causal_mask(query_len, key_len, device=torch.device("cpu"))
    assert torch.equal(whole[0] == 0, expected)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_in_the_future_is_masked_all_the_same(value):
    masking = Masking(attn_mask=None, is_causal=True)
    query = torch.zeros(1, 5, 1)
    scores = torch.full((1, 5, 5), value).triu(1)
    (tile,) = cut(query, keys=5).tiles(query)

    masking.apply_(scores, tile, 0)

    assert torch.equal(scores[0], torch.full((5, 5), -math.inf).triu(1))


@pytest.mark.parametrize("by_columns", [False, True])
@pytest.mark.parametrize("of_heads", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_a_boolean_mask_leaves_minus_infinity_whatever_was_there(dtype, of_heads, by_columns):
    mask = torch.rand(2, of_heads, 7, 11) < 0.5
    masking = Masking(attn_mask=mask.expand(2, 3, 7, 11), is_causal=False)
    tile = Tile(leading=(1,), heads=slice(0, 3), rows=slice(0, 7))
    scores = torch.randn(3, 7, 6, dtype=dtype)
    unmasked = mask[1, ..., 4:10].expand(3, 7, 6)
    odd = torch.tensor([math.nan, math.inf, -math.inf, -0.0], dtype=dtype).repeat(32)
    scores = torch.where(unmasked, scores, odd[: scores.numel()].view_as(scores))
    expected = scores.masked_fill(~unmasked, -math.inf)
    if by_columns:
        scores = scores.mT.contiguous().mT

    masking.apply_(scores, tile, 4)

    assert torch.equal(scores, expected)


def test_scratch_serves_smaller_blocks_from_the_memory_of_larger_ones():
    scratch = Scratch(2 * 3 * 5, torch.float64, torch.device("cpu"))

    large = scratch.block(2, 3, 5)
    small = scratch.block(3, 7)

    assert (large.shape, small.shape, small.dtype) == ((2, 3, 5), (3, 7), torch.float64)
    assert small.data_ptr() == large.data_ptr()


def test_scratch_copies_only_what_has_another_dtype():
    scratch = Scratch(7, torch.float32, torch.device("cpu"))
    wide, half = torch.arange(7.0), torch.arange(7.0).to(torch.bfloat16)

    assert scratch.widened(wide) is wide
    assert scratch.widened(half).dtype == torch.float32
    assert torch.equal(scratch.widened(half), wide)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("multiplies", [True, False])
def test_half_precision_is_widened_where_the_processor_has_no_products_in_it(
    monkeypatch, dtype, multiplies
):
    monkeypatch.setattr(blocks, "_multiplies", lambda asked: multiplies)
    query = torch.zeros(1, 2, 3, dtype=dtype)

    assert working_dtype(query) == (dtype if multiplies else torch.float32)
    assert summing_dtype(query) == torch.float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sums_over_many_blocks_lose_nothing_in_low_precision(dtype):
    total = accumulator(torch.zeros(1, 1, 1, dtype=dtype))
    one = torch.ones(1, 1, 1, dtype=dtype)

    for _ in range(5000):
        accumulate_(total, one, one)

    assert total.dtype == torch.float32
    assert float(total) == 5000.0


def test_accumulating_adds_the_product_times_the_factor():
    total = accumulator(torch.zeros(1, 2, 2, dtype=torch.float64))
    left, right = torch.eye(2).double()[None], torch.ones(1, 2, 2).double()

    accumulate_(total, left, right, factor=3.0)
    accumulate_(total, left, right)

    assert torch.equal(total, torch.full((1, 2, 2), 4.0, dtype=torch.float64))
