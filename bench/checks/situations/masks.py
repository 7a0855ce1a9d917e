"""Masks: boolean ones, float ones, and the gradients of float ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.checks.situation import CheckCase
from bench.checks.situations.parts import HEAVY_TAIL, boolean_mask, float_mask, lengths, situation

# Shapes that broadcast to the scores, and what the situation needs for that.
SHAPES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("per_head", "*query.shape[:-1], key.shape[-2]", {}),
    ("per_batch_item", "2, 1, 5, 7", {}),
    ("of_heads", "3, 5, 7", {}),
    ("of_heads_4d", "1, 3, 5, 7", {}),
    ("of_keys", "2, 1, 1, 7", {"seq_len": 7}),
    ("of_keys_1d", "key.shape[-2]", {"seq_len": 7}),
)
LONGER: dict[str, Any] = {"leading": (1, 2), **lengths(65, 131)}


def boolean_masks() -> Iterator[CheckCase]:
    """True keeps: of every shape that broadcasts, and with rows that keep nothing."""

    def masked(name: str, *recipe: str, **values: Any) -> CheckCase:
        return situation("masks", name, *recipe, mask="boolean", **values)

    yield masked("boolean_mask")
    yield masked("boolean_mask_many_items", leading=(5, 2))
    yield masked("boolean_mask_three_dimensions", leading=(3,))
    yield masked("boolean_mask_value_dim", value_dim=13)
    for name, shape, sizes in SHAPES:
        yield masked(f"boolean_mask_{name}", *boolean_mask(shape), **sizes)
    yield masked("boolean_mask_of_queries", "attn_mask = torch.arange(5)[:, None] % 2 == 0")
    five = boolean_mask("*query.shape[:-1], key.shape[-2]")
    yield masked("boolean_mask_five_dimensions", *five, leading=(2, 3, 2))
    yield masked("boolean_mask_scale", scale=0.7)
    yield masked("boolean_mask_single_query", seq_len=1, key_len=13)
    yield masked("boolean_mask_more_queries", seq_len=7, key_len=5)
    band = "attn_mask = (torch.arange(23)[:, None] - torch.arange(29)).abs() < 4"
    yield masked("banded_mask", band, seq_len=23, key_len=29)
    yield masked("masked_rows_boolean", "attn_mask[..., ::2, :] = False")
    yield masked("all_masked_boolean", "attn_mask[:] = False")
    # A masked key that would win: a large negative number in place of -inf does not hold it.
    yield masked("masked_key_dominates", "key[..., 2, :] *= 3000", "attn_mask[:, 2] = False")
    padding = boolean_mask("2, 1, 1, 1031")
    yield masked("padding_mask_1031", *padding, leading=(2, 1), **lengths(5, 1031, 16))
    yield masked("padding_mask_decoding", *padding, leading=(2, 1), **lengths(1, 1031, 16))
    yield masked("boolean_mask_64x128", leading=(1, 2), **lengths(64, 128))
    yield masked("boolean_mask_65x131", HEAVY_TAIL, **LONGER)
    yield masked("first_keys_masked", "attn_mask[..., :70] = False", **LONGER)
    yield masked("last_keys_masked", "attn_mask[..., 60:] = False", **LONGER)
    yield masked("masked_rows_65x131", "attn_mask[..., 40:, :] = False", **LONGER)


def float_masks() -> Iterator[CheckCase]:
    """Added to the scores: ordinary numbers, -inf, and what models take for it."""

    def masked(name: str, *recipe: str, **values: Any) -> CheckCase:
        return situation("masks", name, *recipe, mask="float", **values)

    drawn = "torch.rand(attn_mask.shape, generator=generator)"
    infinite = f"attn_mask[{drawn} < 0.3] = -torch.inf"
    finite_row = "attn_mask[..., :1] = 0.5"
    yield masked("float_mask")
    yield masked("float_mask_many_items", leading=(5, 2))
    yield masked("float_mask_two_dimensions", leading=())
    yield masked("float_mask_value_dim", value_dim=13)
    yield masked("float_mask_64x64", leading=(1, 2), **lengths(64, 64))
    for name, shape, sizes in SHAPES:
        yield masked(f"float_mask_{name}", float_mask(shape), **sizes)
    yield masked("float_mask_scale", scale=0.7)
    yield masked("float_mask_single_query", seq_len=1, key_len=13)
    yield masked("float_mask_more_queries", seq_len=7, key_len=5)
    yield masked("float_mask_large", "attn_mask *= 50")
    yield masked("infinite_entries", infinite, finite_row)
    yield masked("most_negative_entries", infinite.replace("torch.inf", "6e4"), finite_row)
    # What stands for "masked" in models, other than -inf; float16 rounds the larger to -inf.
    far = ("attn_mask[..., 1::3] = -1e4", "attn_mask[..., 2::3] = -1e9", finite_row)
    least = "attn_mask[{}] = torch.finfo(attn_mask.dtype).min"
    yield masked("far_entries", *far, arrange=(least.format("..., 4"),))
    many_sizes = f"far = -(10 ** (1 + 8 * {drawn}))"
    some_far = f"attn_mask = torch.where({drawn} < 0.5, far, attn_mask)"
    yield masked("entries_of_many_sizes", many_sizes, some_far, finite_row)
    # The softmax of a row does not see what its entries share: such rows are not masked.
    for size in ("1e4", "2e4", "1e9"):
        yield masked(f"rows_of_minus_{size}", f"attn_mask[..., 1::2, :] = -{size}")
    yield masked("rows_of_the_least_number", arrange=(least.format("..., 1::2, :"),))
    yield masked("entry_of_plus_1e4", "attn_mask[..., 3] = 1e4")
    # A key of hardly any weight whose value is large.
    yield masked("faint_key", "attn_mask[..., 2] -= 16", "value[..., 2, :] *= 1000")
    yield masked("masked_rows_float", "attn_mask[..., ::2, :] = -torch.inf")
    yield masked("all_masked_float", "attn_mask[:] = -torch.inf")
    yield masked("float_mask_65x131", infinite, finite_row, HEAVY_TAIL, **LONGER)
    yield masked("rows_of_minus_1e4_65x131", "attn_mask[..., 40:, :] = -1e4", **LONGER)
    yield masked("first_keys_infinite", "attn_mask[..., :70] = -torch.inf", **LONGER)


def mask_gradients() -> Iterator[CheckCase]:
    """Float masks that require a gradient: the sum over all that a mask broadcasts to."""

    def masked(name: str, *recipe: str, **values: Any) -> CheckCase:
        name = f"mask_gradient{name}"
        return situation("masks", name, *recipe, mask="float", probe="mask_gradient", **values)

    yield masked("")
    for name, shape, sizes in SHAPES:
        if name != "of_heads_4d":
            yield masked(f"_{name}", float_mask(shape), **sizes)
    rows, key = "attn_mask[..., ::2, :] = -torch.inf", "attn_mask[:, 1] = -torch.inf"
    yield masked("_masked_rows", rows, key)
    for queries, keys in ((65, 131), (128, 128), (131, 257)):
        yield masked(f"_{queries}x{keys}", HEAVY_TAIL, leading=(1, 2), **lengths(queries, keys))
