"""Shapes, scores and the causal triangle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.checks.situation import Area, CheckCase
from bench.checks.situations.parts import BOOLEAN, HEAVY_TAIL, lengths, situation


def shapes() -> Iterator[CheckCase]:
    """Lengths, heads, batches, dimensions, and blocks of every size."""
    yield situation("shapes", "plain", seq_len=7)
    yield situation("shapes", "plain_64", leading=(2, 2), **lengths(64, 64))
    yield situation("shapes", "single_pair", seq_len=1, key_len=1)
    yield situation("shapes", "single_query", seq_len=1, key_len=13)
    many: dict[str, Any] = {"leading": (1, 2), **lengths(1, 2049)}
    yield situation("shapes", "single_query_many_keys", probe="rows", **many)
    yield situation("shapes", "single_key", seq_len=13, key_len=1)
    yield situation("shapes", "single_feature", head_dim=1, value_dim=1)
    yield situation("shapes", "many_features", head_dim=257, value_dim=257)
    for width in (32, 80, 96, 128, 192, 256):
        yield situation("shapes", f"head_dim_{width}", leading=(1, 2), **lengths(17, 19, width))
    yield situation("shapes", "more_keys")
    yield situation("shapes", "more_queries", seq_len=7, key_len=5)
    yield situation("shapes", "value_dim", value_dim=13)
    yield situation("shapes", "smaller_value_dim", value_dim=3)
    wide: dict[str, Any] = {"head_dim": 64, "value_dim": 128}
    yield situation("shapes", "value_dim_128", leading=(1, 2), seq_len=17, key_len=19, **wide)
    yield situation("shapes", "two_dimensions", leading=())
    yield situation("shapes", "two_dimensions_131x137", leading=(), **lengths(131, 137, 16))
    yield situation("shapes", "three_dimensions_131x137", leading=(2,), **lengths(131, 137, 16))
    long: dict[str, Any] = {**lengths(257, 259, 16)}
    yield situation("shapes", "two_dimensions_257x259", leading=(), **long)
    yield situation("shapes", "three_dimensions_257x259", leading=(2,), **long)
    yield situation("shapes", "five_dimensions_257x259", leading=(1, 2, 1), **long)
    yield situation("shapes", "value_dim_257x259", leading=(1, 2), **{**long, "value_dim": 24})
    yield situation("shapes", "many_heads_67x71", leading=(1, 17), **lengths(67, 71, 16))
    yield situation("shapes", "three_dimensions", leading=(3,))
    yield situation("shapes", "five_dimensions", leading=(2, 3, 2))
    yield situation("shapes", "many_heads", leading=(2, 67))
    yield situation("shapes", "many_items", leading=(131, 1))
    yield situation("shapes", "zero_queries", seq_len=0)
    yield situation("shapes", "zero_keys", key_len=0)
    yield situation("shapes", "zero_batch", leading=(0, 3))
    for name, condition in (("causal", {"is_causal": True}), ("masked", BOOLEAN)):
        yield situation("shapes", f"zero_queries_{name}", seq_len=0, **condition)
        yield situation("shapes", f"zero_keys_{name}", key_len=0, **condition)
    for block in (16, 32, 64, 128, 256):
        heads, width = (2, 64) if block < 128 else (1, 16)
        for queries, keys in ((block, block), (block + 1, block - 1), (block - 1, block + 1)):
            name = f"block_{queries}x{keys}"
            yield situation("shapes", name, leading=(1, heads), **lengths(queries, keys, width))


def scores() -> Iterator[CheckCase]:
    """Scores that are large, small, scaled, or that one key outweighs."""
    yield situation("scores", "scale", scale=0.7)
    yield situation("scores", "scale_five_dimensions", scale=0.7, leading=(2, 3, 2), seq_len=7)
    # All keys count alike; `scale or default` takes it for not given.
    yield situation("scores", "scale_zero", scale=0.0)
    # exp overflows float32 beyond 88: only a softmax that subtracts the maximum stays finite.
    yield situation("scores", "large_scores", scale=50.0)
    # Below the large negative numbers that stand for -inf, or that a maximum starts from.
    negative = "query = query.abs() * 50; key = key.abs() * -50"
    yield situation("scores", "very_negative_scores", negative, scale=1.0)
    # One key is far ahead, since scores as large leave few digits to tell others apart.
    positive = "query = query.abs() * 25; key = key.abs() * 25; key[..., 2, :] = key.amax(-2) * 2"
    yield situation("scores", "very_large_scores", positive, scale=1.0)
    yield situation("scores", "tiny_scores", "query *= 1e-2; key *= 1e-2")
    constants = "query[:] = 0.5; key[:] = 0.25; value[:] = 1.5"
    yield situation("scores", "constant_inputs", constants)
    longer: dict[str, Any] = {"seq_len": 13, "key_len": 131}
    for name, rows in (("first", ":1"), ("middle", "60:61"), ("last", "-1:")):
        recipe = f"key[..., {rows}, :] *= 20"
        yield situation("scores", f"dominating_{name}_key", recipe, leading=(1, 3), **longer)
    rising = "key *= torch.linspace(0, 8, key.shape[-2])[:, None]"
    yield situation("scores", "rising_scores", rising, leading=(1, 3), **longer)
    yield situation("scores", "falling_scores", rising, "key = key.flip(-2)", **longer)
    late = "key[..., 64:, :] *= 40"
    yield situation("scores", "late_maximum", late, leading=(1, 3), **longer)
    spread = "query *= torch.logspace(-2, 2, query.shape[-2])[:, None]"
    yield situation("scores", "rows_of_many_sizes", spread, leading=(1, 3), **longer)
    # Nearly equal weights of values of one sign: sums in low precision stop growing.
    sums = ("query *= 0.01", "value = value.abs() + 1")
    long: dict[str, Any] = {"probe": "output_rows", "leading": (1, 2), **lengths(67, 4099, 16)}
    yield situation("scores", "long_sums", *sums, **long)
    yield situation("scores", "heavy_tail", HEAVY_TAIL, leading=(1, 2), **lengths(67, 131))


def causal() -> Iterator[CheckCase]:
    """The triangle, aligned at the top left, in every relation of lengths."""

    def causal(name: str, *recipe: str, **values: Any) -> CheckCase:
        return situation("causal", name, *recipe, is_causal=True, **values)

    yield causal("causal", seq_len=7)
    yield causal("causal_more_keys")
    yield causal("causal_more_queries", seq_len=7, key_len=5)
    yield causal("causal_single_query", seq_len=1)
    yield causal("causal_single_key", key_len=1)
    yield causal("causal_value_dim", value_dim=13, leading=(7, 1))
    yield causal("causal_scale", scale=0.7, seq_len=7)
    yield causal("causal_large_scores", scale=50.0, seq_len=7)
    negative = "query = query.abs() * 50; key = key.abs() * -50"
    yield causal("causal_very_negative_scores", negative, scale=1.0, seq_len=7)
    yield causal("causal_head_dim_128", leading=(1, 2), **lengths(17, 19, 128))
    # What must not be seen outweighs all that may be.
    yield causal("causal_heavy_future", HEAVY_TAIL, seq_len=17, key_len=17)
    yield causal("causal_two_dimensions", leading=(), seq_len=7)
    yield causal("causal_three_dimensions", leading=(3,), seq_len=7)
    yield causal("causal_five_dimensions", leading=(2, 3, 2))
    for queries, keys in ((17, 17), (33, 31), (64, 64), (65, 65)):
        yield causal(f"causal_{queries}x{keys}", leading=(1, 2), **lengths(queries, keys))
    for queries, keys in ((128, 128), (129, 127), (127, 129), (256, 256), (67, 601), (601, 67)):
        yield causal(f"causal_{queries}x{keys}", leading=(1, 1), **lengths(queries, keys, 16))
    yield causal("causal_257x257", HEAVY_TAIL, leading=(1, 1), **lengths(257, 257, 32))


def large() -> Iterator[CheckCase]:
    """Lengths at and beyond the larger blocks, of which some rows are compared."""

    def rows(area: Area, name: str, *recipe: str, **values: Any) -> CheckCase:
        return situation(area, name, *recipe, **{"probe": "rows", "leading": (1, 1), **values})

    yield rows("shapes", "block_331x331", HEAVY_TAIL, **lengths(331, 331, 96))
    for queries, keys in ((513, 512), (131, 1025), (67, 2049)):
        yield rows("shapes", f"block_{queries}x{keys}", HEAVY_TAIL, **lengths(queries, keys))
    block, few = lengths(521, 523), lengths(67, 2053)
    three: dict[str, Any] = {**lengths(521, 523, 11), "leading": (1, 3)}
    yield rows("shapes", "beyond_blocks", HEAVY_TAIL, **three)
    yield rows("causal", "beyond_blocks_causal", is_causal=True, **block)
    yield rows("masks", "beyond_blocks_masked", HEAVY_TAIL, **BOOLEAN, **block)
    yield rows("shapes", "long_keys", HEAVY_TAIL, **few)
    yield rows("masks", "long_keys_masked", HEAVY_TAIL, **BOOLEAN, **few)
    # Row by row the highest score passes what exp overflows and vanishes at without a maximum.
    growing = "query = query.abs() * torch.linspace(0, 40, query.shape[-2])[:, None]"
    yield rows("scores", "growing_scores", growing, "key = key.abs()", **block)
    yield rows("scores", "sinking_scores", growing, "key = key.abs() * -1", **block)
    recipe = "attn_mask[..., :2050] = False"
    yield rows("masks", "long_keys_first_masked", recipe, **BOOLEAN, **few)
    yield rows("causal", "long_causal", HEAVY_TAIL, is_causal=True, **lengths(2311, 2053, 11))
    # More than 16 bits can count; asked once only, for the sake of loops over keys.
    most: dict[str, Any] = {"leading": (1, 1), **lengths(3, 65_539, 3)}
    yield situation("shapes", "65539_keys", HEAVY_TAIL, probe="output_rows", **most)
    yield situation("shapes", "4099_queries", leading=(1, 1), seq_len=4099, key_len=5)
