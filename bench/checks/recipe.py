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
from bench.timing.inputs import KEPT_FRACTION, Inputs, LayerInputs
from implementations.naming import Layout


def source(case: CheckCase, *, seed: int, layout: Layout = "bhsd") -> list[str]:
    """Statements that leave query, key, value, grad_output and attn_mask behind; torch is known.

    Those of a layer's situation leave x, memory, grad_output and attn_mask. With layout `bshd` a
    core's tensors keep their shapes, and lie in memory as (batch, rows, heads, features).
    """
    one = case.case
    # Drawn in float32, a tensor would hide that somebody rounds it to float32.
    exact = ", dtype=torch.float64" if one.dtype == "float64" else ""
    shapes = _shapes(case)
    lines = [
        f"generator = torch.Generator().manual_seed({seed})",
        *(
            f"{name} = torch.randn({shape}, generator=generator{exact})"
            for name, shape in shapes.items()
        ),
        *_mask(case, exact),
        *case.prepare,
    ]
    names = ", ".join(shapes)
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
    return Inputs(**_left_behind(case, seed, layout))


def build_for_layer(case: CheckCase, *, seed: int, needs_memory: bool) -> LayerInputs:
    """The same for a layer's situation; a layer that needs no memory gets none."""
    tensors = _left_behind(case, seed, "bhsd")
    return LayerInputs(**{**tensors, "memory": tensors["memory"] if needs_memory else None})


def _left_behind(case: CheckCase, seed: int, layout: Layout) -> dict[str, Any]:
    found: dict[str, Any] = {"torch": torch, "attn_mask": None}
    exec(_compiled(case, seed, layout), found)
    return {name: found[name] for name in (*_shapes(case), "attn_mask")}


def _shapes(case: CheckCase) -> dict[str, str]:
    """By name, the shapes of what is drawn, in this order."""
    one = case.case
    if case.kind == "layer":
        x = f"{one.batch}, {one.seq_len}, {one.d_model}"
        memory = f"{one.batch}, {one.key_len}, {one.d_model}"
        return {"x": x, "memory": memory, "grad_output": x}

    def shape(leading: tuple[int, ...], *sizes: int) -> str:
        return ", ".join(map(str, (*leading, *sizes)))

    return {
        "query": shape(case.leading, one.seq_len, one.head_dim),
        "key": shape(case.leading_of_keys, one.key_len, one.head_dim),
        "value": shape(case.leading_of_keys, one.key_len, one.value_dim),
        "grad_output": shape(case.leading, one.seq_len, one.value_dim),
    }


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
