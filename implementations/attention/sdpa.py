"""torch.nn.functional.scaled_dot_product_attention: automatic, and each back end pinned.

torch chooses between the math formula, FlashAttention (Dao et al. 2022), a memory-efficient kernel
(Rabe & Staats 2021) and cuDNN's. The variants pin one each and raise where it cannot run; none
falls back to another.

Where torch's own choice goes wrong, `sdpa` has it choose among the others, and the variants raise
(seen in torch 2.11 with cuDNN 9 on an H100 and an H200):

- without queries, keys or batch the kernel of the CPU divides by zero, which ends the process;
- on CUDA a scale of 0 gives NaN in the fused kernels;
- on CUDA rows that do not begin at multiples of 16 bytes, as in a slice of wider rows, are read
  wrongly: cuDNN's kernel gives NaN, FlashAttention ends with "misaligned address";
- cuDNN's kernel does not leave rows without keys empty; with masks its gradients may be NaN, too
  (github.com/pytorch/pytorch/issues/196678);
- cuDNN's dropout of one key's weights is not independent from query to query.

What `sdpa` runs on a CPU (seen in torch 2.13, 2026-11-29; a record of a sweep names the kernel):

- FlashAttention with 4-dimensional inputs: every dtype, head_dim up to 1024, causal, boolean and
  float masks of 2 or 4 dimensions, grouped queries, one query, and their backward passes;
- the math formula, without a word, where value_dim differs from head_dim, with dropout, with inputs
  of 2, 3 or 5 dimensions, with a mask of 3 dimensions or one that needs a gradient, and where the
  elements of a row do not lie side by side.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from implementations.case import Case
from implementations.interface import (
    ALL_FEATURES,
    AttentionFunction,
    Feature,
    Implementation,
    UnsupportedCaseError,
)
from implementations.masking import check_arguments, expand_mask

HALF = ("bfloat16", "float16")
NO_KERNEL = ("No available kernel", "No viable backend")
ALIGNMENT = 16  # bytes that the fused kernels on CUDA load at once
FUSED = (
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.CUDNN_ATTENTION,
)


def sdpa(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """torch's own choice of kernel: (..., query_len, d) -> (..., query_len, value_dim).

    Raises:
        ValueError: shapes or dtypes that do not fit, or `attn_mask` with `is_causal` (which torch
            itself accepts and merges, against its documentation).

    """
    check_arguments(query, key, value, attn_mask, is_causal, enable_gqa)

    def call() -> Tensor:
        return F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=expand_mask(attn_mask, query, key),  # torch takes none of 1 dimension
            dropout_p=dropout_p,
            is_causal=is_causal,
            scale=scale,
            enable_gqa=enable_gqa,
        )

    wrong = mistakes(query, key, value, attn_mask, dropout_p, scale)
    if not wrong:
        return call()
    with sdpa_kernel([one for one in (*FUSED, SDPBackend.MATH) if one not in wrong]):
        return call()


def mistakes(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None,
    dropout_p: float,
    scale: float | None,
) -> dict[SDPBackend, str]:
    """The back ends that get a call wrong without a word, and what of it."""
    if not (query.numel() and key.shape[-2]):
        return dict.fromkeys(FUSED, "empty inputs")
    if not query.is_cuda:
        return {}
    if scale == 0.0:
        return dict.fromkeys(FUSED, "a scale of 0 on CUDA")
    if not all(map(_is_aligned, (query, key, value))):
        which = f"rows that do not begin at multiples of {ALIGNMENT} bytes on CUDA"
        return dict.fromkeys(FUSED, which)
    if attn_mask is not None:
        return {SDPBackend.CUDNN_ATTENTION: "masks"}
    if dropout_p > 0.0:
        return {SDPBackend.CUDNN_ATTENTION: "dropout"}
    return {}


def _is_aligned(tensor: Tensor) -> bool:
    """Whether every row begins where a kernel may load; other widths torch pads or refuses."""
    elements = ALIGNMENT // tensor.element_size()
    if tensor.shape[-1] % elements:
        return True
    if tensor.data_ptr() % ALIGNMENT:
        return False
    return tensor.is_contiguous() or not any(
        stride % elements
        for size, stride in zip(tensor.shape[:-1], tensor.stride()[:-1], strict=True)
        if size > 1
    )


def pinned(backend: SDPBackend) -> AttentionFunction:
    """`sdpa` on one back end only.

    The fused kernels take 4 dimensions; other leading dimensions are viewed as (batch, heads).
    Choosing the back end costs some 10 µs a call, which small sizes show.
    The function raises UnsupportedCaseError, with torch's reasons, where the back end cannot run.
    """

    def run(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        check_arguments(query, key, value, attn_mask, is_causal, enable_gqa)
        if not (query.numel() and key.shape[-2]):
            # torch answers empty inputs before it looks at the pinned back end.
            raise UnsupportedCaseError(f"{backend.name} runs no kernel on empty inputs")
        wrong = mistakes(query, key, value, attn_mask, dropout_p, scale).get(backend)
        if wrong is not None:
            raise UnsupportedCaseError(f"{backend.name} gives wrong answers for {wrong}")
        mask = expand_mask(attn_mask, query, key)

        def call() -> Tensor:
            with sdpa_kernel(backend):
                return F.scaled_dot_product_attention(
                    _four_dimensional(query),
                    _four_dimensional(key),
                    _four_dimensional(value),
                    attn_mask=None if mask is None else _four_dimensional(mask),
                    dropout_p=dropout_p,
                    is_causal=is_causal,
                    scale=scale,
                    enable_gqa=enable_gqa,
                )

        try:
            output = call()
        except (RuntimeError, Warning) as problem:
            reason = _refusal(call)
            if reason is None:
                raise
            raise UnsupportedCaseError(f"{backend.name} cannot run this: {reason}") from problem
        return output.reshape(*query.shape[:-1], value.shape[-1])

    return run


def _refusal(call: Callable[[], Tensor]) -> str | None:
    """Why torch has no kernel for the call, from the warnings it gives; None if it failed else."""
    with warnings.catch_warnings(record=True) as reasons:
        warnings.simplefilter("always")
        try:
            call()
        except RuntimeError as problem:
            if str(problem).startswith(NO_KERNEL):
                why = "; ".join(str(r.message).partition(" (Triggered")[0] for r in reasons)
                return why or str(problem)
    return None


def _four_dimensional(tensor: Tensor) -> Tensor:
    if tensor.dim() == 4:
        return tensor
    if tensor.dim() < 4:
        return tensor[(None,) * (4 - tensor.dim())]
    return tensor.flatten(0, -4)


def _flash_declines(case: Case) -> str | None:
    if case.device_type == "cuda" and case.mask != "none":
        return "sdpa_flash takes no mask on CUDA"
    if case.device_type == "cuda" and case.dtype not in HALF:
        return "sdpa_flash takes float16 and bfloat16 only on CUDA"
    return None


IMPLEMENTATION = Implementation(
    name="sdpa",
    title="torch scaled_dot_product_attention, automatic",
    source="torch.nn.functional.scaled_dot_product_attention",
    fn=sdpa,
    time_law="n^2*d",
    workspace_law="n*d",
    supports=ALL_FEATURES | {Feature.GROUPED},
)


def _variant(name: str, backend: SDPBackend, title: str, **changes: Any) -> Implementation:
    return replace(
        IMPLEMENTATION,
        name=name,
        title=f"torch SDPA, {title} back end",
        source=f"torch, SDPBackend.{backend.name}",
        fn=pinned(backend),
        expected_kernel=backend.name.lower(),
        **changes,
    )


VARIANTS = (
    _variant(name="sdpa_math", backend=SDPBackend.MATH, title="math", workspace_law="n^2*d"),
    _variant(
        name="sdpa_flash",
        backend=SDPBackend.FLASH_ATTENTION,
        title="flash",
        supports=IMPLEMENTATION.supports - {Feature.VALUE_DIM, Feature.DROPOUT},
        declines=_flash_declines,
    ),
    _variant(
        name="sdpa_efficient",
        backend=SDPBackend.EFFICIENT_ATTENTION,
        title="memory-efficient",
        workspace_law="n",
        devices=("cuda",),
    ),
    _variant(
        name="sdpa_cudnn",
        backend=SDPBackend.CUDNN_ATTENTION,
        title="cuDNN",
        workspace_law="n",
        supports=IMPLEMENTATION.supports
        - {Feature.BOOLEAN_MASK, Feature.FLOAT_MASK, Feature.DROPOUT},
        dtypes=HALF,
        devices=("cuda",),
    ),
)
