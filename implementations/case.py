"""One point of the grid: the sizes and conditions under which an implementation is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Pass = Literal["forward", "forward_backward"]
MaskKind = Literal["none", "boolean", "float"]
Growth = Literal["heads", "head_dim"]

# The sizes that are equal to another one where they are not given.
DEFAULT_SIZES = {"key_len": "seq_len", "value_dim": "head_dim"}
DTYPES = ("float32", "float64", "bfloat16", "float16")
PASSES: tuple[str, ...] = get_args(Pass)
MASKS: tuple[str, ...] = get_args(MaskKind)


class CaseError(ValueError):
    """A case that does not exist; the message is one line for the user."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One point: query (batch, num_heads, seq_len, head_dim), key and value with key_len rows.

    `seq_len` is the number of queries; `key_len` defaults to it and `value_dim` to `head_dim`.
    Key and value have `num_kv_heads` heads where several query heads share one (Ainslie et al.
    2023, "GQA"), None where they have as many as query. With a `window` query i sees the keys j
    with |i - j| < window, and with `is_causal` of these only the ones that are not later.
    `growth` says how the series that the case belongs to makes d_model larger.

    Raises:
        CaseError: a negative size, a dtype, pass or mask that does not exist, heads that
            num_kv_heads does not divide, a window below 1, or a window beside a mask.

    """

    seq_len: int
    head_dim: int = 64
    batch: int = 1
    num_heads: int = 1
    num_kv_heads: int | None = None
    key_len: int = -1
    value_dim: int = -1
    dtype: str = "float32"
    device: str = "cpu"
    pass_: Pass = "forward"
    is_causal: bool = False
    mask: MaskKind = "none"
    window: int | None = None
    growth: Growth = "heads"

    def __post_init__(self) -> None:
        for name, default in DEFAULT_SIZES.items():
            if getattr(self, name) == -1:
                object.__setattr__(self, name, getattr(self, default))
        if self.num_kv_heads == self.num_heads:
            object.__setattr__(self, "num_kv_heads", None)
        for name in ("batch", "num_heads", *DEFAULT_SIZES.values(), *DEFAULT_SIZES):
            if getattr(self, name) < 0:
                raise CaseError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.num_kv_heads is not None and (
            self.num_kv_heads < 1 or self.num_heads % self.num_kv_heads
        ):
            raise CaseError(
                f"num_heads must be a multiple of num_kv_heads, got {self.num_heads} and "
                f"{self.num_kv_heads}"
            )
        if self.window is not None and self.window < 1:
            raise CaseError(f"window must be at least 1, got {self.window}")
        if self.window is not None and self.mask != "none":
            raise CaseError(f"window and mask {self.mask!r} exclude each other; give one of them")
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
    def kv_heads(self) -> int:
        """Heads of key and value."""
        return self.num_heads if self.num_kv_heads is None else self.num_kv_heads

    @property
    def is_grouped(self) -> bool:
        """Whether several query heads share the keys and values of one head."""
        return self.num_kv_heads is not None

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
        rows = self.num_heads * self.seq_len + self.kv_heads * self.key_len
        rows *= self.batch * (self.head_dim + self.value_dim)
        mask = {"none": 0, "boolean": 1, "float": size}[self.mask] * self.seq_len * self.key_len
        return rows * size * (2 if self.is_backward else 1) + mask

    @property
    def pairs(self) -> int:
        """Query-key pairs of one head that attend to each other: causal mask and window exactly.

        Row i of a top-left aligned causal mask sees min(i + 1, key_len) keys; with a window those
        below i - window + 1 are not seen, and those from i + window on neither.
        """
        later = 1 if self.is_causal else self.window
        seen = _not_beyond(self.seq_len, self.key_len, later)
        if self.window is None:
            return seen
        return seen - _not_beyond(self.seq_len, self.key_len, 1 - self.window)

    def __str__(self) -> str:
        """A short description for people: `n=128 d=256 (4x64) float32 forward causal`."""
        words = (
            f"n={self.seq_len}",
            f"key_len={self.key_len}" if self.key_len != self.seq_len else "",
            f"d={self.d_model} ({self.num_heads}x{self.head_dim})",
            f"kv_heads={self.kv_heads}" if self.is_grouped else "",
            f"value_dim={self.value_dim}" if self.value_dim != self.head_dim else "",
            f"batch={self.batch}" if self.batch != 1 else "",
            self.dtype,
            self.pass_,
            self.device if self.device != "cpu" else "",
            "causal" if self.is_causal else "",
            f"window={self.window}" if self.window is not None else "",
            f"{self.mask} mask" if self.mask != "none" else "",
        )
        return " ".join(filter(None, words))


def _not_beyond(rows: int, columns: int, ahead: int | None) -> int:
    """Pairs (i, j) with j < i + ahead, of so many rows i and columns j; all pairs for None."""
    if ahead is None:
        return rows * columns
    first, last = max(0, -ahead + 1), min(rows, max(0, columns - ahead + 1))
    # Rows first..last - 1 see 1.. columns of them, one more a row; those after see all.
    first = min(first, last)
    rising = (last - first) * (2 * ahead + first + last - 1) // 2
    return rising + (rows - last) * columns


def useful_flops(case: Case) -> int:
    """Operations that the formula needs, however an implementation gets there.

    Forward 2 · pairs · (head_dim + value_dim) per head, the pairs counted exactly under a causal
    mask and a window; the backward pass needs twice that again. What an implementation recomputes
    is not useful and not counted (the convention of Dao et al. 2022).
    """
    forward = 2 * case.batch * case.num_heads * case.pairs * (case.head_dim + case.value_dim)
    return 3 * forward if case.is_backward else forward
