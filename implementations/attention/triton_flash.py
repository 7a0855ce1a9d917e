"""FlashAttention-2 in Triton: exact attention in one kernel forward and two backward.

A program holds a block of query rows and walks along the keys with a running maximum m, a running
sum l and an output that is divided by l only at the end (Dao 2023, "FlashAttention-2: Faster
Attention with Better Parallelism and Work Partitioning", section 3.1; Milakov & Gimelshein 2018 for
the running softmax). Of the scores nothing reaches memory but log₂ Σ 2^s of every row, from which
the backward pass recomputes them, by blocks of queries for dq and by blocks of keys for dk and dv.
The formulas are in `_triton_kernels`.

Triton is optional (`pip install triton`; torch for CUDA brings it) and is imported by the first
call. Under TRITON_INTERPRET=1 its interpreter runs the kernels on tensors of the CPU.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from implementations.attention._triton_tiles import WIDEST, Tiles, chosen, padded
from implementations.blocks import refuse_mask_gradient
from implementations.case import Case
from implementations.interface import ALL_FEATURES, Feature, Implementation, UnsupportedCaseError
from implementations.masking import check_arguments, expand_mask, refuse_dropout, resolve_scale

NAME = "triton_flash"
DTYPES = ("float32", "bfloat16", "float16")


def triton_flash(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """Equal to `scaled_dot_product_attention`: (..., query_len, d) -> (..., query_len, value_dim).

    Inputs are read where they lie if their last dimension is contiguous: keys that are expanded
    over the heads of a group, and masks that broadcast, take no memory.

    Raises:
        ValueError: shapes or dtypes that do not fit, dropout, or `attn_mask` with `is_causal`.
        UnsupportedCaseError: no Triton, a dtype, device or width that the kernels do not take, or
            a mask that requires gradients.

    """
    check_arguments(query, key, value, attn_mask, is_causal)
    refuse_dropout(NAME, dropout_p)
    refuse_mask_gradient(NAME, attn_mask)
    mask = expand_mask(attn_mask, query, key)
    dtype = str(query.dtype).removeprefix("torch.")
    reason = _refusal(dtype, query.shape[-1], value.shape[-1])
    if reason is not None:
        raise UnsupportedCaseError(reason)
    interpreted = _kernels().INTERPRETED
    if query.device.type != "cuda" and not interpreted:
        raise UnsupportedCaseError(f"{NAME} runs on cuda only, got {query.device.type}")
    widened = interpreted and query.dtype == torch.bfloat16
    if widened:
        # The interpreter multiplies the bits of bfloat16 as integers.
        query, key, value = query.float(), key.float(), value.float()
        mask = mask.float() if mask is not None and mask.dtype == torch.bfloat16 else mask
    output: Tensor = _TritonFlash.apply(  # type: ignore[no-untyped-call]  # torch leaves apply untyped
        query,
        key,
        value,
        mask,
        is_causal,
        float(resolve_scale(query, scale)),
        torch.is_grad_enabled() and any(t.requires_grad for t in (query, key, value)),
    )
    return output.bfloat16() if widened else output


class _TritonFlash(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        is_causal: bool,
        scale: float,
        saves: bool,
    ) -> Tensor:
        query, key, value = _readable(query), _readable(key), _readable(value)
        output = query.new_empty((*query.shape[:-1], value.shape[-1]))
        # The log-sum-exp of every row is O(n); only a backward pass needs it.
        rows = (*query.shape[:-1], 1) if saves else (*query.shape[:-2], 0, 1)
        log_sums = query.new_empty(rows, dtype=torch.float32)
        ctx.save_for_backward(query, key, value, mask, output, log_sums)
        ctx.is_causal, ctx.scale = is_causal, scale
        if not (output.numel() and key.shape[-2]):
            return output.zero_()
        tiles = chosen(query, value)[0]
        for item in _launches(query, key, value, mask, output, log_sums):
            _launch(
                _kernels().forward,
                item[:4],
                query.shape[-2],
                tiles.block_queries,
                tiles,
                is_causal,
                scale,
                output=item[4],
                log_sums=item[5],
                saves=saves,
            )
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, mask, output, log_sums = ctx.saved_tensors
        grads = [
            torch.empty_like(t, memory_format=torch.contiguous_format) for t in (query, key, value)
        ]
        if not (output.numel() and key.shape[-2]):
            return *(grad.zero_() for grad in grads), None, None, None, None
        upstream = _readable(grad_output)
        deltas = torch.empty_like(log_sums)
        _, by_queries, by_keys = chosen(query, value)
        tensors = (query, key, value, mask, output, log_sums, upstream, deltas, *grads)
        for item in _launches(*tensors):
            q, k, v, m, out, sums, up, delta, grad_query, grad_key, grad_value = item
            shared = {"log_sums": sums, "upstream": up, "deltas": delta, **_strides("upstream", up)}
            # The first kernel writes the deltas that the second one reads.
            _launch(
                _kernels().query_gradients,
                (q, k, v, m),
                q.shape[-2],
                by_queries.block_queries,
                by_queries,
                ctx.is_causal,
                ctx.scale,
                output=out,
                grad_query=grad_query,
                **shared,
            )
            _launch(
                _kernels().key_gradients,
                (q, k, v, m),
                k.shape[-2],
                by_keys.block_keys,
                by_keys,
                ctx.is_causal,
                ctx.scale,
                grad_key=grad_key,
                grad_value=grad_value,
                **shared,
            )
        return *grads, None, None, None, None


def _launch(
    kernel: Any,
    inputs: Sequence[Any],
    rows: int,
    block_rows: int,
    tiles: Tiles,
    is_causal: bool,
    scale: float,
    **others: Any,
) -> None:
    """Run a kernel with one program for every block of `rows` of every head."""
    query, key, value, mask = inputs
    batch, num_heads, query_len, head_dim = query.shape
    if mask is None:
        kind, mask, mask_strides = "none", query, (0, 0, 0, 0)
    elif mask.dtype == torch.bool:
        kind, mask, mask_strides = "boolean", mask.view(torch.uint8), mask.stride()
    else:
        kind, mask_strides = "float", mask.stride()
    names = ("mask_batch", "mask_head", "mask_row", "mask_column")
    with torch.cuda.device(query.device) if query.is_cuda else nullcontext():
        # One dimension of programs only: the others end at 65535.
        kernel[(batch * num_heads * -(-rows // block_rows),)](
            query=query,
            key=key,
            value=value,
            mask=mask,
            num_heads=num_heads,
            query_len=query_len,
            key_len=key.shape[-2],
            scale=scale,
            head_dim=head_dim,
            value_dim=value.shape[-1],
            block_head_dim=padded(head_dim),
            block_value_dim=padded(value.shape[-1]),
            mask_kind=kind,
            is_causal=is_causal,
            # TF32 would round float32 to 10 bits.
            precision="ieee",
            **dict(zip(names, mask_strides, strict=True)),
            **_strides("query", query),
            **_strides("key", key),
            **_strides("value", value),
            **tiles._asdict(),
            **others,
        )


def _launches(*tensors: Tensor | None) -> Iterator[tuple[Any, ...]]:
    """The tensors as views (batch, num_heads, rows, columns); None stays None.

    Leading dimensions beyond two are merged where all tensors lie so that they can be; if not, one
    is walked along, and nothing is copied.
    """
    present = [tensor for tensor in tensors if tensor is not None]
    leading = present[0].dim() - 2
    if leading <= 2:
        yield tuple(None if t is None else t[(None,) * (2 - leading)] for t in tensors)
        return
    try:
        merged = [t.view(math.prod(t.shape[:-3]), *t.shape[-3:]) for t in present]
    except RuntimeError:
        for index in range(present[0].shape[0]):
            yield from _launches(*(None if t is None else t[index] for t in tensors))
        return
    left = iter(merged)
    yield tuple(None if t is None else next(left) for t in tensors)


def _strides(name: str, tensor: Tensor) -> dict[str, int]:
    batch, head, row, _ = tensor.stride()
    return {f"{name}_batch": batch, f"{name}_head": head, f"{name}_row": row}


def _readable(tensor: Tensor) -> Tensor:
    """The tensor itself if the elements of its rows lie side by side, else a copy."""
    return tensor if tensor.stride(-1) == 1 or tensor.shape[-1] <= 1 else tensor.contiguous()


@cache
def _kernels() -> ModuleType:
    return importlib.import_module("implementations.attention._triton_kernels")


def _refusal(dtype: str, head_dim: int, value_dim: int) -> str | None:
    """Why the kernels cannot run, or None if they can."""
    if dtype not in DTYPES:
        return f"{NAME} does not take {dtype}"
    for name, dim in (("head_dim", head_dim), ("value_dim", value_dim)):
        if dim > WIDEST:
            return f"{NAME} takes {name} up to {WIDEST}, got {dim}"
    if importlib.util.find_spec("triton") is None:
        return f"{NAME} needs Triton, which is not installed; pip install triton"
    return None


def _declines(case: Case) -> str | None:
    return _refusal(case.dtype, case.head_dim, case.value_dim)


IMPLEMENTATION = Implementation(
    name=NAME,
    title="FlashAttention-2 in Triton",
    source="Dao 2023; Milakov & Gimelshein 2018",
    fn=triton_flash,
    time_law="n^2*d",
    workspace_law="n*d",
    supports=ALL_FEATURES - {Feature.DROPOUT},
    dtypes=DTYPES,
    devices=("cuda",),
    declines=_declines,
)
