"""What is true of attention whatever its inputs are, held against every implementation.

Each law is a function of a kernel and of a drawn situation that asserts; kernels with a matching
fault show that every law can fail. What holds for the floating-point numbers themselves is asked
for exactly. Everything else is allowed what the gate's rule forgives each side: twice the error of
the plain formula in the same dtype, plus one rounding step of the terms that are added.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pandas as pd
import pytest
import torch
from hypothesis import Phase, assume, find, given, reject, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from torch import Tensor

from implementations import blocks, blockwise
from implementations.attention import online_softmax, query_chunked
from implementations.case import Case
from implementations.catalogue import suite
from implementations.interface import Feature, Implementation, UnsupportedCaseError
from implementations.masking import apply_mask, resolve_scale, safe_softmax
from implementations.oracle import (
    QUANTITIES,
    evaluate,
    full_mask,
    largest_error,
    reference,
    softmax_attention,
)

NATIVE = [
    one
    for one in suite().values()
    if one.kind == "core" and "cpu" in one.devices and "float32" in one.dtypes and not one.compiles
]

EXAMPLES = settings(max_examples=20)
# The faults are looked for among as many examples as the implementations are asked for.
SEARCH = settings(EXAMPLES, phases=[Phase.generate])

CONDITIONS = ("none", "causal", "boolean", "float")
WITHOUT_ORDER = ("none", "boolean", "float")
MASKED = ("boolean", "float")
# Multiples of 1/16 up to 31/16 have 5 bits, so that what is made of a few of them is exact even in
# the 8 bits of bfloat16.
GRID, GRID_STEPS = 16, 31
NOTHING = ({"query_len": 0}, {"key_len": 0}, {"leading": (0, 3)}, {"leading": (2, 0)})
HUGE = 1e30  # its products with ordinary numbers are still finite in float32 and bfloat16

Kernel = Callable[..., Tensor]


@pytest.fixture(scope="module", autouse=True)
def small_blocks() -> Iterator[None]:
    # Blocks of a few rows and keys, so that small sizes cross their borders in every way.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "scores_per_tile", lambda device, working: 9)
        patch.setattr(blockwise, "SHORT", 0)
        patch.setattr(query_chunked, "ROWS_PER_THREAD", 1)
        patch.setattr(online_softmax, "KEYS_PER_BLOCK", 3)
        yield


class Draws:
    """Random numbers that follow from a seed, in the dtype of a situation."""

    def __init__(self, seed: int, dtype: torch.dtype) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._dtype = dtype

    def normal(self, *shape: int) -> Tensor:
        drawn = torch.randn(shape, generator=self._generator, dtype=torch.float64)
        return drawn.to(self._dtype)

    def on_grid(self, *shape: int) -> Tensor:
        steps = torch.randint(-GRID_STEPS, GRID_STEPS + 1, shape, generator=self._generator)
        return (steps / GRID).to(self._dtype)

    def kept(self, share: float, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self._generator) < share

    def permutation(self, length: int) -> Tensor:
        return torch.randperm(length, generator=self._generator)

    def index(self, length: int) -> int:
        return int(torch.randint(length, (), generator=self._generator))


@dataclass(frozen=True, kw_only=True)
class Call:
    """The arguments of one call."""

    query: Tensor
    key: Tensor
    value: Tensor
    attn_mask: Tensor | None = None
    is_causal: bool = False
    scale: float | None = None

    def output(self, kernel: Kernel) -> Tensor:
        return self._run(kernel, self.query, self.key, self.value)

    def quantities(self, kernel: Kernel, upstream: Tensor) -> dict[str, Tensor]:
        """Output and gradients under a given upstream gradient, by name."""
        leaves = [one.clone().requires_grad_() for one in (self.query, self.key, self.value)]
        output = self._run(kernel, *leaves)
        gradients = torch.autograd.grad(output, leaves, upstream)
        return dict(zip(QUANTITIES, (output.detach(), *gradients), strict=True))

    def _run(self, kernel: Kernel, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return kernel(query, key, value, **self.keywords)

    @property
    def keywords(self) -> dict[str, Any]:
        return {"attn_mask": self.attn_mask, "is_causal": self.is_causal, "scale": self.scale}

    @property
    def mask(self) -> Tensor | None:
        """The causal triangle, or the mask that was given."""
        return full_mask(self.query, self.key, self.attn_mask, self.is_causal)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (*self.query.shape[:-1], self.value.shape[-1])

    def seen(self) -> Tensor:
        """Which query sees which key: boolean, (..., query_len, key_len)."""
        shape = (*self.query.shape[:-1], self.key.shape[-2])
        mask = self.mask
        if mask is None:
            return torch.ones(shape, dtype=torch.bool)
        return (mask if mask.dtype == torch.bool else mask != -math.inf).expand(shape)


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What hypothesis draws, shrinks and prints; all tensors follow from it."""

    leading: tuple[int, ...]
    query_len: int
    key_len: int
    head_dim: int
    value_dim: int
    dtype: str
    condition: str
    mask_per_head: bool
    scale: float | None
    seed: int

    def start(self) -> tuple[Call, Draws]:
        """The call, and the random numbers that come after it."""
        draws = Draws(self.seed, getattr(torch, self.dtype))
        call = Call(
            query=draws.normal(*self.leading, self.query_len, self.head_dim),
            key=draws.normal(*self.leading, self.key_len, self.head_dim),
            value=draws.normal(*self.leading, self.key_len, self.value_dim),
            attn_mask=self._mask(draws) if self.condition in MASKED else None,
            is_causal=self.condition == "causal",
            scale=self.scale,
        )
        return call, draws

    def _mask(self, draws: Draws) -> Tensor:
        outer = (*(self.leading if self.mask_per_head else ()), self.query_len)
        # Some rows see no key at all.
        kept = draws.kept(0.7, *outer, self.key_len) & draws.kept(0.9, *outer, 1)
        if self.condition == "boolean":
            return kept
        return draws.normal(*outer, self.key_len).masked_fill(~kept, -math.inf)

    def case(self) -> Case:
        return Case(
            seq_len=self.query_len,
            key_len=self.key_len,
            head_dim=self.head_dim,
            value_dim=self.value_dim,
            batch=math.prod(self.leading[:-1]),
            num_heads=self.leading[-1] if self.leading else 1,
            dtype=self.dtype,
            is_causal=self.condition == "causal",
            mask="none" if self.condition == "causal" else self.condition,
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class Law:
    """A check that raises AssertionError where it does not hold, and where it is to hold.

    `smallest` bounds all sizes from below, `smallest_items` the product of the leading ones;
    `empty` is for kernels only that take empty inputs. The name is that of the check where none is
    given. Each of `faults` is a kernel that breaks the law.
    """

    check: Callable[[Kernel, Situation], None]
    name: str = ""
    conditions: tuple[str, ...] = CONDITIONS
    smallest: int = 1
    smallest_items: int = 0
    empty: bool = False
    needs: frozenset[Feature] = frozenset()
    faults: Mapping[str, Kernel]

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.check.__name__)

    def __repr__(self) -> str:
        return self.name

    def concerns(self, implementation: Implementation) -> bool:
        able = takes_empty(implementation) or not self.empty
        return able and self.needs <= implementation.supports

    def situations(self, implementation: Implementation) -> st.SearchStrategy[Situation]:
        return situations(implementation, self.conditions, self.smallest, self.smallest_items)


