"""Grouped queries: right, without a repeated key in memory, and clear about what is wrong."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.machine.workspace import workspace_bytes
from bench.timing.inputs import make_inputs
from bench.timing.prepared_call import prepare
from implementations import blocks, blockwise
from implementations.case import Case
from implementations.catalogue import suite
from implementations.groups import Grouping, product
from implementations.interface import Feature, Implementation
from implementations.masking import check_arguments
from implementations.specs import from_function
from tests.daily import daily
from tests.planted.grouped import grouped_repeated

CHUNKED = ("query_chunked", "online_softmax")
WITH_GRADIENTS = ("matmul", "row_loop", "sdpa", "sdpa_math", "sdpa_flash", *CHUNKED)
CONDITIONS = ("none", "causal", "boolean", "per_head", "float")
LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "plain": lambda one: one,
    "rows_first": lambda one: one.transpose(-3, -2).contiguous().transpose(-3, -2),
    "columns_first": lambda one: one.mT.contiguous().mT,
}


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(blockwise, "SHORT", 0)
    monkeypatch.setattr(blocks, "scores_per_tile", lambda device, working: 5 * 512)


def drawn(query_len: int, num_kv_heads: int, layout: str = "plain") -> list[Tensor]:
    """Query with 6 heads, key and value with fewer."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 6, query_len, 11), (2, num_kv_heads, 701, 11), (2, num_kv_heads, 701, 11)]
    return [
        LAYOUTS[layout](torch.randn(shape, generator=generator, dtype=torch.float64))
        for shape in shapes
    ]


def keywords(condition: str, query_len: int) -> dict[str, object]:
    generator = torch.Generator().manual_seed(1)
    kept = torch.rand(2, 6, query_len, 701, generator=generator) < 0.7
    return {
        "none": {},
        "causal": {"is_causal": True},
        "boolean": {"attn_mask": kept[:1, :1]},
        "per_head": {"attn_mask": kept},
        "float": {"attn_mask": torch.randn(1, 701, generator=generator, dtype=torch.float64)},
    }[condition]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("name", WITH_GRADIENTS)
