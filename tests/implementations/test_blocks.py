"""Tiles cover a call exactly once, and masks of tiles are pieces of the whole mask."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from implementations import blocks
from implementations.blocks import Masking, Scratch, accumulate_, accumulator, tiles
from implementations.masking import causal_mask

shapes = st.tuples(
    st.lists(st.integers(0, 3), max_size=2), st.integers(0, 40), st.integers(0, 1100)
)


@given(shapes)
def test_tiles_cover_every_row_of_every_head_exactly_once(shape):
    leading, num_heads, query_len = shape
    query = torch.zeros(*leading, num_heads, query_len, 1)
    visited = torch.zeros(*leading, num_heads, query_len, 1)

    for tile in tiles(query):
        tile.queries(visited).add_(1)

    assert torch.equal(visited, torch.ones_like(visited))


@given(shapes)
def test_no_tile_holds_more_rows_than_the_block_size(shape):
    leading, num_heads, query_len = shape
    query = torch.zeros(*leading, num_heads, query_len, 1)

    for tile in tiles(query):
        part = tile.queries(query)
        assert part.shape == (tile.num_heads, tile.num_rows, 1)
        assert 0 < tile.num_rows <= blocks.ROWS_PER_HEAD
        assert 0 < tile.num_heads * tile.num_rows <= blocks.ROWS_PER_HEAD * blocks.HEADS_PER_TILE


@given(st.integers(1, 23), st.integers(1, 23), st.integers(1, 9))
def test_causal_blocks_put_together_are_the_causal_triangle(query_len, key_len, keys_per_block):
    masking = Masking(attn_mask=None, is_causal=True)
    query = torch.zeros(1, query_len, 1)
    whole = torch.full((1, query_len, key_len), -math.inf)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "ROWS_PER_HEAD", 5)
        for tile in tiles(query):
            stop = masking.key_stop(tile, key_len)
            for start in range(0, stop, keys_per_block):
                part = tile.queries(whole)[..., start : min(start + keys_per_block, stop)]
                part.zero_()
                masking.apply_(part, tile, start)

    expected = causal_mask(query_len, key_len, device=torch.device("cpu"))
    assert torch.equal(whole[0] == 0, expected)


def test_scratch_serves_smaller_blocks_from_the_memory_of_larger_ones():
    scratch = Scratch(torch.zeros(2, 3, 5, dtype=torch.float64), 11)

    large = scratch.block(2, 3, 5)
    small = scratch.block(3, 7)

    assert (large.shape, small.shape, small.dtype) == ((2, 3, 5), (3, 7), torch.float64)
    assert small.data_ptr() == large.data_ptr()
    assert scratch.block(5, 11).shape == (5, 11)


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