@cache
def takes_empty(implementation: Implementation) -> bool:
    """Whether the implementation answers calls without keys; pinned back ends decline them."""
    try:
        implementation.call(torch.ones(1, 1, 2, 3), torch.ones(1, 1, 0, 3), torch.ones(1, 1, 0, 3))
    except UnsupportedCaseError:
        return False
    return True


@st.composite
def situations(
    draw: st.DrawFn,
    implementation: Implementation,
    conditions: tuple[str, ...] = CONDITIONS,
    smallest: int = 0,
    smallest_items: int = 0,
) -> Situation:
    """Situations that the implementation supports."""
    supports = implementation.supports
    fewest, most = (0, 3) if Feature.LEADING_DIMS in supports else (2, 2)
    leading = st.lists(st.integers(smallest, 3), min_size=fewest, max_size=most)
    head_dim = draw(st.integers(1, 16))
    situation = Situation(
        leading=tuple(draw(leading.filter(lambda sizes: math.prod(sizes) >= smallest_items))),
        query_len=draw(st.integers(smallest, 19)),
        key_len=draw(st.integers(smallest, 19)),
        head_dim=head_dim,
        value_dim=draw(st.integers(1, 16)) if Feature.VALUE_DIM in supports else head_dim,
        dtype=draw(st.sampled_from(("float32", "float64", "bfloat16"))),
        condition=draw(st.sampled_from(conditions)),
        mask_per_head=draw(st.booleans()),
        scale=draw(st.sampled_from((None, 0.3, 1.7))) if Feature.SCALE in supports else None,
        seed=draw(st.integers(0, 2**16)),
    )
    assume(implementation.unsupported(situation.case()) is None)
    return situation


