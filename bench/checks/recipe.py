"""Makes the inputs of a situation by running its recipe, and writes the recipe out for people.

One text serves both: what a failing check prints is what the gate ran.
"""

from __future__ import annotations

from functools import lru_cache
from types import CodeType
from typing import Any

import torch

from bench.checks.situation import CheckCase
from bench.checks.situations.parts import BATCH_ROWS_HEADS, EVERY_ROW_KEEPS_A_KEY
from bench.timing.inputs import KEPT_FRACTION, Inputs
from implementations.interface import Layout


def source(case: CheckCase, *, seed: int, layout: Layout = "bhsd") -> list[str]:
    """Statements that leave query, key, value, grad_output and attn_mask behind; torch is known.

    With layout `bshd` the tensors keep their shapes, and lie in memory as (batch, rows, heads,
    features).
    """
    one = case.case
    # Drawn in float32, a tensor would hide that somebody rounds it to float32.
    exact = ", dtype=torch.float64" if one.dtype == "float64" else ""

    def draw(name: str, leading: tuple[int, ...], *sizes: int) -> str:
        shape = ", ".join(map(str, (*leading, *sizes)))
        return f"{name} = torch.randn({shape}, generator=generator{exact})"

    lines = [
        f"generator = torch.Generator().manual_seed({seed})",
        draw("query", case.leading, one.seq_len, one.head_dim),
        draw("key", case.leading_of_keys, one.key_len, one.head_dim),
        draw("value", case.leading_of_keys, one.key_len, one.value_dim),
        draw("grad_output", case.leading, one.seq_len, one.value_dim),
        *_mask(case, exact),
        *case.prepare,
    ]
    names = "query, key, value, grad_output"
    if one.dtype in ("bfloat16", "float16"):
        lines.append(f"{names} = (t.to(torch.{one.dtype}) for t in ({names}))")
    if one.mask == "float" and one.dtype != "float32":
        lines.append(f"attn_mask = attn_mask.to(torch.{one.dtype})")
    if one.device != "cpu":
        lines.append(f"{names} = (t.to({one.device!r}) for t in ({names}))")
        if one.mask != "none":
            lines.append(f"attn_mask = attn_mask.to({one.device!r})")
    if layout == "bshd" and len(case.leading) == 2:
        lines.append(f"{names} = (t.{BATCH_ROWS_HEADS} for t in ({names}))")
    return [*lines, *case.arrange]


def build(case: CheckCase, *, seed: int, layout: Layout = "bhsd") -> Inputs:
    """The tensors that the recipe leaves behind, new ones at each call."""
    found: dict[str, Any] = {"torch": torch, "attn_mask": None}
    exec(_compiled(case, seed, layout), found)
    tensors = {name: found[name] for name in ("query", "key", "value", "grad_output")}
    return Inputs(**tensors, attn_mask=found["attn_mask"])


@lru_cache(maxsize=1024)
def _compiled(case: CheckCase, seed: int, layout: Layout) -> CodeType:
    return compile("\n".join(source(case, seed=seed, layout=layout)), case.name, "exec")


def _mask(case: CheckCase, exact: str) -> list[str]:
    rows, columns = case.case.seq_len, case.case.key_len
    if case.case.mask == "boolean":
        kept = f"attn_mask = torch.rand({rows}, {columns}, generator=generator) < {KEPT_FRACTION}"
        return [kept, EVERY_ROW_KEEPS_A_KEY]
    if case.case.mask == "float":
        return [f"attn_mask = torch.randn({rows}, {columns}, generator=generator{exact})"]
    return []
