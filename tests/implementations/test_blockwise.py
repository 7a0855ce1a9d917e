"""Sums without a running maximum are kept where they are safe, and only there."""

import math

import pytest
import torch

from implementations import block_passes, blocks, blockwise
from implementations.attention.matmul import matmul
from implementations.attention.online_softmax import online_softmax
from implementations.attention.query_chunked import query_chunked
from implementations.attention.sdpa import sdpa
from implementations.block_passes import LOG2_E

CORES = pytest.mark.parametrize("core", [query_chunked, online_softmax])
# Of a float32 sum the exponents that are safe: below, values have too little room.
LEAST, MOST = -21, 128


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(blockwise, "SHORT", 0)
    monkeypatch.setattr(blocks, "scores_per_tile", lambda device, working: 5 * 512)


@pytest.fixture
def passes(monkeypatch):
    """The tiles that were computed again, with a maximum."""
    asked = []
    exactly = block_passes.Forward._exactly

    def counted(self, tile, total):
        asked.append(tile)
        return exactly(self, tile, total)

    monkeypatch.setattr(block_passes.Forward, "_exactly", counted)
    return asked


def drawn(query_len=7, key_len=11, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(2, 3, rows, 5, generator=generator).to(dtype)
        for rows in (query_len, key_len, key_len)
    ]


def with_scores(exponent, dtype=torch.float32):
    """One key for each query, whose score is `exponent` in units of log 2; values of 1 to 3."""
    query = torch.tensor([[[1.0], [1.0]]], dtype=dtype)
    key = torch.full((1, 1, 1), exponent / LOG2_E, dtype=dtype)
    return query, key, torch.tensor([[[1.0, 2.0, 3.0]]], dtype=dtype)


@CORES
def test_ordinary_scores_need_no_maximum(core, passes):
    core(*drawn())

    assert passes == []


@CORES
@pytest.mark.parametrize(
    ("exponent", "again"),
    [(LEAST + 1, False), (MOST - 3, False), (LEAST - 1, True), (MOST + 1, True), (-500, True)],
)
def test_scores_at_the_edge_of_what_is_safe_give_the_same_output(core, passes, exponent, again):
    query, key, value = with_scores(exponent)

    output = core(query, key, value, scale=1.0)

    assert torch.equal(output, value.expand(1, 2, 3))
    assert bool(passes) == again


@CORES
@pytest.mark.parametrize("on_a_host", [True, False])
@pytest.mark.parametrize(
    ("dtype", "number"),
    [(torch.float32, 2.0**123), (torch.float16, 2.0**7), (torch.bfloat16, 2.0**123)],
)
def test_weights_are_divided_before_sums_of_large_values_overflow(
    core, monkeypatch, on_a_host, dtype, number
):
    monkeypatch.setattr(blocks, "_multiplies", lambda asked: True)
    if not on_a_host:
        monkeypatch.setattr(block_passes, "HOSTS", ())
    query, key = torch.zeros(1, 7, 5, dtype=dtype), torch.zeros(1, 1024, 5, dtype=dtype)

    output = core(query, key, torch.full_like(key, number))

    assert torch.equal(output, torch.full_like(query, number))