def judge(call: Call, upstream: Tensor | None = None) -> tuple[dict[str, Tensor], dict[str, float]]:
    """The exact values, and how far from them a right kernel may be, by quantity."""
    if upstream is None:
        upstream = torch.ones(call.output_shape, dtype=call.query.dtype)
    inputs = (call.query, call.key, call.value)
    exact = reference(*inputs, **call.keywords, grad_output=upstream)
    scale = resolve_scale(call.query, call.scale)
    baseline = evaluate(softmax_attention, *inputs, call.mask, scale, upstream)
    step = torch.finfo(call.query.dtype).eps
    terms = sum(call.query.shape[-2:]) + sum(call.value.shape[-2:])
    allowed = {}
    for name in QUANTITIES:
        magnitude = exact.magnitudes[name]
        if call.query.dtype == torch.float64:
            allowed[name] = step * terms * (1.0 + exact.score_magnitude) * magnitude
        else:
            rounding = step * (magnitude + exact.sensitivities[name])
            sums = torch.finfo(torch.float32).eps * (terms**0.5 + exact.score_magnitude) * magnitude
            error = largest_error(baseline[name], exact.values[name])
            allowed[name] = 2.0 * error + rounding + sums
    return exact.values, allowed


def allowed_error(*calls: Call) -> float:
    """How far apart outputs may be to which each of these calls contributes its own error."""
    return sum(judge(call)[1]["output"] for call in calls)


def assert_near(actual: Tensor, expected: Tensor, allowed: float) -> None:
    assert actual.shape == expected.shape
    error = largest_error(actual, expected.double())
    assert error <= allowed, f"off by {error:.3g}, allowed {allowed:.3g}"


# The laws


def outputs_are_those_of_the_oracle(kernel: Kernel, situation: Situation) -> None:
    call, _ = situation.start()
    output = call.output(kernel)
    exact, allowed = judge(call)

    assert output.dtype == call.query.dtype
    assert_near(output, exact["output"], allowed["output"])


def gradients_are_those_of_the_oracle(kernel: Kernel, situation: Situation) -> None:
    call, draws = situation.start()
    upstream = draws.normal(*call.output_shape)
    exact, allowed = judge(call, upstream)

    for name, actual in call.quantities(kernel, upstream).items():
        assert_near(actual, exact[name], allowed[name])


def permuting_queries_permutes_outputs(kernel: Kernel, situation: Situation) -> None:
    call, draws = situation.start()
    order = draws.permutation(situation.query_len)
    mask = None if call.attn_mask is None else call.attn_mask[..., order, :]
    permuted = replace(call, query=call.query[..., order, :], attn_mask=mask)

    expected = call.output(kernel)[..., order, :]
    assert_near(permuted.output(kernel), expected, allowed_error(call, permuted))


