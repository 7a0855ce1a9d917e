"""Sizes as models have them: powers of two, with the heads and batches that kernels branch on.

Real kernels choose their path by such sizes, so that a fault in one path shows nowhere else. The
table covers every pair of length, head_dim, batch, num_heads, condition and pass, both lengths
counted; of 1024 and 2048, where most pairs take long or few queries, or few keys, and what a model
asks when it writes one token after another. Only some rows of each are compared
(`bench.probes.rows`).
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.check_case import Area, CheckCase, Probe
from bench.situations.parts import lengths, situation

# query_len, key_len, head_dim, batch, num_heads, condition, pass; by the number of scores.
ROUND_SIZES: tuple[tuple[int, int, int, int, int, str, str], ...] = (
    (1, 1024, 128, 1, 8, "boolean", "forward"),
    (1, 2048, 64, 4, 1, "causal", "forward"),
    (1, 2048, 128, 1, 4, "float", "forward"),
    (1, 1024, 64, 4, 3, "none", "forward"),
    (128, 128, 128, 1, 1, "none", "backward"),
    (4, 2048, 64, 1, 4, "none", "backward"),
    (128, 128, 128, 1, 3, "causal", "backward"),
    (16, 2048, 64, 3, 1, "boolean", "forward"),
    (16, 1024, 64, 1, 8, "causal", "forward"),
    (128, 128, 128, 4, 3, "boolean", "forward"),
    (256, 256, 128, 1, 3, "boolean", "backward"),
    (512, 512, 64, 1, 1, "causal", "backward"),
    (512, 512, 128, 1, 1, "causal", "forward"),
    (512, 512, 128, 1, 1, "none", "backward"),
    (128, 128, 64, 8, 3, "boolean", "forward"),
    (128, 128, 128, 3, 8, "float", "forward"),
    (128, 1024, 64, 3, 1, "none", "forward"),
    (128, 128, 64, 4, 8, "float", "forward"),
    (128, 128, 64, 8, 4, "causal", "backward"),
    (128, 1024, 64, 4, 1, "causal", "forward"),
    (256, 256, 64, 1, 8, "causal", "backward"),
    (256, 256, 128, 8, 1, "float", "forward"),
    (256, 256, 64, 3, 3, "boolean", "forward"),
    (512, 512, 64, 1, 3, "float", "forward"),
    (512, 512, 64, 3, 1, "boolean", "backward"),
    (128, 128, 64, 8, 8, "none", "forward"),
    (128, 2048, 64, 4, 1, "none", "forward"),
    (256, 256, 64, 4, 4, "none", "forward"),
    (512, 512, 64, 4, 1, "none", "backward"),
    (512, 512, 128, 1, 4, "boolean", "forward"),
    (1024, 128, 64, 8, 1, "none", "forward"),
    (1024, 1024, 128, 1, 1, "none", "forward"),
    (512, 512, 64, 1, 8, "causal", "forward"),
    (512, 512, 64, 8, 1, "none", "forward"),
    (2048, 128, 64, 1, 8, "none", "forward"),
    (2048, 128, 64, 8, 1, "none", "forward"),
    (128, 2048, 64, 3, 4, "causal", "forward"),
    (1024, 1024, 64, 1, 3, "causal", "backward"),
    (1024, 1024, 64, 1, 4, "float", "forward"),
    (2048, 2048, 64, 1, 1, "boolean", "forward"),
    (2048, 2048, 64, 1, 1, "float", "backward"),
    (2048, 2048, 128, 1, 1, "causal", "forward"),
    (1024, 1024, 64, 1, 8, "boolean", "forward"),
    (2048, 2048, 64, 1, 3, "none", "forward"),
)
# The most scores on a CPU: those without instructions for half precision take a hundred times as
# long for it, float64 takes twice as long, and a fault of sizes shows in float32 too.
MOST_SCORES = {"float64": 2**21, "bfloat16": 2**19, "float16": 2**19}
AREAS: dict[str, Area] = {"none": "shapes", "causal": "causal"}
PROBES: dict[str, Probe] = {"forward": "output_rows", "backward": "rows"}


def round_sizes(dtype: str, device: str) -> Iterator[CheckCase]:
    """The table; on a CPU without its largest sizes in other dtypes than float32."""
    for query_len, key_len, head_dim, batch, num_heads, condition, pass_ in ROUND_SIZES:
        scores = batch * num_heads * query_len * key_len
        if device == "cpu" and scores > MOST_SCORES.get(dtype, scores):
            continue
        sizes = f"{batch}x{num_heads}x{query_len}x{key_len}x{head_dim}"
        words = [word for word in (condition, pass_) if word not in ("none", "forward")]
        yield situation(
            AREAS.get(condition, "masks"),
            "_".join(["round", sizes, *words]),
            leading=(batch, num_heads),
            probe=PROBES[pass_],
            is_causal=condition == "causal",
            mask=condition if condition in ("boolean", "float") else "none",
            **lengths(query_len, key_len, head_dim),
        )
