"""Sizes as models have them: powers of two, with the heads and batches that kernels branch on.

Real kernels choose their path by such sizes, so that a fault in one path shows nowhere else. The
table covers every pair of length, head_dim, batch, num_heads, condition and pass, both lengths
counted; with 1024 and 2048 of one go few of the other, for most pairs; and what a model asks that
writes one token after another. Only some rows of each are compared (`bench.checks.probes.rows`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bench.checks.situation import Area, CheckCase, Probe
from bench.checks.situations.parts import (
    BATCH_ROWS_HEADS,
    HEAVY_TAIL,
    boolean_mask,
    float_mask,
    in_memory,
    lengths,
    situation,
)

# query_len, key_len, head_dim, batch, num_heads, condition, pass, manner; by the number of scores.
ROUND_SIZES: tuple[tuple[int, int, int, int, int, str, str, str], ...] = (
    (1, 1024, 128, 1, 8, "boolean", "forward", "per_head"),
    (1, 2048, 64, 4, 1, "causal", "forward", "large_scores"),
    (1, 2048, 128, 1, 4, "float", "forward", "per_head"),
    (1, 1024, 64, 4, 3, "none", "forward", "heavy_tail"),
    (128, 128, 128, 1, 1, "none", "backward", "rows_first"),
    (4, 2048, 64, 1, 4, "none", "backward", "scale"),
    (128, 128, 80, 1, 3, "none", "backward", "faint_upstream"),
    (128, 128, 128, 1, 3, "causal", "backward", "large_scores"),
    (128, 128, 128, 1, 3, "float", "backward", "empty_rows"),
    (128, 128, 64, 1, 4, "float", "backward", "far"),
    (512, 128, 128, 1, 1, "causal", "backward", "faint_upstream"),
    (16, 2048, 64, 3, 1, "boolean", "forward", "padding"),
    (16, 1024, 64, 1, 8, "causal", "forward", "rows_first"),
    (128, 128, 128, 4, 3, "boolean", "forward", "empty_rows"),
    (256, 256, 128, 1, 3, "boolean", "backward", "per_head"),
    (256, 256, 256, 1, 3, "boolean", "forward", "large_values"),
    (256, 256, 32, 1, 4, "causal", "backward", "rows_first"),
    (512, 512, 64, 1, 1, "causal", "backward", "faint_upstream"),
    (512, 512, 128, 1, 1, "causal", "forward", "heavy_tail"),
    (512, 512, 128, 1, 1, "none", "backward", "scale"),
    (128, 128, 64, 8, 3, "boolean", "forward", "per_head"),
    (128, 128, 128, 3, 8, "float", "forward", "padding"),
    (128, 128, 64, 1, 16, "none", "forward", ""),
    (128, 1024, 64, 3, 1, "none", "forward", "heavy_tail"),
    (128, 1024, 128, 1, 3, "causal", "backward", "rows_first"),
    (1024, 128, 64, 1, 3, "causal", "forward", "large_values"),
    (128, 128, 64, 4, 8, "float", "forward", "padding"),
    (128, 128, 64, 8, 4, "causal", "backward", "heavy_tail"),
    (128, 1024, 64, 4, 1, "causal", "forward", ""),
    (256, 256, 64, 1, 8, "causal", "backward", "scale"),
    (256, 256, 128, 8, 1, "float", "forward", "far"),
    (1024, 128, 128, 4, 1, "none", "backward", ""),
    (256, 256, 64, 3, 3, "boolean", "forward", "padding"),
    (512, 512, 64, 1, 3, "float", "forward", "per_head"),
    (512, 512, 64, 3, 1, "boolean", "backward", "padding"),
    (512, 512, 96, 1, 3, "none", "backward", "faint_upstream"),
    (128, 128, 64, 8, 8, "none", "forward", "scale"),
    (128, 2048, 64, 4, 1, "none", "forward", "scale"),
    (256, 256, 64, 4, 4, "none", "forward", "rows_first"),
    (256, 256, 64, 1, 16, "causal", "forward", "large_scores"),
    (512, 512, 64, 4, 1, "none", "backward", "large_scores"),
    (512, 512, 128, 1, 4, "boolean", "forward", "rows_first"),
    (1024, 128, 64, 8, 1, "none", "forward", "large_values"),
    (1024, 1024, 128, 1, 1, "none", "forward", "scale"),
    (512, 512, 64, 1, 8, "causal", "forward", "large_scores"),
    (512, 512, 64, 8, 1, "none", "forward", "scale"),
    (2048, 128, 64, 1, 8, "none", "forward", "large_scores"),
    (2048, 128, 64, 8, 1, "none", "forward", "rows_first"),
    (128, 2048, 64, 3, 4, "causal", "forward", "heavy_tail"),
    (1024, 1024, 64, 1, 3, "causal", "backward", "heavy_tail"),
    (1024, 1024, 128, 1, 3, "none", "forward", "large_values"),
    (1024, 1024, 64, 1, 4, "float", "forward", "infinite"),
    (1024, 1024, 64, 4, 1, "none", "forward", "large_scores"),
    (2048, 2048, 64, 1, 1, "boolean", "forward", "empty_rows"),
    (2048, 2048, 64, 1, 1, "float", "backward", "rows_first"),
    (2048, 2048, 128, 1, 1, "causal", "forward", "heavy_tail"),
    (1024, 1024, 64, 1, 8, "boolean", "forward", "rows_first"),
    (2048, 2048, 64, 1, 3, "none", "forward", "heavy_tail"),
)
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
PROBES: dict[str, Probe] = {"forward": "output_rows", "backward": "rows"}


def round_sizes(dtype: str, device: str) -> Iterator[CheckCase]:
    """The table; on a CPU without its largest sizes in other dtypes than float32."""
    for query_len, key_len, head_dim, batch, num_heads, condition, pass_, manner in ROUND_SIZES:
        scores = batch * num_heads * query_len * key_len
        if device == "cpu" and scores > MOST_SCORES.get(dtype, scores):
            continue
        sizes = f"{batch}x{num_heads}x{query_len}x{key_len}x{head_dim}"
        words = [word for word in (condition, pass_, manner) if word not in ("none", "forward", "")]
        one = situation(
            AREAS.get(condition, "masks"),
            "_".join(["round", sizes, *words]),
            leading=(batch, num_heads),
            probe=PROBES[pass_],
            is_causal=condition == "causal",
            mask=condition if condition in ("boolean", "float") else "none",
            scale=0.2 if manner == "scale" else None,
            **lengths(query_len, key_len, head_dim),
        )
        prepare = PREPARED.get(manner) or PREPARED.get(f"{condition}_{manner}", ())
        yield replace(one, prepare=prepare, arrange=ARRANGED.get(manner, ()))