def permuting_keys_with_their_values_changes_nothing(kernel: Kernel, situation: Situation) -> None:
    call, draws = situation.start()
    order = draws.permutation(situation.key_len)
    key, value = call.key[..., order, :], call.value[..., order, :]
    mask = None if call.attn_mask is None else call.attn_mask[..., order]
    permuted = replace(call, key=key, value=value, attn_mask=mask)

    assert_near(permuted.output(kernel), call.output(kernel), allowed_error(call, permuted))


def outputs_lie_in_the_convex_hull_of_the_values(kernel: Kernel, situation: Situation) -> None:
    """Along every axis and some random directions, between the least and greatest value seen."""
    call, draws = situation.start()
    random = draws.normal(situation.value_dim, 7).double()
    # With absolute coefficients that sum to 1 an error along a direction is no larger than that of
    # the worst coordinate.
    directions = torch.cat([torch.eye(situation.value_dim), random / random.abs().sum(0)], dim=1)
    seen = call.seen()
    along = (call.value.double() @ directions)[..., None, :, :]
    lowest = along.masked_fill(~seen[..., None], math.inf).amin(-2)
    highest = along.masked_fill(~seen[..., None], -math.inf).amax(-2)

    output = call.output(kernel).double() @ directions

    outside = torch.maximum(lowest - output, output - highest)[seen.any(-1)]
    assert_near(outside.clamp_min(0.0), torch.zeros_like(outside), allowed_error(call))


def outputs_are_linear_in_the_values(kernel: Kernel, situation: Situation) -> None:
    call, draws = situation.start()
    shape = call.value.shape
    # Factors up to 3 keep the combination on the grid, and exact.
    first = replace(call, value=draws.on_grid(*shape))
    second = replace(call, value=draws.on_grid(*shape))
    a, b = draws.index(7) - 3, draws.index(7) - 3
    combined = replace(call, value=a * first.value + b * second.value)

    expected = a * first.output(kernel).double() + b * second.output(kernel).double()
    allowed = (
        allowed_error(combined) + abs(a) * allowed_error(first) + abs(b) * allowed_error(second)
    )
    assert_near(combined.output(kernel), expected, allowed)


def powers_of_two_pass_through_the_values_exactly(kernel: Kernel, situation: Situation) -> None:
    call, draws = situation.start()
    factor = 2.0 ** (draws.index(41) - 20)

    scaled = replace(call, value=factor * call.value)

    assert torch.equal(scaled.output(kernel), factor * call.output(kernel))


def a_constant_on_a_row_of_scores_changes_nothing(kernel: Kernel, situation: Situation) -> None:
    call, draws = situation.start()
    # Whole numbers up to 93: exact in every dtype, and exp of a score like that overflows float32.
    constants = 3 * GRID * draws.on_grid(*situation.leading, situation.query_len, 1)
    shifted = replace(
        call, attn_mask=torch.where(call.seen(), constants, -math.inf), is_causal=False
    )

    assert_near(shifted.output(kernel), call.output(kernel), allowed_error(call, shifted))


def one_vector_added_to_all_keys_changes_nothing(kernel: Kernel, situation: Situation) -> None:
    call, draws = situation.start()
    call = replace(call, key=draws.on_grid(*call.key.shape))
    vector = 3 * draws.on_grid(*situation.leading, 1, situation.head_dim)
    shifted = replace(call, key=call.key + vector)

    assert_near(shifted.output(kernel), call.output(kernel), allowed_error(call, shifted))


def unseen_keys_have_no_influence(kernel: Kernel, situation: Situation) -> None:
    call, draws = situation.start()
    hidden, untouched = hidden_from_a_row(call, draws)
    before = call.output(kernel)

    for size in (1.0, HUGE):
        after = with_other_keys(call, hidden, draws, size).output(kernel)
        assert torch.equal(after[untouched], before[untouched])


