"""Drawn situations of attention, a call of a kernel in one, and what its answer is allowed."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from hypothesis import assume
from hypothesis import strategies as st
from torch import Tensor

from implementations.case import Case
from implementations.interface import Feature, Implementation, UnsupportedCaseError
from implementations.masking import resolve_scale
from implementations.oracle import (
    QUANTITIES,
    Oracle,
    evaluate,
    full_mask,
    largest_error,
    reference,
    softmax_attention,
)

CONDITIONS: Mapping[str, frozenset[Feature]] = {
    "none": frozenset(),
    "causal": frozenset({Feature.CAUSAL}),
    "boolean": frozenset({Feature.BOOLEAN_MASK}),
    "float": frozenset({Feature.FLOAT_MASK}),
}
WITHOUT_ORDER = ("none", "boolean", "float")
MASKED = ("boolean", "float")
# Multiples of 1/16 up to 31/16 have 5 bits, so that what is made of a few of them is exact even in
# the 8 bits of bfloat16.
GRID, GRID_STEPS = 16, 31
# Larger ones show no more, where blocks have a few rows and keys.
LONGEST, MOST_ITEMS = 13, 9
NOTHING = ({"query_len": 0}, {"key_len": 0}, {"leading": (0, 3)}, {"leading": (2, 0)})
HUGE = 1e30  # its products with ordinary numbers are still finite in float32 and bfloat16

Kernel = Callable[..., Tensor]


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
    oracle: Oracle = softmax_attention

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
    oracle: Oracle = softmax_attention

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
            oracle=self.oracle,
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
    `empty` is for kernels only that take empty inputs, `only_products` for scores that are dot
    products. The name is that of the check where none is
    given. Each of `faults` is a kernel that breaks the law.
    """

    check: Callable[[Kernel, Situation], None]
    name: str = ""
    conditions: tuple[str, ...] = tuple(CONDITIONS)
    smallest: int = 1
    smallest_items: int = 0
    empty: bool = False
    only_products: bool = False
    needs: frozenset[Feature] = frozenset()
    faults: Mapping[str, Kernel]

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.check.__name__)

    def __repr__(self) -> str:
        return self.name

    def concerns(self, implementation: Implementation) -> bool:
        able = takes_empty(implementation) or not self.empty
        able &= implementation.oracle is softmax_attention or not self.only_products
        masked = any(CONDITIONS[one] <= implementation.supports for one in self.conditions)
        return able and masked and self.needs <= implementation.supports

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
    conditions: tuple[str, ...] = tuple(CONDITIONS),
    smallest: int = 0,
    smallest_items: int = 0,
) -> Situation:
    """Situations that the implementation supports."""
    supports = implementation.supports
    able = [one for one in conditions if CONDITIONS[one] <= supports]
    fewest, most = (0, 3) if Feature.LEADING_DIMS in supports else (2, 2)
    leading = st.lists(st.integers(smallest, 3), min_size=fewest, max_size=most)
    head_dim = draw(st.integers(1, 16))
    situation = Situation(
        leading=tuple(
            draw(leading.filter(lambda sizes: smallest_items <= math.prod(sizes) <= MOST_ITEMS))
        ),
        query_len=draw(st.integers(smallest, LONGEST)),
        key_len=draw(st.integers(smallest, LONGEST)),
        head_dim=head_dim,
        value_dim=draw(st.integers(1, 16)) if Feature.VALUE_DIM in supports else head_dim,
        dtype=draw(st.sampled_from(("float32", "float64", "bfloat16"))),
        condition=draw(st.sampled_from(able)),
        mask_per_head=draw(st.booleans()),
        scale=draw(st.sampled_from((None, 0.3, 1.7))) if Feature.SCALE in supports else None,
        seed=draw(st.integers(0, 2**16)),
        oracle=implementation.oracle,
    )
    assume(implementation.unsupported(situation.case()) is None)
    return situation


def judge(call: Call, upstream: Tensor | None = None) -> tuple[dict[str, Tensor], dict[str, float]]:
    """The exact values, and how far from them a right kernel may be, by quantity.

    Without an upstream gradient, of the output alone.
    """
    inputs = (call.query, call.key, call.value)
    exact = reference(*inputs, **call.keywords, grad_output=upstream, oracle=call.oracle)
    scale = resolve_scale(call.query, call.scale)
    baseline = evaluate(call.oracle, *inputs, call.mask, scale, upstream)
    step = torch.finfo(call.query.dtype).eps
    terms = sum(call.query.shape[-2:]) + sum(call.value.shape[-2:])
    allowed = {}
    for name, magnitude in exact.magnitudes.items():
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
