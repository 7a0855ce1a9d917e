"""Fused attention on tensors without data: which kernel torch would take, and what it holds.

On meta tensors `scaled_dot_product_attention` falls apart into the math formula, which is not
what runs on a processor or a GPU. Here torch is asked which kernel it would take, and that one is
put in its place.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from bench.counting.operators import Bound, tensor_of

_FUSED = F.scaled_dot_product_attention
MATH = 0
FORWARD = "_scaled_dot_product_flash_attention_for_cpu"
BACKWARD = f"{FORWARD}_backward"
# The blocks of torch's CPU kernel: the smallest number of queries, and the rows that it then takes.
ROWS_BY_QUERIES = ((768, 256), (192, 64), (0, 32))
COLUMNS = 512

TAKEN_OUT = {
    torch.Tensor.tolist: "tolist",
    torch.Tensor.numpy: "numpy",
    torch.Tensor.__array__: "numpy",
    torch.Tensor.__dlpack__: "__dlpack__",
    torch.Tensor.data_ptr: "data_ptr",
}
"""How a kernel takes numbers, or their address, to where no operator shows what becomes of them."""


class Attending(TorchFunctionMode):
    """While it is entered, fused attention on meta tensors stays fused.

    `device` is where the program is meant to run. `taken_out` names the ways in which numbers left
    torch. `unfollowed` is a context in which operators are not counted.
    """

    def __init__(
        self, device: str, unfollowed: Callable[[], contextlib.AbstractContextManager[None]]
    ) -> None:
        super().__init__()
        self.taken_out: set[str] = set()
        self._device = device
        self._unfollowed = unfollowed

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run one function of torch, attention in its fused form."""
        kwargs = kwargs or {}
        if func is _FUSED and args[0].is_meta:
            output = self._attention(_asked(*args, **kwargs))
            return func(*args, **kwargs) if output is None else output
        if func is F.multi_head_attention_forward:
            # Within a function that has come here, torch asks no mode: attention inside is its own.
            with mock.patch.object(F, "scaled_dot_product_attention", self._in_this_mode):
                return func(*args, **kwargs)
        if func in TAKEN_OUT and args[0].is_floating_point() and args[0].numel() > 1:
            if args[0].is_meta:
                # An address of no memory would end the process in a kernel that follows it.
                raise NotImplementedError(f"{TAKEN_OUT[func]} of a tensor without data")
            self.taken_out.add(TAKEN_OUT[func])
        return func(*args, **kwargs)

    def _in_this_mode(self, *args: Any, **kwargs: Any) -> Any:
        return self.__torch_function__(_FUSED, (), args, kwargs)

    def _attention(self, asked: SimpleNamespace) -> Tensor | None:
        """The output of the fused kernel that torch takes; None where it takes none."""
        with self._unfollowed():
            if _choice(self._device, asked) == MATH:
                return None
        if asked.value.shape[-1] != asked.query.shape[-1]:
            raise NotImplementedError("fused kernels are counted for value_dim = head_dim only")
        mask = asked.attn_mask
        if mask is not None and mask.dtype == torch.bool:
            # As torch does it: a dense mask to add, of every head.
            mask = torch.where(mask, 0.0, -math.inf).to(asked.query.dtype)
        output: Tensor = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            *(asked.query, asked.key, asked.value, asked.dropout_p, asked.is_causal),
            attn_mask=mask,
            scale=asked.scale,
        )[0]
        return output


def _asked(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> SimpleNamespace:
    """The arguments of fused attention by their names."""
    return SimpleNamespace(**locals())


def _choice(device: str, asked: SimpleNamespace) -> int:
    """The number of the back end that torch takes for such tensors on that device."""
    if device == "cuda" and not torch.cuda.is_available():
        # Without a GPU to ask: any fused kernel that is allowed, which none is in float64.
        allowed = (
            torch._C._get_flash_sdp_enabled()
            or torch._C._get_mem_efficient_sdp_enabled()
            or torch._C._get_cudnn_sdp_enabled()
        )
        return int(allowed and asked.query.dtype != torch.float64)
    query, key, value = (_stand_in(one, device) for one in (asked.query, asked.key, asked.value))
    found: int = torch._fused_sdp_choice(
        query,
        key,
        value,
        None if asked.attn_mask is None else _stand_in(asked.attn_mask, device),
        asked.dropout_p,
        asked.is_causal,
        scale=asked.scale,
        enable_gqa=asked.enable_gqa,
    )
    return found


def _stand_in(tensor: Tensor, device: str) -> Tensor:
    """A tensor of that shape on the device in the memory of one row."""
    row = torch.empty(max(1, tensor.shape[-1]), dtype=tensor.dtype, device=device)
    return row.as_strided(tensor.shape, (0,) * (tensor.dim() - 1) + (1,))


def kernel_buffers(name: str, arguments: Bound, device: str) -> int | str:
    """Bytes that an operator takes for itself while it runs, or why they are not known.

    Of torch's flash kernel on the CPU these are, for every thread, a block of scores, running
    statistics and a block of output; in the backward pass two blocks of scores, and for all
    threads a row sum and, where it lies otherwise, the upstream gradient.
    """
    if name == "_safe_softmax":
        scores = tensor_of(arguments, "self")
        # Which scores are -inf, and which rows hold nothing else; a byte each.
        return scores.numel() + scores.shape[:-1].numel()
    if name not in (FORWARD, BACKWARD):
        is_fused = name.startswith("_scaled_dot_product")
        return "what this fused kernel takes for itself is not known" if is_fused else 0
    query, key = tensor_of(arguments, "query"), tensor_of(arguments, "key")
    if device != "cpu":
        return f"what a fused kernel takes for itself on {device} is known by running it only"
    if query.dtype not in (torch.float32, torch.float64):
        # Operands may be packed for the processor's matrix instructions.
        return "what the fused kernel takes for itself in half precision depends on the processor"
    queries, head_dim = query.shape[-2:]
    rows = min(queries, next(r for least, r in ROWS_BY_QUERIES if queries >= least))
    columns = min(key.shape[-2], COLUMNS)
    threads = torch.get_num_threads()
    if name == FORWARD:
        elements = threads * (rows * columns + 2 * rows + rows * head_dim)
    else:
        upstream = tensor_of(arguments, "grad_out")
        is_copied = not upstream.transpose(1, 2).is_contiguous()
        elements = threads * 2 * rows * columns + rows + is_copied * upstream.numel()
    return elements * query.element_size()