@CORES
@pytest.mark.parametrize("on_a_host", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("least", ["finite", -1e9])
def test_rows_of_one_low_number_weigh_all_keys_alike(core, monkeypatch, on_a_host, dtype, least):
    if not on_a_host:
        monkeypatch.setattr(block_passes, "HOSTS", ())
    inputs = [one.requires_grad_() for one in drawn(7, 700, dtype)]
    mask = torch.zeros(7, 700, dtype=dtype)
    mask[3] = torch.finfo(dtype).min if least == "finite" else least
    upstream = torch.ones(2, 3, 7, 5, dtype=dtype).cumsum(-1)

    def results(attend):
        output = attend(*inputs, attn_mask=mask)
        return output, *torch.autograd.grad(output, inputs, upstream)

    close = 100 * torch.finfo(dtype).eps
    for one, other in zip(results(core), results(matmul), strict=True):
        torch.testing.assert_close(one, other, rtol=close, atol=close)


@CORES
def test_without_features_all_keys_weigh_alike_and_values_get_gradients(core):
    query, key, value = (torch.randn(1, 7, width, requires_grad=True) for width in (0, 0, 3))

    output = core(query, key, value, is_causal=True)
    output.sum().backward()

    means = value.detach().cumsum(-2) / torch.arange(1, 8)[:, None]
    torch.testing.assert_close(output.detach(), means)
    shares = (1 / torch.arange(1.0, 8)).flip(0).cumsum(0).flip(0)
    torch.testing.assert_close(value.grad[0], shares[:, None].expand(7, 3))


@CORES
@pytest.mark.parametrize("factor", [2.0**120, 2.0**-120])
def test_values_that_sums_cannot_hold_come_after_a_second_pass(core, passes, factor):
    query, key, value = drawn()
    query[..., 0] = query[..., 0].abs() + 9
    key[..., 0] = 9.0 if factor > 1 else -9.0  # scores of some 36, or -36

    found = core(query, key, value * factor)

    assert passes
    expected = sdpa(query.double(), key.double(), value.double())
    torch.testing.assert_close((found / factor).double(), expected, rtol=1e-4, atol=1e-5)


@CORES
@pytest.mark.parametrize("condition", ["none", "causal", "boolean", "float"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_output_and_its_gradients_are_the_same_with_a_maximum(
    core, monkeypatch, condition, dtype
):
    query, key, value = (one.requires_grad_() for one in drawn(13, 700, dtype))
    generator = torch.Generator().manual_seed(1)
    drawn_mask = torch.randn(13, 700, generator=generator).to(dtype)
    options = {
        "none": {},
        "causal": {"is_causal": True},
        "boolean": {"attn_mask": drawn_mask > 0},
        "float": {"attn_mask": drawn_mask},
    }[condition]

    def results():
        output = core(query, key, value, **options)
        upstream = torch.ones_like(output).cumsum(-1)
        return output, *torch.autograd.grad(output, (query, key, value), upstream)

    without = results()
    monkeypatch.setattr(
        block_passes, "_unsafe_rows", lambda sums, total, working: torch.ones_like(sums).bool()
    )
    for one, other in zip(without, results(), strict=True):
        close = 100 * torch.finfo(dtype).eps
        torch.testing.assert_close(one, other, rtol=close, atol=close)


@CORES
def test_rows_that_see_no_key_are_zeros_after_a_second_pass(core, passes):
    query, key, value = drawn()
    mask = torch.ones(7, 11, dtype=torch.bool)
    mask[3] = False

    output = core(query, key, value, attn_mask=mask)

    assert passes
    assert torch.equal(output[..., 3, :], torch.zeros(2, 3, 5))


@CORES
def test_only_the_tile_that_overflows_is_computed_again(core, passes):
    query, key, value = drawn(query_len=1500)
    query[1, 2, -1] = key[1, 2, 0] * 1e3

    core(query, key, value)

    (again,) = passes
    assert (again.leading, again.heads.stop, again.rows.stop) == ((1,), 3, 1500)


@CORES
def test_tensors_without_data_are_followed_once(core, passes):
    output = core(*(one.to("meta") for one in drawn()))

    assert output.shape == (2, 3, 7, 5)
    assert passes == []


@CORES
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("is_causal", [False, True])
def test_widened_half_precision_is_float32_rounded_once(core, monkeypatch, dtype, is_causal):
    monkeypatch.setattr(blocks, "_multiplies", lambda asked: asked not in blocks.HALF)
    inputs = [one.requires_grad_() for one in drawn(13, 700, dtype)]
    wide = [one.detach().float().requires_grad_() for one in inputs]

    output, expected = (core(*some, is_causal=is_causal) for some in (inputs, wide))

    assert output.dtype == dtype
    once = torch.finfo(dtype).eps / 2 + 2 * torch.finfo(torch.float32).eps
    torch.testing.assert_close(output.float(), expected, rtol=once, atol=1e-7)
    upstream = torch.ones_like(output)
    found = torch.autograd.grad(output, inputs, upstream)
    for one, other in zip(
        found, torch.autograd.grad(expected, wide, upstream.float()), strict=True
    ):
        assert one.dtype == dtype
        close = 4 * torch.finfo(dtype).eps
        torch.testing.assert_close(one.float(), other, rtol=close, atol=close)


@CORES
def test_a_short_call_is_computed_at_once(core, monkeypatch, passes):
    monkeypatch.setattr(blockwise, "SHORT", 2 * 3 * 7 * 11)
    asked = []

    def noted(query, key, value, scale):
        asked.append(scale)
        return query

    monkeypatch.setattr(blockwise, "_at_once", noted)

    core(*drawn(), scale=0.5)
    core(*drawn(key_len=12), scale=0.25)
    core(*drawn(), is_causal=True)

    assert asked == [0.5]


@CORES
def test_a_row_is_the_same_to_the_bit_whatever_the_others_of_its_tile_see(core, passes):
    query, key, value = drawn(query_len=11)
    plain = core(query, key, value, is_causal=True)
    key[..., -1, :] *= 1e30
    value[..., -1, :] *= 1e30

    changed = core(query, key, value, is_causal=True)

    assert passes
    assert torch.equal(changed[..., :-1, :], plain[..., :-1, :])


def test_rows_are_unsafe_whose_sums_are_not_finite_or_next_to_nothing():
    sums = torch.tensor([[[1.0], [math.inf], [math.nan], [2.0**LEAST / 2], [0.0], [1.0], [1.0]]])
    total = torch.ones(1, 7, 3)
    total[0, 5, 1] = math.inf

    unsafe = block_passes._unsafe_rows(sums, total, torch.float32)

    assert unsafe is not None
    assert unsafe.flatten().tolist() == [False, True, True, True, True, True, False]


def test_finite_values_are_safe_whose_sum_is_not():
    total = torch.full((1, 2, 3), 3e38)

    assert block_passes._unsafe_rows(torch.ones(1, 2, 1), total, torch.float32) is None
