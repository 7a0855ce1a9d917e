"""The situations that the correctness gate puts an implementation in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from implementations.case import Case, Pass

DEFAULT_DTYPES = ("float32", "float64", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class CheckCase:
    """A named situation; `leading` are the dimensions before (seq_len, head_dim).

    With `empty_rows` the boolean or float mask leaves some queries no key at all. With
    `heavy_tail` the last few keys are so large that they take most of the weight of many rows: a
    kernel that loses its last block, or does not rescale what came before it, is then wrong in any
    precision. With `full_mask` the mask
    differs between batch items and heads.
    """

    name: str
    case: Case
    leading: tuple[int, ...]
    empty_rows: bool = False
    heavy_tail: bool = False
    full_mask: bool = False
    scale: float | None = None

    @classmethod
    def from_plain(cls, row: Mapping[str, Any]) -> CheckCase:
        """Undo `dataclasses.asdict`, for a case that came from another process."""
        values = {**row, "case": Case(**row["case"]), "leading": tuple(row["leading"])}
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """The case as JSON data, named as in records."""
        row = {name.rstrip("_"): value for name, value in asdict(self.case).items()}
        del row["growth"]
        return {
            "name": self.name,
            **row,
            "leading": list(self.leading),
            "empty_rows": self.empty_rows,
            "heavy_tail": self.heavy_tail,
            "full_mask": self.full_mask,
            "scale": self.scale,
        }


def check_cases(
    dtypes: Iterable[str] = DEFAULT_DTYPES,
    *,
    device: str = "cpu",
    passes: Iterable[Pass] = ("forward_backward",),
    masks: Iterable[tuple[str, bool]] | None = None,
) -> list[CheckCase]:
    """The situations to check; `masks`, pairs of mask kind and is_causal, narrows them.

    Sizes are distinct primes, so that a transposed axis cannot pass; 3, 521 and 2053 are no
    multiples of any block in use (2 heads, 512 rows, 2048 keys) and lie beyond it.
    """
    allowed = None if masks is None else set(masks)
    found = []
    for dtype in dtypes:
        for pass_ in passes:
            for one in _situations():
                case = replace(one.case, dtype=dtype, device=device, pass_=pass_)
                if allowed is None or (case.mask, case.is_causal) in allowed:
                    found.append(replace(one, case=case))
    return found


def _situations() -> Iterator[CheckCase]:
    def situation(
        name: str,
        leading: tuple[int, ...] = (2, 3),
        empty_rows: bool = False,
        heavy_tail: bool = False,
        full_mask: bool = False,
        scale: float | None = None,
        **sizes: Any,
    ) -> CheckCase:
        values = {"seq_len": 5, "key_len": 7, "head_dim": 11, "value_dim": 11, **sizes}
        batch = math.prod(leading[:-1])
        case = Case(batch=batch, num_heads=leading[-1] if leading else 1, **values)
        return CheckCase(
            name=name,
            case=case,
            leading=leading,
            empty_rows=empty_rows,
            heavy_tail=heavy_tail,
            full_mask=full_mask,
            scale=scale,
        )

    yield situation("plain", seq_len=7)
    yield situation("single_pair", seq_len=1, key_len=1)
    yield situation("more_keys")
    yield situation("more_queries", seq_len=7, key_len=5)
    yield situation("value_dim", value_dim=13)
    yield situation("scale", scale=0.7)
    # exp overflows float32 beyond 88: only a softmax that subtracts the maximum stays finite.
    yield situation("large_scores", scale=50.0)
    yield situation("two_dimensions", leading=())
    yield situation("three_dimensions", leading=(3,))
    yield situation("five_dimensions", leading=(2, 3, 2))
    yield situation("causal", seq_len=7, is_causal=True)
    yield situation("causal_more_keys", is_causal=True)
    yield situation("causal_more_queries", seq_len=7, key_len=5, is_causal=True)
    yield situation("boolean_mask", mask="boolean")
    yield situation("float_mask", mask="float")
    yield situation("boolean_mask_per_head", mask="boolean", full_mask=True)
    yield situation("float_mask_per_head", mask="float", full_mask=True)
    yield situation("masked_rows_boolean", mask="boolean", empty_rows=True)
    yield situation("masked_rows_float", mask="float", empty_rows=True)
    one, three = (1, 1), (1, 3)
    block: dict[str, Any] = {"seq_len": 521, "key_len": 523}
    few: dict[str, Any] = {"seq_len": 67, "key_len": 2053}
    yield situation("beyond_blocks", leading=three, heavy_tail=True, **block)
    yield situation("beyond_blocks_causal", leading=one, is_causal=True, **block)
    yield situation("beyond_blocks_masked", leading=one, heavy_tail=True, mask="boolean", **block)
    yield situation("long_keys", leading=(1, 2), heavy_tail=True, **few)
    yield situation("long_keys_masked", leading=(1, 2), heavy_tail=True, mask="boolean", **few)
    yield situation(
        "long_causal", leading=one, heavy_tail=True, seq_len=2311, key_len=2053, is_causal=True
    )