def unseen_keys_neither_get_nor_change_gradients(kernel: Kernel, situation: Situation) -> None:
    call, draws = situation.start()
    hidden, untouched = hidden_from_a_row(call, draws)
    upstream = draws.normal(*call.output_shape).masked_fill(~untouched[..., None], 0.0)

    before = call.quantities(kernel, upstream)
    after = with_other_keys(call, hidden, draws, 1.0).quantities(kernel, upstream)

    assert torch.equal(after["grad_query"][untouched], before["grad_query"][untouched])
    for name in ("grad_key", "grad_value"):
        assert torch.equal(after[name][~hidden], before[name][~hidden])
        for gradient in (before[name][hidden], after[name][hidden]):
            assert torch.equal(gradient, torch.zeros_like(gradient))


def hidden_from_a_row(call: Call, draws: Draws) -> tuple[Tensor, Tensor]:
    """The keys that a random row does not see (..., key_len), and all rows that see none of them.

    Under the causal mask these are the future of the row, and the rows up to it.
    """
    seen = call.seen()
    hidden = ~seen[..., draws.index(seen.shape[-2]), :]
    return hidden, ~(seen & hidden[..., None, :]).any(-1)


def with_other_keys(call: Call, which: Tensor, draws: Draws, size: float) -> Call:
    key, value = size * draws.normal(*call.key.shape), size * draws.normal(*call.value.shape)
    return replace(
        call,
        key=torch.where(which[..., None], key, call.key),
        value=torch.where(which[..., None], value, call.value),
    )


def batch_items_and_heads_do_not_touch_each_other(kernel: Kernel, situation: Situation) -> None:
    call, draws = situation.start()
    which, others = one_item(situation, draws)

    after = with_another_item(call, which, draws).output(kernel)

    assert torch.equal(after[others], call.output(kernel)[others])


def gradients_stay_within_their_batch_item_and_head(kernel: Kernel, situation: Situation) -> None:
    call, draws = situation.start()
    which, others = one_item(situation, draws)
    upstream = draws.normal(*call.output_shape)
    other_upstream = torch.where(which, draws.normal(*upstream.shape), upstream)

    before = call.quantities(kernel, upstream)
    after = with_another_item(call, which, draws).quantities(kernel, other_upstream)

    for name in QUANTITIES:
        assert torch.equal(after[name][others], before[name][others])


def one_item(situation: Situation, draws: Draws) -> tuple[Tensor, Tensor]:
    """A mask (..., 1, 1) that chooses one head of one batch item, and (...) of all others."""
    chosen = torch.zeros(math.prod(situation.leading), dtype=torch.bool)
    chosen[draws.index(len(chosen))] = True
    chosen = chosen.reshape(situation.leading)
    return chosen[..., None, None], ~chosen


def with_another_item(call: Call, which: Tensor, draws: Draws) -> Call:
    # Eightfold, so that whatever is shared between items, such as a maximum, is taken from this.
    query, key, value = (
        torch.where(which, 8 * draws.normal(*tensor.shape), tensor)
        for tensor in (call.query, call.key, call.value)
    )
    return replace(call, query=query, key=key, value=value)


def nothing_in_gives_zeros_of_the_right_shape(kernel: Kernel, situation: Situation) -> None:
    for nothing in NOTHING:
        call, _ = replace(situation, **nothing).start()

        output = call.output(kernel)

        assert output.shape == call.output_shape
        assert output.dtype == call.query.dtype
        assert torch.equal(output, torch.zeros_like(output))


def nothing_in_gives_gradients_of_zero(kernel: Kernel, situation: Situation) -> None:
    for nothing in NOTHING:
        call, draws = replace(situation, **nothing).start()

        found = call.quantities(kernel, draws.normal(*call.output_shape))

        for name, tensor in zip(QUANTITIES[1:], (call.query, call.key, call.value), strict=True):
            assert found[name].dtype == tensor.dtype
            assert torch.equal(found[name], torch.zeros_like(tensor))


