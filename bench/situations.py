"""The situations that the correctness gate puts an implementation in.

A situation is a case, a probe (which procedure judges it) and a recipe: a few statements of Python
that turn plain random tensors into what the situation is about. `bench.recipe` runs them, and a
failure prints them, so that what a reader pastes is what the gate ran.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from typing import Any

from bench.check_case import Area, CheckCase, batch_and_heads
from implementations.case import DTYPES, Case, Pass

# The keys that a kernel meets last take most of the weight: one that loses its last block, or does
# not rescale what came before it, is then wrong in any precision. No more of them than blocks leave
# over at 523 and 2053 keys.
HEAVY_TAIL = "key[..., -5:, :] *= 4"
EVERY_ROW_KEEPS_A_KEY = "attn_mask[..., :1] = True"
_BOOLEAN: dict[str, Any] = {"mask": "boolean"}
BATCH_ROWS_HEADS = "transpose(-3, -2).contiguous().transpose(-3, -2)"


def check_cases(
    dtypes: Iterable[str] = DTYPES,
    *,
    device: str = "cpu",
    passes: Iterable[Pass] = ("forward_backward",),
    masks: Iterable[tuple[str, bool]] | None = None,
) -> list[CheckCase]:
    """The situations to check; `masks`, pairs of mask kind and is_causal, narrows them.

    Sizes are distinct primes, so that a transposed axis cannot pass, and the lengths below, at and
    above those that blocks are made of (powers of two from 16 to 2048 and 65536).
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


def agreement_cases(dtypes: Iterable[str] = DTYPES, *, device: str = "cpu") -> list[CheckCase]:
    """The situations in which implementations are compared with each other."""
    sizes: dict[str, Any] = {"probe": "agreement", "device": device, **_lengths(131, 137)}
    return [
        _situation("agreement", name, dtype=dtype, is_causal=is_causal, **sizes)
        for dtype in dtypes
        for name, is_causal in (("agreement", False), ("agreement_causal", True))
    ]


def _situations() -> Iterator[CheckCase]:
    yield from _shapes()
    yield from _scores()
    yield from _causal()
    yield from _boolean_masks()
    yield from _float_masks()
    yield from _memory()
    yield from _gradients()
    yield from _procedures()
    yield from _large()


