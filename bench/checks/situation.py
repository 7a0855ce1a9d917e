"""One thing to ask of an implementation: a case, a recipe for its inputs, and a probe. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from implementations.case import Case

# fmt: off
Area = Literal[
    "shapes", "scores", "causal", "masks", "windows", "memory",
    "gradients", "state", "dropout", "properties", "agreement",
]
Probe = Literal[
    "values", "output", "rows", "output_rows", "asking", "mask_gradient",
    "state", "dropout", "properties", "scaling", "agreement", "layer",
]
# fmt: on
AREAS: tuple[Area, ...] = get_args(Area)


@dataclass(frozen=True, kw_only=True)
class CheckCase:
    """A named situation; `leading` are the dimensions before (seq_len, head_dim).

    `prepare` are statements on query, key, value (of a layer: x and memory), grad_output and
    attn_mask in float32, before they are rounded to the case's dtype; `arrange` are statements on
    them afterwards, as they lie in memory. `dropout_p` is the rate that the dropout probe asks for.
    """

    name: str
    area: Area
    case: Case
    leading: tuple[int, ...]
    probe: Probe = "values"
    prepare: tuple[str, ...] = ()
    arrange: tuple[str, ...] = ()
    scale: float | None = None
    dropout_p: float = 0.0

    @classmethod
    def from_plain(cls, row: Mapping[str, Any]) -> CheckCase:
        """Undo `dataclasses.asdict`, for a case that came from another process."""
        lists = {name: tuple(row[name]) for name in ("leading", "prepare", "arrange")}
        return cls(**{**row, **lists, "case": Case(**row["case"])})

    def to_dict(self) -> dict[str, Any]:
        """The case as JSON data, named as in records; the recipe is left out."""
        row = {name.rstrip("_"): value for name, value in asdict(self.case).items()}
        del row["growth"]
        return {
            "name": self.name,
            "area": self.area,
            **row,
            "leading": list(self.leading),
            "scale": self.scale,
            "dropout_p": self.dropout_p,
        }

    @property
    def kind(self) -> str:
        """Which kind of implementation is asked: `core` or `layer`."""
        return "layer" if self.probe == "layer" else "core"

    @property
    def size(self) -> int:
        """Elements of query, key, value and scores."""
        one = self.case
        rows = one.seq_len * (one.key_len + one.head_dim) + one.key_len * one.value_dim
        return math.prod(self.leading) * (rows + one.key_len * one.head_dim)

    @property
    def leading_of_keys(self) -> tuple[int, ...]:
        """The dimensions of key and value before (key_len, columns)."""
        return (*self.leading[:-1], self.case.kv_heads) if self.leading else ()

    @property
    def effort(self) -> tuple[bool, bool, int]:
        """How much it takes to think the situation through: empty and odd shapes come last."""
        empty = 0 in (*self.leading, self.case.seq_len, self.case.key_len)
        return empty, len(self.leading) != 2, self.size

    def under(self, **conditions: Any) -> CheckCase:
        """The same situation with another dtype, mask or pass, to name some."""
        return replace(self, case=replace(self.case, **conditions))

    def resized(self, **changes: Any) -> CheckCase:
        """The same situation with other sizes; `leading` sets batch and heads too.

        As many heads share one of keys as before, or as can.
        """
        leading = tuple(changes.pop("leading", self.leading))
        heads = batch_and_heads(leading)
        if self.case.num_kv_heads is not None:
            heads["num_kv_heads"] = math.gcd(heads["num_heads"], self.case.num_kv_heads)
        case = replace(self.case, **changes, **heads)
        return replace(self, case=case, leading=leading)


def batch_and_heads(leading: tuple[int, ...]) -> dict[str, Any]:
    """What leading dimensions are called in a case: the last one heads, the product batch."""
    heads = leading[-1] if leading else 1
    return {"batch": math.prod(leading[:-1]), "num_heads": heads}