# Kernels with a fault each


def formula(
    *,
    scores: Callable[[Tensor], Tensor] = lambda scores: scores,
    masking: Callable[[Tensor, Tensor | None], Tensor] = apply_mask,
    softmax: Callable[[Tensor], Tensor] = safe_softmax,
    weights: Callable[[Tensor], Tensor] = lambda weights: weights,
    values: Callable[[Tensor], Tensor] = lambda values: values,
    output: Callable[[Tensor], Tensor] = lambda output: output,
) -> Kernel:
    """The plain formula, in which any step may be given a fault."""

    def kernel(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
        scale: float | None = None,
    ) -> Tensor:
        raw = scores(query @ key.mT * resolve_scale(query, scale))
        masked = masking(raw, full_mask(query, key, attn_mask, is_causal))
        return output(weights(softmax(masked)) @ values(value))

    return kernel


def in_half_precision(tensor: Tensor) -> Tensor:
    return tensor.half().to(tensor.dtype)


def without_last_rows(tensor: Tensor) -> Tensor:
    """Zeros in place of the rows after the last whole block of four."""
    rows = torch.arange(tensor.shape[-2]) < tensor.shape[-2] // 4 * 4
    return tensor * rows[:, None]


def without_last_keys(weights: Tensor) -> Tensor:
    return without_last_rows(weights.mT).mT


def uniform(weights: Tensor) -> Tensor:
    seen = (weights > 0).to(weights.dtype)
    return seen / seen.sum(-1, keepdim=True).clamp_min(1)


def half_of_the_features_unweighted(*args: Tensor, **keywords: object) -> Tensor:
    """In the range of the values feature by feature, but not in their hull."""
    right, other = formula()(*args, **keywords), formula(weights=uniform)(*args, **keywords)
    return torch.where(torch.arange(right.shape[-1]) % 2 == 0, right, other)


def softmax_without_maximum(scores: Tensor) -> Tensor:
    exponentials = scores.exp()
    return exponentials / exponentials.sum(-1, keepdim=True).clamp_min(1e-30)


def softmax_with_one_maximum_for_all(scores: Tensor) -> Tensor:
    return softmax_without_maximum(scores - scores.detach().max())


