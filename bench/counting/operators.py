"""How much arithmetic an operator does: one table of rules, and the conventions behind them.

A multiply-add is two operations. An element-wise operator is one operation for each element that
it writes, whatever it does to it; a reduction one for each element that it reads; scaling or
adding in the epilogue of a product as much as the element-wise operator would be. Evaluations of
exp, log, tanh and the like are counted apart and are no operations. Copies, fills, selections and
everything on integers and booleans are none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

import torch
from torch import Tensor

from bench.counting.result import Quantity
from implementations.case import Case

Bound: TypeAlias = Mapping[str, object]
"""An operator's arguments by their names in its schema."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """The arithmetic of one operator: `products` are the operations of matrix products.

    `by_formula` says that the operator hides several steps, which a formula stands for.
    `is_known` is False where there is no rule.
    """

    products: int = 0
    others: int = 0
    transcendentals: int = 0
    by_formula: bool = False
    is_known: bool = True

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """The quantities that it adds to."""
        amounts: dict[Quantity, int] = {
            "executed_flops": self.products + self.others,
            "matmul_flops": self.products,
            "transcendentals": self.transcendentals,
        }
        return tuple(quantity for quantity, amount in amounts.items() if amount)


NOTHING = Cost()
UNKNOWN = Cost(is_known=False)

Rule: TypeAlias = Callable[[Bound, Sequence[Tensor]], Cost]
"""From the arguments and the tensors that were written to the cost."""


def names(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


MOVES = names(
    """_local_scalar_dense _reshape_copy _to_copy _to_dense arange cat clone constant_pad_nd
    contiguous copy diag_embed embedding expand_copy eye fill flip full full_like gather index
    index_put index_select lift_fresh_copy masked_fill masked_scatter masked_select new_full
    new_ones new_zeros nonzero ones ones_like permute_copy repeat repeat_interleave roll
    scalar_tensor scatter select_backward select_scatter slice_backward slice_scatter split_copy
    split_with_sizes_copy stack take tril tril_indices triu triu_indices unfold_copy view_copy
    where zero zeros zeros_like"""
)
"""They move, fill or select."""

EVALUATIONS = names(
    """acos acosh asin asinh atan atan2 atanh cos cosh erf erfc erfinv exp exp2 expm1 lgamma log
    log10 log1p log2 sigmoid sin sinc sinh special_erfcx tan tanh"""
)
"""One transcendental evaluation an element, and nothing else."""

COMPOSED = names(
    """celu elu gelu gelu_backward log_sigmoid_backward log_sigmoid_forward logaddexp logaddexp2
    logit mish mish_backward silu silu_backward softplus softplus_backward xlogy"""
)
"""One transcendental evaluation an element, and arithmetic around it."""

CHEAP_POWERS = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0)
SCANS = frozenset(("cumsum", "cumprod", "cummax", "cummin"))


def base_name(operator: torch._ops.OpOverload) -> str:
    """The operator's name without namespace, overload and the underscore of its in-place form."""
    return operator._schema.name.rpartition("::")[2].removesuffix("_")


def rule_of(operator: torch._ops.OpOverload) -> Rule:
    """The rule for an operator; one without any costs `UNKNOWN`."""
    name = base_name(operator)
    if operator.namespace == "aten":
        if name in RULES:
            return RULES[name]
        if name in MOVES or torch.Tag.view_copy in operator.tags:
            return lambda *_: NOTHING
        if name in EVALUATIONS:
            return _evaluation
        if name in COMPOSED:
            return _composed
    if torch.Tag.pointwise in operator.tags:
        return _pointwise
    # The tag is younger than the oldest torch that we take.
    reduction = getattr(torch.Tag, "reduction", None)
    if reduction is not None and reduction in operator.tags:
        return _reduction
    return lambda *_: UNKNOWN


def _pointwise(arguments: Bound, written: Sequence[Tensor]) -> Cost:
    return Cost(others=_numel(written)) if _on_floats(arguments) else NOTHING


def _evaluation(_: Bound, written: Sequence[Tensor]) -> Cost:
    return Cost(transcendentals=_numel(written))


def _composed(_: Bound, written: Sequence[Tensor]) -> Cost:
    return Cost(others=_numel(written), transcendentals=_numel(written))


def _power(arguments: Bound, written: Sequence[Tensor]) -> Cost:
    is_cheap = arguments.get("exponent") in CHEAP_POWERS
    return _pointwise(arguments, written) if is_cheap else _evaluation(arguments, written)


def _reduction(arguments: Bound, _: Sequence[Tensor]) -> Cost:
    return Cost(others=tensor_of(arguments, "self").numel()) if _on_floats(arguments) else NOTHING


def _each(name: str, *, others: int, transcendentals: int = 0) -> Rule:
    """So many steps for each element of one argument: a formula for what the operator hides."""

    def rule(arguments: Bound, _: Sequence[Tensor]) -> Cost:
        elements = tensor_of(arguments, name).numel()
        return Cost(
            others=others * elements, transcendentals=transcendentals * elements, by_formula=True
        )

    return rule


def _scan(arguments: Bound, written: Sequence[Tensor]) -> Cost:
    return replace(_reduction(arguments, written), by_formula=True)


def _mean(arguments: Bound, written: Sequence[Tensor]) -> Cost:
    return Cost(others=tensor_of(arguments, "self").numel() + _numel(written))


def _log_sum_exp(arguments: Bound, written: Sequence[Tensor]) -> Cost:
    elements = tensor_of(arguments, "self").numel()
    rows = _numel(written)
    return Cost(others=3 * elements + rows, transcendentals=elements + rows, by_formula=True)


