"""Sizes as models have them: powers of two, with the heads and batches that kernels branch on.

Real kernels choose their path by such sizes, so that a fault in one path shows nowhere else. The
table covers every pair of length, head_dim, batch, num_heads, condition and pass, both lengths
counted; with 1024 and 2048 of one go few of the other, for most pairs; and what a model asks that
writes one token after another. Only some rows of each are compared (`bench.checks.probes.rows`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bench.checks.situation import Area, CheckCase
from bench.checks.situations.parts import (
    BATCH_ROWS_HEADS,
    HEAVY_TAIL,
    boolean_mask,
    float_mask,
    in_memory,
    lengths,
    situation,
)

# batch x num_heads x query_len x key_len x head_dim, the condition, the pass if it is backward, and
# the manner; by the number of scores.
# fmt: off
ROUND_SIZES = (
    "1x8x1x1024x128 boolean per_head", "4x1x1x2048x64 causal large_scores",
    "1x4x1x2048x128 float per_head", "4x3x1x1024x64 heavy_tail",
    "1x1x128x128x128 backward rows_first", "1x4x4x2048x64 backward scale",
    "1x3x128x128x80 backward faint_upstream", "1x3x128x128x128 causal backward large_scores",
    "1x3x128x128x128 float backward empty_rows", "1x4x128x128x64 float backward far",
    "1x1x512x128x128 causal backward faint_upstream", "3x1x16x2048x64 boolean padding",
    "1x8x16x1024x64 causal rows_first", "4x3x128x128x128 boolean empty_rows",
    "1x3x256x256x128 boolean backward per_head", "1x3x256x256x256 boolean large_values",
    "1x4x256x256x32 causal backward rows_first", "1x1x512x512x64 causal backward faint_upstream",
    "1x1x512x512x128 causal heavy_tail", "1x1x512x512x128 backward scale",
    "8x3x128x128x64 boolean per_head", "3x8x128x128x128 float padding", "1x16x128x128x64",
    "3x1x128x1024x64 heavy_tail", "1x3x128x1024x128 causal backward rows_first",
    "1x3x1024x128x64 causal large_values", "4x8x128x128x64 float padding",
    "8x4x128x128x64 causal backward heavy_tail", "4x1x128x1024x64 causal",
    "1x8x256x256x64 causal backward scale", "8x1x256x256x128 float far",
    "4x1x1024x128x128 backward", "3x3x256x256x64 boolean padding", "1x3x512x512x64 float per_head",
    "3x1x512x512x64 boolean backward padding", "1x3x512x512x96 backward faint_upstream",
    "8x8x128x128x64 scale", "4x1x128x2048x64 scale", "4x4x256x256x64 rows_first",
    "1x16x256x256x64 causal large_scores", "4x1x512x512x64 backward large_scores",
    "1x4x512x512x128 boolean rows_first", "8x1x1024x128x64 large_values", "1x1x1024x1024x128 scale",
    "1x8x512x512x64 causal large_scores", "8x1x512x512x64 scale", "1x8x2048x128x64 large_scores",
    "8x1x2048x128x64 rows_first", "3x4x128x2048x64 causal heavy_tail",
    "1x3x1024x1024x64 causal backward heavy_tail", "1x3x1024x1024x128 large_values",
    "1x4x1024x1024x64 float infinite", "4x1x1024x1024x64 large_scores",
    "1x1x2048x2048x64 boolean empty_rows", "1x1x2048x2048x64 float backward rows_first",
    "1x1x2048x2048x128 causal heavy_tail", "1x8x1024x1024x64 boolean rows_first",
    "1x3x2048x2048x64 heavy_tail",
)
# fmt: on
CONDITIONS = ("causal", "boolean", "float")
# The most scores on a CPU: those without instructions for half precision take a hundred times as
# long for it, float64 takes twice as long, and a fault of sizes shows in float32 too.
MOST_SCORES = {"float64": 2**21, "bfloat16": 2**19, "float16": 2**19}
AREAS: dict[str, Area] = {"none": "shapes", "causal": "causal"}
# What else may differ: memory as a projection leaves it, a heavy tail, a mask that broadcasts, and
# numbers that ask for care: who takes another path at such sizes may have forgotten it there.
ARRANGED = {"rows_first": (in_memory(f"t.{BATCH_ROWS_HEADS}"),)}
PADDING, PER_HEAD = "query.shape[0], 1, 1, key.shape[-2]", "*query.shape[:-1], key.shape[-2]"
PREPARED: dict[str, tuple[str, ...]] = {
    "heavy_tail": (HEAVY_TAIL,),
    "large_scores": ("query *= 30",),
    "large_values": ("value *= 1000",),
    "faint_upstream": ("grad_output *= 2.0**-30",),
    "float_far": ("attn_mask[..., 1::3] = -1e4", "attn_mask[..., :1] = 0.5"),
    "float_infinite": ("attn_mask[..., 1::3] = -torch.inf", "attn_mask[..., :1] = 0.5"),
    "float_empty_rows": ("attn_mask[..., ::2, :] = -torch.inf",),
    "boolean_empty_rows": ("attn_mask[..., ::2, :] = False",),
    "boolean_padding": boolean_mask(PADDING),
    "boolean_per_head": boolean_mask(PER_HEAD),
    "float_padding": (float_mask(PADDING),),
    "float_per_head": (float_mask(PER_HEAD),),
}


def round_sizes(dtype: str, device: str) -> Iterator[CheckCase]:
    """The table; on a CPU without its largest sizes in other dtypes than float32."""
    for row in ROUND_SIZES:
        sizes, *words = row.split()
        batch, num_heads, query_len, key_len, head_dim = map(int, sizes.split("x"))
        scores = batch * num_heads * query_len * key_len
        if device == "cpu" and scores > MOST_SCORES.get(dtype, scores):
            continue
        condition = next((word for word in words if word in CONDITIONS), "none")
        manner = next((word for word in words if word not in (*CONDITIONS, "backward")), "")
        one = situation(
            AREAS.get(condition, "masks"),
            "_".join(["round", sizes, *words]),
            leading=(batch, num_heads),
            probe="rows" if "backward" in words else "output_rows",
            is_causal=condition == "causal",
            mask=condition if condition in ("boolean", "float") else "none",
            scale=0.2 if manner == "scale" else None,
            **lengths(query_len, key_len, head_dim),
        )
        prepare = PREPARED.get(manner) or PREPARED.get(f"{condition}_{manner}", ())
        yield replace(one, prepare=prepare, arrange=ARRANGED.get(manner, ()))