@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize(
    "shared",
    daily([(13, 1, "rows_first"), (1, 3, "plain"), (13, 3, "plain"), (1, 1, "rows_first")], most=2),
)
def test_output_and_gradients_are_those_of_repeated_keys(name, condition, shared):
    query_len, num_kv_heads, layout = shared
    asked = keywords(condition, query_len)
    upstream = LAYOUTS["columns_first"](torch.randn(2, 6, query_len, 11, dtype=torch.float64))
    inputs = [one.requires_grad_() for one in drawn(query_len, num_kv_heads, layout)]

    def quantities(fn, query, key, value, **options):
        output = fn(query, key, value, **asked, **options)
        return output, *torch.autograd.grad(output, inputs, upstream)

    found = quantities(suite()[name].fn, *inputs, enable_gqa=True)

    query, *shared = inputs
    repeated = (one.repeat_interleave(6 // num_kv_heads, dim=-3) for one in shared)
    right = quantities(suite()["matmul"].fn, query, *repeated)
    for one, expected in zip(found, right, strict=True):
        torch.testing.assert_close(one, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_loop_reads_the_key_of_the_group(condition):
    query, key, value = (one[:1] for one in drawn(2, 3))
    asked = {
        name: one[:1] if isinstance(one, Tensor) and one.dim() == 4 else one
        for name, one in keywords(condition, 2).items()
    }

    found = suite()["loop"].fn(query, key, value, enable_gqa=True, **asked)

    expected = suite()["matmul"].fn(query, key, value, enable_gqa=True, **asked)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_product_of_groups_is_that_of_repeated_matrices(layout):
    query, key, _ = drawn(13, 3, layout)

    expected = query @ key.repeat_interleave(2, dim=-3).mT

    torch.testing.assert_close(product(query, key.mT), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("as_rows", [False, True])
def test_a_grouping_views_and_copies_nothing(as_rows):
    query, key, _ = drawn(13, 3)
    grouping = Grouping(group=2, as_rows=as_rows)

    rows, keys = grouping.of_queries(query), grouping.of_keys(key)

    assert rows.shape == ((2, 3, 26, 11) if as_rows else (2, 2, 3, 13, 11))
    assert keys.shape[:-2] == rows.shape[:-2]
    assert rows.data_ptr() == query.data_ptr()
    assert keys.data_ptr() == key.data_ptr()


def test_heads_become_rows_of_one_product_where_nothing_tells_them_apart():
    query, key, _ = drawn(13, 3)
    one_query = query[..., :1, :]
    mask = torch.ones(13, 701, dtype=torch.bool)

    def as_rows(rows, mask=None, is_causal=False):
        return Grouping.of(rows, key, attn_mask=mask, is_causal=is_causal).as_rows

    assert as_rows(query)
    assert as_rows(one_query, mask[:1])
    assert not as_rows(query, mask)
    assert not as_rows(LAYOUTS["rows_first"](query))
    assert not as_rows(one_query, is_causal=True)


def growth_bytes(implementation: Implementation, **sizes: Any) -> int:
    """How much more workspace 8 heads take than 4, where 2 heads of keys serve them."""

    def bytes_with(num_heads: int) -> int:
        case = Case(num_heads=num_heads, num_kv_heads=2, key_len=4096, head_dim=64, **sizes)
        ready = prepare(implementation, make_inputs(case), case)
        ready.run()
        return workspace_bytes(ready.run, "cpu")

    return bytes_with(8) - bytes_with(4)


def most_bytes(query_len: int) -> float:
    """The scores of 4 heads a few times over, and an eighth of a key."""
    return 6 * (4 * query_len * 4096 * 4) + 2 * 4096 * 64 * 4 / 8


@pytest.mark.parametrize("name", ["matmul", "row_loop", "sdpa", *CHUNKED])
@pytest.mark.parametrize(
    "call",
    daily(
        [(7, "forward_backward"), (1, "forward"), (1, "forward_backward"), (7, "forward")], most=2
    ),
)
@pytest.mark.parametrize("condition", [{}, {"is_causal": True}, {"mask": "boolean"}])
def test_twice_the_heads_in_a_group_need_no_memory_for_keys(name, call, condition):
    query_len, pass_ = call
    sizes = {"seq_len": query_len, "pass_": pass_, **condition}

    assert growth_bytes(suite()[name], **sizes) < most_bytes(query_len)


def test_keys_that_are_repeated_would_be_seen():
    repeating = from_function(grouped_repeated)

    assert growth_bytes(repeating, seq_len=7, pass_="forward") > most_bytes(7)


def test_the_cores_that_take_grouped_queries_are_these():
    grouped = {name for name, one in suite().items() if Feature.GROUPED in one.supports}

    assert {"matmul", "row_loop", "loop", "sdpa", "sdpa_flash", "flex", *CHUNKED} <= grouped


@pytest.mark.parametrize(
    ("shapes", "enable_gqa", "message"),
    [
        (((2, 6), (2, 3), (2, 3)), False, r"\(2, 6\) and \(2, 3\); .*pass enable_gqa=True"),
        (((2, 6), (2, 4), (2, 4)), False, r"share leading dimensions.*expand them first$"),
        (((2, 6), (2, 4), (2, 4)), True, r"a multiple of the key's heads.*\(2, 6\) and \(2, 4\)"),
        (((2, 6), (1, 3), (1, 3)), True, r"other leading dimensions the same"),
        (((2, 6), (2, 3), (2, 2)), True, r"key and value must share leading dimensions"),
        (((2, 6), (2, 0), (2, 0)), True, r"a multiple of the key's heads"),
        (((), (), ()), True, r"enable_gqa needs heads in dimension -3"),
    ],
)
def test_heads_that_make_no_groups_are_refused_with_what_was_got(shapes, enable_gqa, message):
    query, key, value = (torch.ones(*shape, 5, 7) for shape in shapes)

    with pytest.raises(ValueError, match=message):
        check_arguments(query, key, value, None, False, enable_gqa)


def test_equal_heads_are_groups_of_one():
    one = torch.ones(2, 3, 5, 7)

    check_arguments(one, one, one, None, False, True)
