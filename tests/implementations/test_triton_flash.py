"""FlashAttention-2 in Triton: its kernels under Triton's interpreter, and what is said without it.

Triton looks at TRITON_INTERPRET while it is imported, so that the kernels are asked in a process of
its own: the tests marked `kernels`, of this same file.
"""

import importlib.util
import math
import os
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.checks.run_situation import verify
from bench.checks.situations import check_cases
from implementations.attention import _triton_tiles
from implementations.attention import triton_flash as module
from implementations.attention._triton_tiles import TILES, Tiles
from implementations.attention.triton_flash import IMPLEMENTATION, triton_flash
from implementations.case import Case
from implementations.catalogue import suite
from implementations.interface import UnsupportedCaseError
from implementations.oracle import full_mask, softmax_attention

HAS_TRITON = importlib.util.find_spec("triton") is not None
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
ROOT = Path(__file__).resolve().parents[2]

kernels = pytest.mark.skipif(
    not (HAS_TRITON and INTERPRETED),
    reason="Triton is not installed"
    if not HAS_TRITON
    else "run under TRITON_INTERPRET=1, in a process of their own",
)
# In units of the largest value; the float64 formula is exact beside them.
ALLOWED = {torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}


@pytest.mark.skipif(not HAS_TRITON, reason="Triton is not installed")
@pytest.mark.skipif(INTERPRETED, reason="this is the process of their own")
def test_the_kernels_are_right_under_the_interpreter():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__],
        cwd=ROOT,
        env={**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-5000:]
    assert " passed" in done.stdout


@pytest.fixture
def no_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_spec(name: str) -> Any:
        return None if name == "triton" else importlib.util.find_spec(name)

    monkeypatch.setattr(module.importlib.util, "find_spec", find_spec)


def test_importing_the_file_leaves_triton_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "triton", None)  # importing it raises
    monkeypatch.delitem(sys.modules, "implementations.attention._triton_kernels", raising=False)

    for path in (module.__file__, _triton_tiles.__file__):
        found = runpy.run_path(path)
        assert found["__file__"] == path


def test_without_triton_cases_are_declined_and_calls_refused_with_the_way_out(no_triton, draw):
    reason = "triton_flash needs Triton, which is not installed; pip install triton"

    assert IMPLEMENTATION.unsupported(Case(seq_len=5, device="cuda")) == reason
    with pytest.raises(UnsupportedCaseError, match="needs Triton"):
        triton_flash(*draw(dtype=torch.float32))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"device": "cpu"}, "triton_flash runs on cuda only"),
        ({"dtype": "float64"}, "triton_flash does not take float64"),
        ({"head_dim": 257}, "triton_flash takes head_dim up to 256, got 257"),
        ({"value_dim": 263}, "triton_flash takes value_dim up to 256, got 263"),
    ],
)
def test_what_the_kernels_do_not_take_is_declined(change, reason):
    case = Case(**{"seq_len": 5, "device": "cuda", "dtype": "float32", **change})

    assert IMPLEMENTATION.unsupported(case) == reason


def test_what_is_declined_is_refused_in_a_call(draw):
    with pytest.raises(UnsupportedCaseError, match="does not take float64"):
        triton_flash(*draw())
    with pytest.raises(UnsupportedCaseError, match="head_dim up to 256, got 257"):
        triton_flash(*draw(head_dim=257, dtype=torch.float32))


def test_no_core_takes_these_arguments(draw):
    inputs = draw(dtype=torch.float32)
    mask = torch.zeros(5, 7)

    with pytest.raises(ValueError, match="exclude each other"):
        triton_flash(*inputs, attn_mask=mask, is_causal=True)
    with pytest.raises(ValueError, match="triton_flash has no dropout"):
        triton_flash(*inputs, dropout_p=0.1)
    with pytest.raises(UnsupportedCaseError, match="does not differentiate attn_mask"):
        triton_flash(*inputs, attn_mask=mask.requires_grad_())


def test_it_is_in_the_catalogue():
    assert suite()["triton_flash"].fn is triton_flash
    assert suite()["triton_flash"].time_law == "n^2*d"


def test_every_width_up_to_the_widest_has_tiles_that_tensor_cores_take():
    for size in (2, 4):
        widths = [width for bytes_, width in TILES if bytes_ == size]
        assert max(widths) == module.WIDEST
    for one in (tiles for three in TILES.values() for tiles in three):
        assert one.block_queries % 16 == one.block_keys % 16 == 0


