"""One point of the grid: the sizes and conditions under which an implementation is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Pass = Literal["forward", "forward_backward"]
MaskKind = Literal["none", "boolean", "float"]
Growth = Literal["heads", "head_dim"]

DTYPES = ("float32", "float64", "bfloat16", "float16")
PASSES: tuple[str, ...] = get_args(Pass)
MASKS: tuple[str, ...] = get_args(MaskKind)


class CaseError(ValueError):
    """A case that does not exist; the message is one line for the user."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One point: query (batch, num_heads, seq_len, head_dim), key and value with key_len rows.

    `seq_len` is the number of queries; `key_len` defaults to it and `value_dim` to `head_dim`.
    `growth` says how the series that the case belongs to makes d_model larger.

    Raises:
        CaseError: a negative size, or a dtype, pass or mask that does not exist.

    """

    seq_len: int
    head_dim: int = 64
    batch: int = 1
    num_heads: int = 1
    key_len: int = -1
    value_dim: int = -1
    dtype: str = "float32"
    device: str = "cpu"
    pass_: Pass = "forward"
    is_causal: bool = False
    mask: MaskKind = "none"
    growth: Growth = "heads"

    def __post_init__(self) -> None:
        if self.key_len == -1:
            object.__setattr__(self, "key_len", self.seq_len)
        if self.value_dim == -1:
            object.__setattr__(self, "value_dim", self.head_dim)
        for name in ("batch", "num_heads", "seq_len", "key_len", "head_dim", "value_dim"):
            if getattr(self, name) < 0:
                raise CaseError(f"{name} must not be negative, got {getattr(self, name)}")
        for name, value, choices in (
            ("dtype", self.dtype, DTYPES),
            ("pass", self.pass_, PASSES),
            ("mask", self.mask, MASKS),
        ):
            if value not in choices:
                raise CaseError(f"{name} must be one of {', '.join(choices)}; got {value!r}")

    @property
    def d_model(self) -> int:
        """Model width: num_heads * head_dim."""
        return self.num_heads * self.head_dim

    @property
    def is_backward(self) -> bool:
        """Whether gradients are computed too."""
        return self.pass_ == "forward_backward"

    @property
    def device_type(self) -> str:
        """`cpu` or `cuda`, without the index."""
        return self.device.partition(":")[0]

    @property
    def tensor_bytes(self) -> int:
        """Bytes of inputs, mask, output and, with a backward pass, gradients."""
        size = {"float64": 8, "float32": 4}.get(self.dtype, 2)
        heads = self.batch * self.num_heads
        rows = heads * (self.seq_len + self.key_len) * (self.head_dim + self.value_dim)
        mask = {"none": 0, "boolean": 1, "float": size}[self.mask] * self.seq_len * self.key_len
        return rows * size * (2 if self.is_backward else 1) + mask

    @property
    def pairs(self) -> int:
        """Query-key pairs of one head that attend to each other, the causal mask counted exactly.

        Row i of a top-left aligned causal mask sees min(i + 1, key_len) keys.
        """
        if not self.is_causal:
            return self.seq_len * self.key_len
        triangle = min(self.seq_len, self.key_len)
        return triangle * (triangle + 1) // 2 + (self.seq_len - triangle) * self.key_len

    def __str__(self) -> str:
        """A short description for people: `n=128 d=256 (4x64) float32 forward causal`."""
        words = (
            f"n={self.seq_len}",
            f"key_len={self.key_len}" if self.key_len != self.seq_len else "",
            f"d={self.d_model} ({self.num_heads}x{self.head_dim})",
            f"value_dim={self.value_dim}" if self.value_dim != self.head_dim else "",
            f"batch={self.batch}" if self.batch != 1 else "",
            self.dtype,
            self.pass_,
            self.device if self.device != "cpu" else "",
            "causal" if self.is_causal else "",
            f"{self.mask} mask" if self.mask != "none" else "",
        )
        return " ".join(filter(None, words))


def useful_flops(case: Case) -> int:
    """Operations that the formula needs, however an implementation gets there.

    Forward 2 · pairs · (head_dim + value_dim) per head, the pairs counted exactly under a causal
    mask; the backward pass needs twice that again. What an implementation recomputes is not
    useful and not counted (the convention of Dao et al. 2022).
    """
    forward = 2 * case.batch * case.num_heads * case.pairs * (case.head_dim + case.value_dim)
    return 3 * forward if case.is_backward else forward
