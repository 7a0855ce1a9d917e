"""How far off an answer of a layer may be: the error rule of layers.

A layer is held against its oracle, a plain formula, evaluated in float64 on inputs and parameters
that are rounded to the tested dtype. The same formula evaluated in the tested dtype says what error
that dtype makes anyhow. An output or a gradient may be off by

    2 · error of the formula + (ε + min(ε, ε₃₂) · √k) · M

The factor 2 is that of the FlashAttention tests (Dao et al. 2022). The formula's error is at least
what it is in float32, scaled by the steps of rounding: in few numbers of half precision it may be
zero by luck, and in float64 formula and reference are one. The other term is what the sums of
another order may lose, where the formula loses nothing: a step of rounding, and a random walk of √k
steps for sums of k terms (Higham & Mary 2019). M is the largest number of the output; of the
gradients of inputs together; of the gradients of parameters together, since some are zero in exact
arithmetic, such as that of a key's bias under the softmax, and what is left of them is rounding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from bench.checks.error_bound import BASELINE_FACTOR, Expected, in_full_precision
from bench.timing.built_module import with_window_as_mask
from bench.timing.inputs import LayerInputs
from implementations.case import Case
from implementations.interface import Implementation, LayerOracle
from implementations.oracle import largest_error


def expect_layer(
    implementation: Implementation,
    parameters: Mapping[str, Tensor],
    inputs: LayerInputs,
    case: Case,
    *,
    with_gradients: bool = True,
) -> Expected:
    """The exact answer of a layer, and the allowance of each quantity.

    Quantities are `output`, and with gradients `grad_x`, `grad_memory` where there is one, and
    `grad_NAME` of each parameter.
    """

    oracle = implementation.layer_oracle
    assert oracle is not None
    inputs, case = with_window_as_mask(implementation, inputs, case)

    def evaluated(dtype: torch.dtype, device: torch.device | str) -> dict[str, Tensor]:
        return _evaluated(oracle, parameters, inputs, case, with_gradients, dtype, device)

    values = evaluated(torch.float64, "cpu")
    tested, device = inputs.x.dtype, inputs.x.device
    step, single = torch.finfo(tested).eps, torch.finfo(torch.float32).eps
    errors = dict.fromkeys(values, 0.0)
    for dtype in dict.fromkeys((torch.float32, tested)):
        if dtype == torch.float64:
            continue
        try:
            with in_full_precision():
                baseline = evaluated(dtype, device)
        except RuntimeError:  # torch lacks an operator of the formula in this dtype
            continue
        for name, value in values.items():
            error = largest_error(baseline[name], value) * step / torch.finfo(dtype).eps
            # A baseline that overflows excuses nobody.
            errors[name] = max(errors[name], error if math.isfinite(error) else 0.0)
    terms = case.batch * (case.seq_len + case.key_len) + case.d_model
    rounding = step + min(step, single) * math.sqrt(terms)
    sizes = _sizes(values, inputs)
    allowed = {
        name: BASELINE_FACTOR * error + rounding * sizes[name] for name, error in errors.items()
    }
    return Expected(values=values, allowed=allowed)


def _evaluated(
    oracle: LayerOracle,
    parameters: Mapping[str, Tensor],
    inputs: LayerInputs,
    case: Case,
    with_gradients: bool,
    dtype: torch.dtype,
    device: torch.device | str,
) -> dict[str, Tensor]:
    """What the formula gives in a dtype; a gradient that does not arrive is zero."""

    def converted(tensor: Tensor) -> Tensor:
        return tensor.detach().to(device=device, dtype=dtype, copy=True)

    given = {name: converted(one) for name, one in inputs.tensors.items()}
    own = {name: converted(one) for name, one in parameters.items()}
    mask = inputs.attn_mask
    if mask is not None:
        mask = mask.to(device) if mask.dtype == torch.bool else converted(mask)
    leaves = {**given, **own}
    with torch.set_grad_enabled(with_gradients):
        for leaf in leaves.values():
            leaf.requires_grad_(with_gradients)
        output = oracle(own, given["x"], given.get("memory"), mask, case)
    if not with_gradients:
        return {"output": output}
    found = torch.autograd.grad(
        output, list(leaves.values()), converted(inputs.grad_output), materialize_grads=True
    )
    gradients = {f"grad_{name}": one for name, one in zip(leaves, found, strict=True)}
    return {"output": output.detach(), **gradients}


def _sizes(values: Mapping[str, Tensor], inputs: LayerInputs) -> dict[str, float]:
    """By quantity: the largest number of its group."""

    def group(name: str) -> str:
        if name == "output":
            return name
        return "inputs" if name.removeprefix("grad_") in inputs.tensors else "parameters"

    largest: dict[str, float] = {}
    for name, value in values.items():
        size = float(value.abs().max()) if value.numel() else 0.0
        largest[group(name)] = max(size, largest.get(group(name), 0.0))
    return {name: largest[group(name)] for name in values}
