"""The module that a layer builds for a case, ready to be called: the same in every process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from bench.timing.inputs import LayerInputs
from implementations.case import Case
from implementations.interface import Implementation, given
from implementations.oracle import full_mask
from implementations.parameters import parameter_count

# Of parameters that are all alike at the start, such as biases of zeros: a lost one would not show.
BIAS_SPREAD = 0.1


def build_module(implementation: Implementation, case: Case, *, seed: int = 0) -> nn.Module:
    """The layer's module in the dtype and on the device of the case, in its mode for the pass.

    Parameters are drawn from the seed, so that every process has the same, in float64 for a case in
    float64. Those that are all alike get random numbers. `train()` with a backward pass, else
    `eval()`.

    Raises:
        TypeError: `build` gave no module.

    """
    assert implementation.build is not None
    dtype: torch.dtype = getattr(torch, case.dtype)
    default = torch.get_default_dtype()
    # Drawn on the CPU, the numbers are the same for every device; on meta there are none.
    with torch.random.fork_rng(devices=()), torch.no_grad():
        torch.default_generator.manual_seed(seed)
        torch.set_default_dtype(torch.float64 if dtype == torch.float64 else torch.float32)
        try:
            module = implementation.build(case)
        finally:
            torch.set_default_dtype(default)
        if not isinstance(module, nn.Module):
            got = type(module).__name__
            raise TypeError(f"{implementation.name}: build must give a torch.nn.Module, got {got}")
        for parameter in module.parameters():
            if not parameter.is_meta and parameter.numel() and parameter.min() == parameter.max():
                parameter.normal_(std=BIAS_SPREAD)
    return module.to(device=case.device, dtype=dtype).train(case.is_backward)


def bound_module(
    implementation: Implementation, module: nn.Module, inputs: LayerInputs, case: Case
) -> partial[Tensor]:
    """The module with its inputs; keywords that are None or False are left out."""
    inputs, case = with_window_as_mask(implementation, inputs, case)
    keywords = given({"attn_mask": inputs.attn_mask, "is_causal": case.is_causal})
    return partial(module, *inputs.tensors.values(), **keywords)


def with_window_as_mask(
    implementation: Implementation, inputs: LayerInputs, case: Case
) -> tuple[LayerInputs, Case]:
    """A mask in place of the window, for a layer that takes masks only."""
    if case.window is None or not implementation.takes_window_as_mask:
        return inputs, case
    seen = inputs.x if inputs.memory is None else inputs.memory
    mask = full_mask(inputs.x, seen, None, case.is_causal, case.window)
    return replace(inputs, attn_mask=mask), replace(case, is_causal=False, window=None)


def parameters_of(module: nn.Module) -> Mapping[str, Tensor]:
    """The module's parameters by their names in it."""
    return dict(module.named_parameters())


def call_bytes(implementation: Implementation, case: Case) -> int:
    """Bytes that a call is given and gives back; of a layer with its parameters.

    A window is a mask of n² bytes to those who take it so.

    With a backward pass, the gradients of all of them too.
    """
    is_mask = case.window is not None and implementation.takes_window_as_mask
    band = is_mask * case.seq_len * case.key_len
    if implementation.build is None:
        return case.tensor_bytes + band
    element: Tensor = torch.empty(0, dtype=getattr(torch, case.dtype))
    rows = 2 * case.seq_len + (case.key_len if implementation.needs_memory else 0)
    numbers = case.batch * rows * case.d_model + parameter_count(implementation, case)
    mask = {"none": 0, "boolean": 1, "float": element.element_size()}[case.mask]
    gradients = 2 if case.is_backward else 1
    pairs = case.seq_len * case.key_len
    return gradients * numbers * element.element_size() + mask * pairs + band