def aligned_bottom_right(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Right for one mask only, the causal triangle."""
    offset = scores.shape[-1] - scores.shape[-2]
    return apply_mask(scores, torch.ones_like(scores, dtype=torch.bool).tril(offset))


def masked_by_a_large_number(scores: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return scores
    if mask.dtype == torch.bool:
        return scores - 1e9 * (~mask).to(scores.dtype)
    return scores + mask.clamp_min(-1e9)


def with_backward_of(faulty: Kernel) -> Kernel:
    """The right output with the gradients of another kernel."""

    def kernel(*args: Tensor, **keywords: object) -> Tensor:
        other = faulty(*args, **keywords)
        return formula()(*args, **keywords).detach() + other - other.detach()

    return kernel


def unmasked(query: Tensor, key: Tensor, value: Tensor, **_: object) -> Tensor:
    return formula()(query, key, value)


def shape_of_the_query_without_keys(
    query: Tensor, key: Tensor, value: Tensor, **keywords: object
) -> Tensor:
    if not key.shape[-2]:
        return torch.zeros_like(query)
    return formula()(query, key, value, **keywords)


def query_added(query: Tensor, key: Tensor, value: Tensor, **keywords: object) -> Tensor:
    return formula()(query, key, value, **keywords) + query.sum(-1, keepdim=True)


def next_item(tensor: Tensor) -> Tensor:
    return tensor.roll(1, dims=0)


# Every implementation obeys, and every fault is caught


BACKWARD = frozenset({Feature.BACKWARD})
LARGE_NUMBER = formula(masking=masked_by_a_large_number)
UNMASKED_GRADIENTS = with_backward_of(unmasked)

LAWS = (
    Law(
        check=outputs_are_those_of_the_oracle,
        smallest=0,
        faults={"weights_in_half_precision": formula(weights=in_half_precision)},
    ),
    Law(
        check=gradients_are_those_of_the_oracle,
        smallest=0,
        needs=BACKWARD,
        faults={"doubled": formula(weights=lambda weights: 2.0 * weights - weights.detach())},
    ),
    Law(
        check=permuting_queries_permutes_outputs,
        conditions=WITHOUT_ORDER,
        faults={"last_rows_missing": formula(output=without_last_rows)},
    ),
    Law(
        check=permuting_keys_with_their_values_changes_nothing,
        conditions=WITHOUT_ORDER,
        faults={"last_keys_missing": formula(weights=without_last_keys)},
    ),
    Law(
        check=outputs_lie_in_the_convex_hull_of_the_values,
        faults={
            "weights_sum_to_less": formula(weights=lambda weights: 0.9 * weights),
            "half_of_the_features_unweighted": half_of_the_features_unweighted,
        },
    ),
    Law(
        check=outputs_are_linear_in_the_values,
        faults={"values_clipped": formula(values=lambda values: values.clamp(-1.0, 1.0))},
    ),
    Law(
        check=powers_of_two_pass_through_the_values_exactly,
        faults={"values_in_half_precision": formula(values=in_half_precision)},
    ),
    Law(
        check=a_constant_on_a_row_of_scores_changes_nothing,
        conditions=("none", "causal", "boolean"),
        needs=frozenset({Feature.FLOAT_MASK}),
        faults={"no_maximum_subtracted": formula(softmax=softmax_without_maximum)},
    ),
    Law(
        check=one_vector_added_to_all_keys_changes_nothing,
        faults={"scores_capped": formula(scores=lambda scores: 10.0 * (scores / 10.0).tanh())},
    ),
    Law(
        name="the_future_has_no_influence",
        check=unseen_keys_have_no_influence,
        conditions=("causal",),
        faults={
            "aligned_bottom_right": formula(masking=aligned_bottom_right),
            "masked_by_a_large_number": LARGE_NUMBER,
        },
    ),
    Law(
        name="the_future_gets_no_gradient",
        check=unseen_keys_neither_get_nor_change_gradients,
        conditions=("causal",),
        needs=BACKWARD,
        faults={"gradients_without_mask": UNMASKED_GRADIENTS},
    ),
    Law(
        name="masked_keys_have_no_influence",
        check=unseen_keys_have_no_influence,
        conditions=MASKED,
        faults={"masked_by_a_large_number": LARGE_NUMBER},
    ),
    Law(
        name="masked_keys_get_no_gradient",
        check=unseen_keys_neither_get_nor_change_gradients,
        conditions=MASKED,
        needs=BACKWARD,
        faults={"gradients_without_mask": UNMASKED_GRADIENTS},
    ),
    Law(
        check=batch_items_and_heads_do_not_touch_each_other,
        smallest_items=2,
        faults={
            "one_maximum_for_all": formula(softmax=softmax_with_one_maximum_for_all),
            "values_of_the_next_item": formula(values=next_item),
        },
    ),
    Law(
        check=gradients_stay_within_their_batch_item_and_head,
        smallest_items=2,
        needs=BACKWARD,
        faults={"of_the_next_item": with_backward_of(formula(values=next_item))},
    ),
    Law(
        check=nothing_in_gives_zeros_of_the_right_shape,
        empty=True,
        faults={"shape_of_the_query_without_keys": shape_of_the_query_without_keys},
    ),
    Law(
        check=nothing_in_gives_gradients_of_zero,
        empty=True,
        needs=BACKWARD,
        faults={"query_added": query_added},
    ),
)


@pytest.mark.parametrize(
    ("law", "implementation"),
    [(law, one) for law in LAWS for one in NATIVE if law.concerns(one)],
    ids=lambda one: one.name,
)
@EXAMPLES
@given(data=st.data())
def test_every_implementation_obeys_the_law_that(law, implementation, data):
    situation = data.draw(law.situations(implementation))
    try:
        law.check(implementation.call, situation)
    except UnsupportedCaseError:
        reject()


def as_implementation(name: str, kernel: Kernel) -> Implementation:
    """The kernel, declared to support everything."""
    return replace(suite()["matmul"], name=name, fn=kernel)


def breaks(law: Law, implementation: Implementation) -> bool:
    """Whether a search as long as that of the tests finds a situation that breaks the law."""

    def broken(situation: Situation) -> bool:
        try:
            law.check(implementation.call, situation)
        except AssertionError:
            return True
        return False

    try:
        find(law.situations(implementation), broken, settings=SEARCH)
    except NoSuchExample:
        return False
    return True


@pytest.mark.parametrize(
    ("law", "fault"),
    [(law, fault) for law in LAWS for fault in law.faults],
    ids=lambda one: one if isinstance(one, str) else one.name,
)
def test_a_kernel_with_a_matching_fault_breaks_the_law_that(law, fault):
    assert breaks(law, as_implementation(fault, law.faults[fault]))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_the_formula_without_a_fault_does_not_break_the_law_that(law):
    assert not breaks(law, as_implementation("formula", formula()))


# Agreement of all with each other


def differences(results: Mapping[str, Tensor]) -> pd.DataFrame:
    """max |row - column| for every pair."""
    return pd.DataFrame(
        {
            one: {other: largest_error(found, result.double()) for other, found in results.items()}
            for one, result in results.items()
        }
    )


def assert_all_agree(kernels: Iterable[Implementation], situation: Situation) -> None:
    """Every pair, in the output and each gradient, within the sum of the two allowances."""
    call, draws = situation.start()
    upstream = draws.normal(*call.output_shape)
    _, allowed = judge(call, upstream)
    found: dict[str, dict[str, Tensor]] = {name: {} for name in QUANTITIES}
    for one in kernels:
        if one.unsupported(situation.case()) is not None:
            continue
        try:
            if Feature.BACKWARD in one.supports:
                results = call.quantities(one.call, upstream)
            else:
                results = {"output": call.output(one.call)}
        except UnsupportedCaseError:
            continue
        for quantity, tensor in results.items():
            found[quantity][one.name] = tensor

    for quantity, results in found.items():
        table = differences(results)
        assert len(table) > 1
        assert bool((table <= 2 * allowed[quantity]).all(axis=None)), (
            f"{quantity}: largest differences, where {2 * allowed[quantity]:.3g} is allowed\n"
            f"{table.to_string(float_format='{:.2g}'.format)}"
        )


@settings(max_examples=100)
@given(situation=st.one_of([situations(one) for one in NATIVE]))
def test_all_implementations_agree_with_each_other(situation):
    assert_all_agree(NATIVE, situation)


def test_a_kernel_that_agrees_with_nobody_stands_alone_in_the_matrix():
    situation = Situation(
        leading=(2,),
        query_len=5,
        key_len=7,
        head_dim=11,
        value_dim=11,
        dtype="float32",
        condition="boolean",
        mask_per_head=True,
        scale=None,
        seed=0,
    )
    stranger = as_implementation("stranger", formula(weights=without_last_keys))

    with pytest.raises(AssertionError, match="output: largest differences") as refusal:
        assert_all_agree([*NATIVE, stranger], situation)

    _, header, *rows = str(refusal.value).split("\nassert")[0].splitlines()
    names = header.split()
    table = {row.split()[0]: dict(zip(names, row.split()[1:], strict=True)) for row in rows}
    assert list(table) == names == [one.name for one in (*NATIVE, stranger)]
    far = {(a, b) for a in names for b in names if float(table[a][b]) > 1e-3}
    assert far == {(a, b) for a in names for b in names if (a == "stranger") != (b == "stranger")}