def _product(left: str) -> Rule:
    """A matrix product, batched or not, and what scales or adds in its epilogue."""

    def rule(arguments: Bound, written: Sequence[Tensor]) -> Cost:
        elements = _numel(written)
        epilogues = (arguments.get("alpha", 1) != 1) + (arguments.get("beta", 0) != 0)
        return Cost(
            products=2 * tensor_of(arguments, left).shape[-1] * elements,
            others=epilogues * elements,
        )

    return rule


def _convolution(arguments: Bound, written: Sequence[Tensor]) -> Cost:
    """Each output: a product with a kernel of (in_channels / groups, …), and the bias."""
    weight, outputs = tensor_of(arguments, "weight"), _numel(written)
    has_bias = arguments.get("bias") is not None
    return Cost(products=2 * weight[0].numel() * outputs, others=has_bias * outputs)


def _convolution_backward(arguments: Bound, _: Sequence[Tensor]) -> Cost:
    """As many products for the gradient of the input, and for that of the kernel; a bias's sum."""
    upstream, weight = tensor_of(arguments, "grad_output"), tensor_of(arguments, "weight")
    of_input, of_weight, of_bias = cast(Sequence[bool], arguments["output_mask"])
    each = 2 * weight[0].numel() * upstream.numel()
    return Cost(products=(of_input + of_weight) * each, others=of_bias * upstream.numel())


def _attention(*, products: tuple[int, int], steps: int, row_steps: int) -> Rule:
    """A fused pass: products along head_dim and value_dim, and steps for every pair and output.

    A mask's addition is one more step for every pair. Under a causal mask the triangle is counted
    exactly; what a kernel does beyond it in blocks on the diagonal, and to rescale between blocks,
    is not.
    """

    def rule(arguments: Bound, _: Sequence[Tensor]) -> Cost:
        query, value = tensor_of(arguments, "query"), tensor_of(arguments, "value")
        pairs = _pairs(arguments)
        features = products[0] * query.shape[-1] + products[1] * value.shape[-1]
        return Cost(
            products=2 * pairs * features,
            others=(steps + _has_mask(arguments)) * pairs
            + row_steps * query.shape[:-1].numel() * value.shape[-1],
            transcendentals=pairs,
            by_formula=True,
        )

    return rule


def _pairs(arguments: Bound) -> int:
    """Query-key pairs of all heads that attend to each other."""
    query, key = tensor_of(arguments, "query"), tensor_of(arguments, "key")
    case = Case(
        seq_len=query.shape[-2], key_len=key.shape[-2], is_causal=bool(arguments.get("is_causal"))
    )
    return query.shape[:-2].numel() * case.pairs


def _has_mask(arguments: Bound) -> bool:
    return any(arguments.get(name) is not None for name in ("attn_mask", "attn_bias"))


def _on_floats(arguments: Bound) -> bool:
    return any(
        isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())
        for value in arguments.values()
    )


def tensor_of(arguments: Bound, name: str) -> Tensor:
    """An argument that is a tensor."""
    found = arguments[name]
    assert isinstance(found, Tensor)
    return found


def _numel(tensors: Sequence[Tensor]) -> int:
    """Elements of the first tensor; further ones are by-products."""
    return tensors[0].numel() if tensors else 0


FORWARDS = (
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
)

# Largest, difference, sum and quotient, and one exp; logarithmic: one more log, which the rows
# share, in place of the quotient.
SOFTMAX = _each("self", others=4, transcendentals=1)

# Scale, largest, difference, sum and one exp for each pair; a quotient for each output.
FUSED = _attention(products=(1, 1), steps=4, row_steps=1)
# The scores are computed again: five products (Dao et al. 2022). For each pair: scale, the saved
# log-sum-exp, exp, difference from the row sum of output and gradient, product with the weight,
# scale.
FUSED_BACKWARD = _attention(products=(3, 2), steps=5, row_steps=2)

RULES: dict[str, Rule] = {
    **dict.fromkeys(("mm", "bmm", "mv", "dot", "vdot"), _product("self")),
    "addmm": _product("mat1"),
    "addmv": _product("mat"),
    "baddbmm": _product("batch1"),
    "convolution": _convolution,
    "convolution_backward": _convolution_backward,
    **dict.fromkeys(("softmax", "_softmax", "_log_softmax"), SOFTMAX),
    # Each score is compared with -inf too.
    "_safe_softmax": _each("self", others=5, transcendentals=1),
    # With w the weights and g what comes down: w * (g - sum(w * g)).
    "_softmax_backward_data": _each("grad_output", others=4),
    "_log_softmax_backward_data": _each("grad_output", others=3, transcendentals=1),
    "logsumexp": _log_sum_exp,
    # Mean and variance (5), difference, quotient, weight and bias.
    "native_layer_norm": _each("input", others=8),
    # Two row sums of products, the gradient of the input from them, those of weight and bias.
    "native_layer_norm_backward": _each("input", others=13),
    "pow": _power,
    "mean": _mean,
    # The mean, the distances from it, their squares and their sum.
    **dict.fromkeys(("var", "var_mean", "std"), _each("self", others=4)),
    **dict.fromkeys(SCANS, _scan),
    **dict.fromkeys(("all", "amax", "amin", "any", "max", "min", "prod", "sum"), _reduction),
    **dict.fromkeys(FORWARDS, FUSED),
    **dict.fromkeys((f"{name}_backward" for name in FORWARDS), FUSED_BACKWARD),
}
"""Operators with rules of their own; the others go by the lists above, then by torch's tags."""