@pytest.fixture(params=[(16, 16), (16, 32), (32, 16)], ids=lambda pair: f"tiles{pair[0]}x{pair[1]}")
def small_tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several blocks on either side, whole ones, cut ones and such on the diagonal."""
    use_tiles(monkeypatch, *request.param)


def use_tiles(monkeypatch: pytest.MonkeyPatch, block_queries: int, block_keys: int) -> None:
    tiles = Tiles(block_queries=block_queries, block_keys=block_keys, num_warps=4, num_stages=1)
    monkeypatch.setattr(module, "chosen", lambda query, value: (tiles, tiles, tiles))


SIZES = {"query_len": 37, "key_len": 53, "head_dim": 11, "value_dim": 13, "dtype": torch.float32}


def agree(inputs: tuple[Tensor, Tensor, Tensor], **keywords: Any) -> Tensor:
    """Compare output and gradients with the float64 formula; gives the output."""
    leaves = [tensor.detach().requires_grad_() for tensor in inputs]
    output = triton_flash(*leaves, **keywords)
    upstream = torch.randn(output.shape, generator=torch.Generator().manual_seed(1)).to(output)
    found = (output.detach(), *torch.autograd.grad(output, leaves, upstream))

    exact = [tensor.detach().double().requires_grad_() for tensor in inputs]
    mask = full_mask(*inputs[:2], keywords.get("attn_mask"), keywords.get("is_causal", False))
    if mask is not None and mask.dtype != torch.bool:
        mask = mask.double()
    scale = keywords.get("scale", 1.0 / math.sqrt(inputs[0].shape[-1]))
    expected_output = softmax_attention(exact[0], exact[1], exact[2], mask, scale)
    expected = (
        expected_output.detach(),
        *torch.autograd.grad(expected_output, exact, upstream.double()),
    )
    for actual, right in zip(found, expected, strict=True):
        assert actual.shape == right.shape
        assert actual.dtype == inputs[0].dtype
        allowed = ALLOWED[actual.dtype] * max(1.0, float(right.abs().max()))
        assert float((actual.double() - right).abs().max()) < allowed
    return found[0]


def boolean(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(2)) < 0.5


@kernels
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("lengths", [(37, 53), (53, 37), (48, 64), (1, 53), (37, 1)])
def test_output_and_gradients_are_those_of_the_formula(small_tiles, draw, lengths, is_causal):
    query_len, key_len = lengths
    sizes = {**SIZES, "query_len": query_len, "key_len": key_len}

    agree(draw(**sizes), is_causal=is_causal)


@kernels
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once(small_tiles, draw, dtype):
    agree(draw(**{**SIZES, "dtype": dtype}), is_causal=True)
    agree(draw(**{**SIZES, "dtype": dtype}), attn_mask=torch.randn(53).to(dtype))


@kernels
@pytest.mark.parametrize(
    "shape", [(2, 3, 37, 53), (3, 1, 53), (2, 1, 37, 1), (37, 53), (53,), (1, 1)]
)
def test_masks_of_any_shape_that_broadcasts(small_tiles, draw, shape):
    agree(draw(**SIZES), attn_mask=boolean(*shape))
    mask = torch.randn(*shape, generator=torch.Generator().manual_seed(3))
    agree(draw(**SIZES), attn_mask=mask)
    agree(draw(**SIZES), attn_mask=mask.where(boolean(*shape), -math.inf))


@kernels
def test_masks_are_not_expanded_in_memory(draw, monkeypatch):
    seen: list[Tensor] = []
    launch = module._launch
    monkeypatch.setattr(
        module, "_launch", lambda *given, **more: (seen.append(given[1][3]), launch(*given, **more))
    )
    mask = boolean(3, 1, 53)

    agree(draw(**SIZES), attn_mask=mask)

    assert len(seen) == 3
    assert {one.data_ptr() for one in seen} == {mask.data_ptr()}
    assert {one.stride() for one in seen} == {(0, 53, 0, 1)}


@kernels
def test_rows_without_keys_give_zeros(small_tiles, draw):
    mask = torch.ones(37, 53, dtype=torch.bool)
    mask[::3] = False
    mask[20, :50] = False

    output = agree(draw(**SIZES), attn_mask=mask)

    assert not output[..., ::3, :].any()
    assert not agree(draw(**SIZES), attn_mask=torch.full((37, 53), -math.inf)).any()


@kernels
def test_rows_of_the_least_number_weigh_all_keys_alike(draw, monkeypatch):
    use_tiles(monkeypatch, 16, 16)
    query, key, value = draw(**SIZES)
    mask = torch.zeros(37, 53)
    mask[::3] = torch.finfo(torch.float32).min

    output = triton_flash(query, key, value, attn_mask=mask)

    means = value.mean(dim=-2, keepdim=True).expand_as(output[..., ::3, :])
    torch.testing.assert_close(output[..., ::3, :], means)


@kernels
@pytest.mark.parametrize("scale", [0.0, -1.1, 2.3])
def test_any_scale(small_tiles, draw, scale):
    agree(draw(**SIZES), scale=scale, is_causal=True)


@kernels
@pytest.mark.parametrize("leading", [(), (3,), (2, 3, 2), (2, 3, 1, 2)])
def test_any_leading_dimensions(draw, leading, monkeypatch):
    use_tiles(monkeypatch, 16, 16)
    agree(draw(leading, **SIZES), is_causal=True)
    if len(leading) == 3:
        # Batch items of one mask do not merge with groups of several: one launch for each.
        agree(draw(leading, **SIZES), attn_mask=boolean(2, 1, 1, 37, 53))
        agree(draw(leading, **SIZES), attn_mask=boolean(3, 1, 37, 53))


@kernels
def test_inputs_are_read_where_they_lie(draw, monkeypatch):
    use_tiles(monkeypatch, 16, 32)
    query, key, value = draw(**SIZES)
    turned = query.transpose(1, 2).contiguous().transpose(1, 2)
    sliced = torch.cat([torch.full_like(key, math.nan), key], -1)[..., 11:]
    columns = value.mT.contiguous().mT

    output = agree((turned, sliced, columns), is_causal=True)

    assert torch.equal(output, triton_flash(query, key, value, is_causal=True))


@kernels
def test_keys_expanded_over_a_group_take_no_memory_and_get_dense_gradients(draw, monkeypatch):
    use_tiles(monkeypatch, 16, 16)
    seen: list[tuple[Any, ...]] = []
    launch = module._launch
    monkeypatch.setattr(
        module, "_launch", lambda *given, **more: (seen.append(given[1]), launch(*given, **more))
    )
    query = draw((2, 3, 5), **SIZES)[0].requires_grad_()
    key, value = (tensor.requires_grad_() for tensor in draw((2, 3, 1), **SIZES)[1:])
    wide = [tensor.expand(2, 3, 5, -1, -1) for tensor in (key, value)]

    output = triton_flash(query, *wide, is_causal=True)
    grads = torch.autograd.grad(output.square().sum(), (query, key, value))

    for _, keys, values, _ in seen:
        assert keys.untyped_storage().data_ptr() == key.untyped_storage().data_ptr()
        assert values.untyped_storage().data_ptr() == value.untyped_storage().data_ptr()
    exact = [tensor.detach().double().requires_grad_() for tensor in (query, key, value)]
    mask = full_mask(query, key, None, True)
    right = softmax_attention(*exact, mask, 1.0 / math.sqrt(11))
    expected = torch.autograd.grad(right.square().sum(), exact)
    for actual, one in zip(grads, expected, strict=True):
        assert actual.shape == one.shape
        assert torch.allclose(actual.double(), one, rtol=1e-4, atol=1e-5)
    agree((query.detach(), *(one.detach() for one in wide)), is_causal=True)


@kernels
def test_an_upstream_gradient_that_is_one_number_everywhere(draw):
    leaves = [tensor.requires_grad_() for tensor in draw(**SIZES)]

    (grad,) = torch.autograd.grad(triton_flash(*leaves).sum(), leaves[2])

    # Each query gives its weights, whose sum is 1, to the keys.
    assert torch.allclose(grad.sum(-2), torch.tensor(37.0))


@kernels
@pytest.mark.parametrize("sizes", [{"query_len": 0}, {"key_len": 0}, {"value_dim": 0}])
def test_empty_inputs_give_zeros_without_a_launch(draw, sizes, monkeypatch):
    monkeypatch.setattr(module, "_launch", None)
    leaves = [tensor.requires_grad_() for tensor in draw(**{**SIZES, **sizes})]

    output = triton_flash(*leaves)

    assert not output.any()
    for grad, leaf in zip(torch.autograd.grad(output.sum(), leaves), leaves, strict=True):
        assert grad.shape == leaf.shape
        assert not grad.any()


@kernels
def test_no_log_sums_are_kept_without_gradients(draw, monkeypatch):
    query, key, value = draw(**SIZES)

    assert triton_flash(query, key, value).grad_fn is None
    saved = triton_flash(query.requires_grad_(), key, value).grad_fn.saved_tensors
    assert saved[-1].shape == (2, 3, 37, 1)
    with torch.no_grad():
        used = []
        monkeypatch.setattr(module, "_launch", lambda *_, **others: used.append(others["saves"]))
        triton_flash(query, key, value)
    assert used == [False]


# The interpreter takes a second for each; the others are for a GPU.
CHOSEN = ("plain", "causal_more_keys", "masked_rows_boolean", "masked_rows_float", "far_entries")


@kernels
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_gate_finds_nothing(dtype, monkeypatch):
    use_tiles(monkeypatch, 16, 16)
    on_the_cpu = replace(IMPLEMENTATION, devices=("cpu",))
    chosen = [one for one in check_cases([dtype]) if one.name in CHOSEN]

    results = list(verify(on_the_cpu, chosen))

    assert [str(one) for one in results if one.status != "pass"] == []
    assert {one.case.name for one in results} == set(CHOSEN)
