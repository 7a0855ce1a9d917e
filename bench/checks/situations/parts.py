"""What the modules of situations are written with: one situation, lengths, common statements."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from bench.checks.situation import Area, CheckCase, batch_and_heads
from implementations.case import Case

# The keys that a kernel meets last take most of the weight: one that loses its last block, or does
# not rescale what came before it, is then wrong in any precision. No more of them than blocks leave
# over at 523 and 2053 keys.
HEAVY_TAIL = "key[..., -5:, :] *= 4"
EVERY_ROW_KEEPS_A_KEY = "attn_mask[..., :1] = True"
BOOLEAN: dict[str, Any] = {"mask": "boolean"}
BATCH_ROWS_HEADS = "transpose(-3, -2).contiguous().transpose(-3, -2)"


def situation(
    area: Area,
    name: str,
    *recipe: str,
    leading: tuple[int, ...] = (2, 3),
    **values: Any,
) -> CheckCase:
    """A situation of 5 queries and 7 keys of 11 features unless `values` says otherwise."""
    own = {field.name for field in fields(CheckCase)} & values.keys()
    given: dict[str, Any] = {key: values.pop(key) for key in own}
    sizes: dict[str, Any] = {"seq_len": 5, "key_len": 7, "head_dim": 11, "value_dim": 11, **values}
    case = Case(**batch_and_heads(leading), **sizes)
    given["arrange" if area == "memory" else "prepare"] = recipe
    return CheckCase(name=name, area=area, case=case, leading=leading, **given)


def lengths(query_len: int, key_len: int, head_dim: int = 64) -> dict[str, Any]:
    """Two lengths around a block, with a head that kernels are written for."""
    sizes: dict[str, Any] = {"seq_len": query_len, "key_len": key_len}
    return {**sizes, "head_dim": head_dim, "value_dim": head_dim}


def in_memory(expression: str) -> str:
    """A statement that lays query, key and value out, each called t, in another way."""
    return f"query, key, value = ({expression} for t in (query, key, value))"


def boolean_mask(shape: str) -> tuple[str, str]:
    """Statements that draw a boolean mask of another shape."""
    return f"attn_mask = torch.rand({shape}, generator=generator) < 0.8", EVERY_ROW_KEEPS_A_KEY


def float_mask(shape: str) -> str:
    """A statement that draws a float mask of another shape."""
    return f"attn_mask = torch.randn({shape}, generator=generator)"