def _situation(
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


def _lengths(query_len: int, key_len: int, head_dim: int = 64) -> dict[str, Any]:
    """Two lengths around a block, with a head that kernels are written for."""
    sizes: dict[str, Any] = {"seq_len": query_len, "key_len": key_len}
    return {**sizes, "head_dim": head_dim, "value_dim": head_dim}


def _shapes() -> Iterator[CheckCase]:
    yield _situation("shapes", "plain", seq_len=7)
    yield _situation("shapes", "plain_64", leading=(2, 2), **_lengths(64, 64))
    yield _situation("shapes", "single_pair", seq_len=1, key_len=1)
    yield _situation("shapes", "single_query", seq_len=1, key_len=13)
    yield _situation("shapes", "single_query_many_keys", leading=(1, 2), **_lengths(1, 2049))
    yield _situation("shapes", "single_key", seq_len=13, key_len=1)
    yield _situation("shapes", "single_feature", head_dim=1, value_dim=1)
    yield _situation("shapes", "many_features", head_dim=257, value_dim=257)
    for width in (32, 80, 96, 128, 192, 256):
        yield _situation("shapes", f"head_dim_{width}", leading=(1, 2), **_lengths(17, 19, width))
    yield _situation("shapes", "more_keys")
    yield _situation("shapes", "more_queries", seq_len=7, key_len=5)
    yield _situation("shapes", "value_dim", value_dim=13)
    yield _situation("shapes", "smaller_value_dim", value_dim=3)
    wide: dict[str, Any] = {"head_dim": 64, "value_dim": 128}
    yield _situation("shapes", "value_dim_128", leading=(1, 2), seq_len=17, key_len=19, **wide)
    yield _situation("shapes", "two_dimensions", leading=())
    yield _situation("shapes", "two_dimensions_131x137", leading=(), **_lengths(131, 137, 16))
    yield _situation("shapes", "three_dimensions_131x137", leading=(2,), **_lengths(131, 137, 16))
    yield _situation("shapes", "many_heads_67x71", leading=(1, 17), **_lengths(67, 71, 16))
    yield _situation("shapes", "three_dimensions", leading=(3,))
    yield _situation("shapes", "five_dimensions", leading=(2, 3, 2))
    yield _situation("shapes", "many_heads", leading=(2, 67))
    yield _situation("shapes", "many_items", leading=(131, 1))
    yield _situation("shapes", "zero_queries", seq_len=0)
    yield _situation("shapes", "zero_keys", key_len=0)
    yield _situation("shapes", "zero_batch", leading=(0, 3))
    for name, condition in (("causal", {"is_causal": True}), ("masked", _BOOLEAN)):
        yield _situation("shapes", f"zero_queries_{name}", seq_len=0, **condition)
        yield _situation("shapes", f"zero_keys_{name}", key_len=0, **condition)
    for block in (16, 32, 64, 128, 256):
        heads, width = (2, 64) if block < 128 else (1, 16)
        for queries, keys in ((block, block), (block + 1, block - 1), (block - 1, block + 1)):
            name = f"block_{queries}x{keys}"
            yield _situation("shapes", name, leading=(1, heads), **_lengths(queries, keys, width))


def _scores() -> Iterator[CheckCase]:
    yield _situation("scores", "scale", scale=0.7)
    yield _situation("scores", "scale_five_dimensions", scale=0.7, leading=(2, 3, 2), seq_len=7)
    # All keys count alike; `scale or default` takes it for not given.
    yield _situation("scores", "scale_zero", scale=0.0)
    # exp overflows float32 beyond 88: only a softmax that subtracts the maximum stays finite.
    yield _situation("scores", "large_scores", scale=50.0)
    # Below the large negative numbers that stand for -inf, or that a maximum starts from.
    negative = "query = query.abs() * 50; key = key.abs() * -50"
    yield _situation("scores", "very_negative_scores", negative, scale=1.0)
    yield _situation("scores", "tiny_scores", "query *= 1e-2; key *= 1e-2")
    constants = "query[:] = 0.5; key[:] = 0.25; value[:] = 1.5"
    yield _situation("scores", "constant_inputs", constants)
    longer: dict[str, Any] = {"seq_len": 13, "key_len": 131}
    for name, rows in (("first", ":1"), ("middle", "60:61"), ("last", "-1:")):
        recipe = f"key[..., {rows}, :] *= 20"
        yield _situation("scores", f"dominating_{name}_key", recipe, leading=(1, 3), **longer)
    rising = "key *= torch.linspace(0, 8, key.shape[-2])[:, None]"
    yield _situation("scores", "rising_scores", rising, leading=(1, 3), **longer)
    yield _situation("scores", "falling_scores", rising, "key = key.flip(-2)", **longer)
    late = "key[..., 64:, :] *= 40"
    yield _situation("scores", "late_maximum", late, leading=(1, 3), **longer)
    spread = "query *= torch.logspace(-2, 2, query.shape[-2])[:, None]"
    yield _situation("scores", "rows_of_many_sizes", spread, leading=(1, 3), **longer)
    # Nearly equal weights of values of one sign: sums in low precision stop growing.
    sums = ("query *= 0.01", "value = value.abs() + 1")
    yield _situation("scores", "long_sums", *sums, leading=(1, 2), **_lengths(67, 4099, 16))
    yield _situation("scores", "heavy_tail", HEAVY_TAIL, leading=(1, 2), **_lengths(67, 131))


def _causal() -> Iterator[CheckCase]:
    def causal(name: str, *recipe: str, **values: Any) -> CheckCase:
        return _situation("causal", name, *recipe, is_causal=True, **values)

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
    yield causal("causal_head_dim_128", leading=(1, 2), **_lengths(17, 19, 128))
    # What must not be seen outweighs all that may be.
    yield causal("causal_heavy_future", HEAVY_TAIL, seq_len=17, key_len=17)
    yield causal("causal_two_dimensions", leading=(), seq_len=7)
    yield causal("causal_three_dimensions", leading=(3,), seq_len=7)
    yield causal("causal_five_dimensions", leading=(2, 3, 2))
    for queries, keys in ((17, 17), (33, 31), (64, 64), (65, 65)):
        yield causal(f"causal_{queries}x{keys}", leading=(1, 2), **_lengths(queries, keys))
    for queries, keys in ((128, 128), (129, 127), (127, 129), (256, 256), (67, 601), (601, 67)):
        yield causal(f"causal_{queries}x{keys}", leading=(1, 1), **_lengths(queries, keys, 16))
    yield causal("causal_257x257", HEAVY_TAIL, leading=(1, 1), **_lengths(257, 257, 32))


def _boolean_masks() -> Iterator[CheckCase]:
    def masked(name: str, *recipe: str, **values: Any) -> CheckCase:
        return _situation("masks", name, *recipe, mask="boolean", **values)

    def random(shape: str) -> tuple[str, str]:
        return f"attn_mask = torch.rand({shape}, generator=generator) < 0.8", EVERY_ROW_KEEPS_A_KEY

    yield masked("boolean_mask")
    yield masked("boolean_mask_many_items", leading=(5, 2))
    yield masked("boolean_mask_three_dimensions", leading=(3,))
    yield masked("boolean_mask_value_dim", value_dim=13)
    yield masked("boolean_mask_per_head", *random("*query.shape[:-1], key.shape[-2]"))
    yield masked("boolean_mask_per_batch_item", *random("2, 1, 5, 7"))
    yield masked("boolean_mask_of_heads", *random("3, 5, 7"))
    yield masked("boolean_mask_of_heads_4d", *random("1, 3, 5, 7"))
    yield masked("boolean_mask_of_keys", *random("2, 1, 1, 7"), seq_len=7)
    yield masked("boolean_mask_of_keys_1d", *random("key.shape[-2]"), seq_len=7)
    yield masked("boolean_mask_of_queries", "attn_mask = torch.arange(5)[:, None] % 2 == 0")
    five = random("*query.shape[:-1], key.shape[-2]")
    yield masked("boolean_mask_five_dimensions", *five, leading=(2, 3, 2))
    yield masked("boolean_mask_scale", scale=0.7)
    yield masked("boolean_mask_single_query", seq_len=1, key_len=13)
    yield masked("boolean_mask_more_queries", seq_len=7, key_len=5)
    band = "attn_mask = (torch.arange(23)[:, None] - torch.arange(29)).abs() < 4"
    yield masked("banded_mask", band, seq_len=23, key_len=29)
    empty = "attn_mask[..., ::2, :] = False"
    yield masked("masked_rows_boolean", empty)
    yield masked("all_masked_boolean", "attn_mask[:] = False")
    # A masked key that would win: a large negative number in place of -inf does not hold it.
    recipe = ("key[..., 2, :] *= 3000", "attn_mask[:, 2] = False")
    yield masked("masked_key_dominates", *recipe)
    padding = random("2, 1, 1, 1031")
    yield masked("padding_mask_1031", *padding, leading=(2, 1), **_lengths(5, 1031, 16))
    yield masked("padding_mask_decoding", *padding, leading=(2, 1), **_lengths(1, 1031, 16))
    longer: dict[str, Any] = {"leading": (1, 2), **_lengths(65, 131)}
    yield masked("boolean_mask_64x128", leading=(1, 2), **_lengths(64, 128))
    yield masked("boolean_mask_65x131", HEAVY_TAIL, **longer)
    yield masked("first_keys_masked", "attn_mask[..., :70] = False", **longer)
    yield masked("last_keys_masked", "attn_mask[..., 60:] = False", **longer)
    yield masked("masked_rows_65x131", "attn_mask[..., 40:, :] = False", **longer)


def _float_masks() -> Iterator[CheckCase]:
    def masked(name: str, *recipe: str, **values: Any) -> CheckCase:
        return _situation("masks", name, *recipe, mask="float", **values)

    def random(shape: str) -> str:
        return f"attn_mask = torch.randn({shape}, generator=generator)"

    infinite = "attn_mask[torch.rand(attn_mask.shape, generator=generator) < 0.3] = -torch.inf"
    finite_row = "attn_mask[..., :1] = 0.5"
    yield masked("float_mask")
    yield masked("float_mask_many_items", leading=(5, 2))
    yield masked("float_mask_two_dimensions", leading=())
    yield masked("float_mask_value_dim", value_dim=13)
    yield masked("float_mask_64x64", leading=(1, 2), **_lengths(64, 64))
    yield masked("float_mask_per_head", random("*query.shape[:-1], key.shape[-2]"))
    yield masked("float_mask_per_batch_item", random("2, 1, 5, 7"))
    yield masked("float_mask_of_heads", random("3, 5, 7"))
    yield masked("float_mask_of_heads_4d", random("1, 3, 5, 7"))
    yield masked("float_mask_of_keys", random("2, 1, 1, 7"), seq_len=7)
    yield masked("float_mask_of_keys_1d", random("key.shape[-2]"), seq_len=7)
    yield masked("float_mask_scale", scale=0.7)
    yield masked("float_mask_single_query", seq_len=1, key_len=13)
    yield masked("float_mask_more_queries", seq_len=7, key_len=5)
    yield masked("float_mask_large", "attn_mask *= 50")
    yield masked("infinite_entries", infinite, finite_row)
    yield masked("most_negative_entries", infinite.replace("torch.inf", "6e4"), finite_row)
    yield masked("masked_rows_float", "attn_mask[..., ::2, :] = -torch.inf")
    yield masked("all_masked_float", "attn_mask[:] = -torch.inf")
    longer: dict[str, Any] = {"leading": (1, 2), **_lengths(65, 131)}
    yield masked("float_mask_65x131", infinite, finite_row, HEAVY_TAIL, **longer)
    yield masked("first_keys_infinite", "attn_mask[..., :70] = -torch.inf", **longer)


def _memory() -> Iterator[CheckCase]:
    def each(expression: str) -> str:
        return f"query, key, value = ({expression} for t in (query, key, value))"

    friendly: dict[str, Any] = {"leading": (2, 3), **_lengths(17, 19)}
    rows_first = each(f"t.{BATCH_ROWS_HEADS}")
    yield _situation("memory", "rows_before_heads", rows_first, **friendly)
    yield _situation("memory", "rows_before_heads_causal", rows_first, **friendly, is_causal=True)
    columns = each("t.mT.contiguous().mT")
    yield _situation("memory", "columns_first", columns)
    mixed = ("key = key.mT.contiguous().mT", f"value = value.{BATCH_ROWS_HEADS}")
    yield _situation("memory", "each_its_own_way", *mixed)
    packed = (
        "packed = torch.stack([query, key, value], dim=-3)",
        "query, key, value = packed.unbind(-3)",
    )
    yield _situation("memory", "packed", *packed, seq_len=7)
    # Grouped-query attention as it comes to this signature: heads that share keys and values.
    grouped = "key, value = (t[:, :1].expand(t.shape) for t in (key, value))"
    for name, condition in (("", {}), ("_causal", {"is_causal": True}), ("_masked", _BOOLEAN)):
        yield _situation("memory", f"expanded_heads{name}", grouped, **friendly, **condition)
    same = ("key = query", "value = query")
    yield _situation("memory", "one_tensor_thrice", *same, seq_len=7)
    shared = "query, key, value = (t[:1].expand(t.shape) for t in (query, key, value))"
    yield _situation("memory", "expanded_batch", shared)
    # What lies around the tensors is NaN: who reads it shows it.
    offset = each(
        "torch.full((t.numel() + 3,), torch.nan, dtype=t.dtype, device=t.device)[3:]"
        ".view(t.shape).copy_(t)"
    )
    yield _situation("memory", "offset", offset)
    beyond = each(
        "t.new_full((*t.shape[:-2], t.shape[-2] + 9, t.shape[-1] + 5), torch.nan)"
        "[..., 4:-5, 2:-3].copy_(t)"
    )
    yield _situation("memory", "nan_beyond", beyond)
    yield _situation("memory", "nan_beyond_65x131", beyond, leading=(1, 2), **_lengths(65, 131))
    causal: dict[str, Any] = {"is_causal": True, "leading": (1, 2), **_lengths(33, 33)}
    yield _situation("memory", "nan_beyond_causal", beyond, **causal)
    turned = "attn_mask = attn_mask.mT.contiguous().mT"
    yield _situation("memory", "mask_columns_first", turned, mask="boolean")
    shared = "attn_mask = attn_mask[1:2].expand(attn_mask.shape)"
    yield _situation("memory", "mask_expanded", shared, mask="boolean")
    yield _situation("memory", "columns_first_masked", columns, mask="boolean")
    yield _situation("memory", "columns_first_causal", columns, is_causal=True)
    spaced = "attn_mask = attn_mask.new_full((11, 15), torch.nan)[3:-3, 4:-4].copy_(attn_mask)"
    yield _situation("memory", "mask_nan_beyond", spaced, mask="float")


def _gradients() -> Iterator[CheckCase]:
    """Upstream gradients as other operations hand them back, and who is asked for one."""
    summed = "grad_output = torch.ones_like(grad_output[..., :1, :1]).expand(grad_output.shape)"
    yield _situation("gradients", "upstream_of_a_sum", arrange=(summed,))
    turned = "grad_output = grad_output.mT.contiguous().mT"
    yield _situation("gradients", "upstream_columns_first", arrange=(turned,))
    rows_first = f"grad_output = grad_output.{BATCH_ROWS_HEADS}"
    yield _situation("gradients", "upstream_rows_before_heads", arrange=(rows_first,))
    every_other = "grad_output = grad_output.repeat_interleave(2, -1)[..., ::2]"
    yield _situation("gradients", "upstream_every_other", arrange=(every_other,))
    yield _situation("gradients", "upstream_of_zeros", "grad_output[:] = 0.0")
    large: dict[str, Any] = {"leading": (1, 2), **_lengths(131, 137, 16)}
    yield _situation("gradients", "upstream_large", "grad_output *= 100", **large)
    causal: dict[str, Any] = {"is_causal": True, **_lengths(65, 65)}
    yield _situation("gradients", "upstream_causal", arrange=(turned,), leading=(1, 2), **causal)
    yield _situation("gradients", "asked_one_by_one", probe="asking")
    yield _situation("gradients", "asked_causal", probe="asking", is_causal=True)
    yield _situation("gradients", "asked_masked", probe="asking", mask="boolean")


def _procedures() -> Iterator[CheckCase]:
    """Situations in which the implementation is called more than once."""
    yield _situation("state", "calls_in_turn", probe="state", seq_len=7)
    longer: dict[str, Any] = {"leading": (2, 2), **_lengths(67, 67, 8)}
    yield _situation("state", "calls_in_turn_67x67", probe="state", **longer)
    yield _situation("dropout", "dropout", probe="dropout", **_lengths(67, 64))
    square: dict[str, Any] = {"probe": "dropout", **_lengths(64, 64)}
    yield _situation("dropout", "dropout_causal", is_causal=True, **square)
    yield _situation("dropout", "dropout_masked", mask="boolean", scale=0.2, **square)
    properties: dict[str, Any] = {"probe": "properties"}
    yield _situation("properties", "properties", **properties)
    yield _situation("properties", "properties_67x67", **properties, **longer)
    causal: dict[str, Any] = {"probe": "properties", "is_causal": True}
    yield _situation("properties", "properties_causal", **causal)
    yield _situation("properties", "properties_causal_67x67", **causal, **longer)
    for mask in ("boolean", "float"):
        yield _situation("properties", f"properties_{mask}_mask", **properties, mask=mask)


def _large() -> Iterator[CheckCase]:
    """Lengths at and beyond the larger blocks; last, since they take the most time."""
    three, one = (1, 3), (1, 1)
    for size in (331, 512, 601, 1024):
        square = _lengths(size, size, 96)
        yield _situation("shapes", f"block_{size}x{size}", HEAVY_TAIL, leading=one, **square)
    for queries, keys in ((513, 512), (129, 1024), (131, 1025), (67, 2048), (67, 2049)):
        name = f"block_{queries}x{keys}"
        yield _situation("shapes", name, HEAVY_TAIL, leading=one, **_lengths(queries, keys))
    block: dict[str, Any] = {"seq_len": 521, "key_len": 523}
    few: dict[str, Any] = {"seq_len": 67, "key_len": 2053}
    yield _situation("shapes", "beyond_blocks", HEAVY_TAIL, leading=three, **block)
    wide: dict[str, Any] = {"leading": one, **_lengths(521, 523)}
    yield _situation("causal", "beyond_blocks_causal", is_causal=True, **wide)
    masked: dict[str, Any] = {"mask": "boolean"}
    yield _situation("masks", "beyond_blocks_masked", HEAVY_TAIL, **masked, **wide)
    yield _situation("shapes", "long_keys", HEAVY_TAIL, leading=one, **few)
    yield _situation("masks", "long_keys_masked", HEAVY_TAIL, leading=one, **masked, **few)
    recipe = "attn_mask[..., :2050] = False"
    yield _situation("masks", "long_keys_first_masked", recipe, leading=one, **masked, **few)
    long: dict[str, Any] = {"seq_len": 2311, "key_len": 2053, "is_causal": True}
    yield _situation("causal", "long_causal", HEAVY_TAIL, leading=one, **long)
    # More than 16 bits can count; asked once only, for the sake of loops over keys.
    most: dict[str, Any] = {"leading": one, **_lengths(3, 65_539, 3)}
    yield _situation("shapes", "65539_keys", HEAVY_TAIL, probe="output", **most)
    yield _situation("shapes", "4099_queries", leading=one, seq_len=4099, key_len=5)
