"""What a file must declare to be an implementation, and how the suite calls it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, Literal, TypedDict, Unpack

from torch import Tensor, nn

from implementations.case import DTYPES, Case, useful_flops
from implementations.naming import Layout
from implementations.oracle import Oracle, full_mask, softmax_attention

Kind = Literal["core", "layer"]


class Options(TypedDict, total=False):
    """The keywords of a core, for those that pass them on; absent means None, 0.0 and False."""

    attn_mask: Tensor | None
    dropout_p: float
    is_causal: bool
    scale: float | None


AttentionFunction = Callable[..., Tensor]
"""The signature of `torch.nn.functional.scaled_dot_product_attention`.

It maps query (..., query_len, head_dim), key and value to output (..., query_len, value_dim), with
the keywords of `Options`. One that supports `GROUPED` takes `enable_gqa` besides, one that supports
`WINDOW` takes `window` (see `Case`).
"""


class Feature(StrEnum):
    """What an implementation can do beyond the plain forward call."""

    BACKWARD = "backward"
    CAUSAL = "causal"
    BOOLEAN_MASK = "boolean_mask"
    FLOAT_MASK = "float_mask"
    CROSS_LENGTH = "cross_length"
    VALUE_DIM = "value_dim"
    LEADING_DIMS = "leading_dims"
    SCALE = "scale"
    DROPOUT = "dropout"
    GROUPED = "grouped_queries"
    WINDOW = "window"


ALL_FEATURES = frozenset(Feature) - {Feature.GROUPED, Feature.WINDOW}
"""What the keywords of every core allow; the others have keywords of their own."""


LayerOracle = Callable[[Mapping[str, Tensor], Tensor, Tensor | None, Tensor | None, Case], Tensor]
"""(parameters, x, memory, attn_mask, case) -> output: the formula of a layer, differentiable.

Parameters have the names that the module gives them; all are in the dtype of x.
"""


def no_core(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Stand for the function of a core in a layer, which is built instead."""
    raise TypeError("a layer has no function of query, key and value; build it for a case")


class UnsupportedCaseError(RuntimeError):
    """An implementation was asked for something it declines; the message is the reason."""


@dataclass(frozen=True, kw_only=True)
class Implementation:
    """One way to compute attention, with the laws it claims.

    `time_law` and `workspace_law` are laws in n (seq_len) and d (d_model), such as `n^2*d`.
    `declines` may give the reason why a case cannot be run, for what `supports`, `dtypes` and
    `devices` cannot express. `oracle` is the float64 reference.
    `unmeasured_workspace` says why the tensor allocator does not see the memory that the
    implementation uses, if it does not. `spec` is what loads it again in another process.
    `layout` is how inputs lie in memory, whatever their shape: `bshd` for a kernel that takes
    (batch, seq_len, num_heads, head_dim) behind this signature. Where `declared` is False,
    `supports` is only what the signature suggests, and a refusal is not held against it.
    `compilations` says how often it has compiled in this process, if it compiles each kind of call
    in its first one: that takes seconds, so that such an implementation has to be named.
    `expected_kernel` is a part of the name of torch's operator that it pins, such as
    `flash_attention` or `math`; without one any but the math formula is expected, if torch chooses.

    A layer declares `build` in place of `fn`: the module for a case, which maps x (batch, seq_len,
    d_model) to the same shape, as `module(x, attn_mask=…, is_causal=…)` with the keywords that it
    supports, and as `module(x, memory)` with memory (batch, key_len, d_model) where it
    `needs_memory`. Its parameters are the same at every build. `layer_oracle` is its reference.
    `scores_pairs`: the formula needs a score of every query and key, as linear attention does not.
    """

    name: str
    title: str
    source: str
    time_law: str
    workspace_law: str
    fn: AttentionFunction = no_core
    supports: frozenset[Feature] = ALL_FEATURES
    kind: Kind = "core"
    dtypes: tuple[str, ...] = DTYPES
    devices: tuple[str, ...] = ("cpu", "cuda")
    declines: Callable[[Case], str | None] | None = None
    oracle: Oracle = softmax_attention
    unmeasured_workspace: str | None = None
    spec: str = ""
    layout: Layout = "bhsd"
    declared: bool = True
    compilations: Callable[[], int] | None = None
    expected_kernel: str | None = None
    build: Callable[[Case], nn.Module] | None = None
    layer_oracle: LayerOracle | None = None
    needs_memory: bool = False
    scores_pairs: bool = True

    @property
    def compiles(self) -> bool:
        """Whether the first call of every size takes seconds."""
        return self.compilations is not None

    def unsupported(self, case: Case) -> str | None:
        """The reason why this implementation does not take the case, or None if it does."""
        if case.device_type not in self.devices:
            return f"{self.name} runs on {' and '.join(self.devices)} only"
        if case.dtype not in self.dtypes:
            return f"{self.name} does not take {case.dtype}"
        if self.kind == "layer" and not self.needs_memory and case.key_len != case.seq_len:
            return f"{self.name} takes no memory of another length"
        needed = {
            Feature.BACKWARD: case.is_backward,
            Feature.CAUSAL: case.is_causal,
            Feature.BOOLEAN_MASK: case.mask == "boolean",
            Feature.FLOAT_MASK: case.mask == "float",
            Feature.CROSS_LENGTH: case.key_len != case.seq_len,
            Feature.VALUE_DIM: case.value_dim != case.head_dim,
            Feature.GROUPED: case.is_grouped,
            Feature.WINDOW: case.window is not None and not self.takes_window_as_mask,
        }
        for feature, is_needed in needed.items():
            if is_needed and feature not in self.supports:
                return f"{self.name} does not support {feature}"
        return self.declines(case) if self.declines else None

    def useful_flops(self, case: Case) -> int | None:
        """The operations that the formula needs; None of a layer, and where no pair has a score."""
        return useful_flops(case) if self.kind == "core" and self.scores_pairs else None

    @property
    def takes_window_as_mask(self) -> bool:
        """Whether a window is a boolean mask to it: a band of a product over all pairs."""
        return Feature.WINDOW not in self.supports and Feature.BOOLEAN_MASK in self.supports

    def keywords(
        self, case: Case, query: Tensor, key: Tensor, attn_mask: Tensor | None
    ) -> dict[str, Any]:
        """The keywords that ask for the case; a window becomes a mask where only that is taken."""
        if case.window is not None and self.takes_window_as_mask:
            band = full_mask(query, key, None, case.is_causal, case.window)
            return {"attn_mask": band, "enable_gqa": case.is_grouped}
        return {
            "attn_mask": attn_mask,
            "is_causal": case.is_causal,
            "enable_gqa": case.is_grouped,
            "window": case.window,
        }

    def bound(self, query: Tensor, key: Tensor, value: Tensor, **keywords: Any) -> partial[Tensor]:
        """`fn` with its arguments; keywords that are None or False, their defaults, are left out.

        A kernel that knows no masks can then be checked and timed without one.
        """
        return partial(self.fn, query, key, value, **given(keywords))

    def call(self, query: Tensor, key: Tensor, value: Tensor, **keywords: Any) -> Tensor:
        """Call `fn` as `bound` does."""
        return self.bound(query, key, value, **keywords)()


def given(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords but those that are None or False, their defaults."""
    return {name: one for name, one in keywords.items() if one is not None and one is not False}
