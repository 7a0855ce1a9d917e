"""How inputs lie in memory, who asks for gradients, and what takes more than one call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.checks.situation import CheckCase
from bench.checks.situations.parts import BATCH_ROWS_HEADS, BOOLEAN, in_memory, lengths, situation


def memory() -> Iterator[CheckCase]:
    """Strides, shared memory, and NaN around the inputs."""

    friendly: dict[str, Any] = {"leading": (2, 3), **lengths(17, 19)}
    rows_first = in_memory(f"t.{BATCH_ROWS_HEADS}")
    yield situation("memory", "rows_before_heads", rows_first, **friendly)
    yield situation("memory", "rows_before_heads_causal", rows_first, **friendly, is_causal=True)
    columns = in_memory("t.mT.contiguous().mT")
    yield situation("memory", "columns_first", columns)
    mixed = ("key = key.mT.contiguous().mT", f"value = value.{BATCH_ROWS_HEADS}")
    yield situation("memory", "each_its_own_way", *mixed)
    packed = (
        "packed = torch.stack([query, key, value], dim=-3)",
        "query, key, value = packed.unbind(-3)",
    )
    yield situation("memory", "packed", *packed, seq_len=7)
    # Grouped-query attention as it comes to this signature: heads that share keys and values.
    grouped = "key, value = (t[:, :1].expand(t.shape) for t in (key, value))"
    for name, condition in (("", {}), ("_causal", {"is_causal": True}), ("_masked", BOOLEAN)):
        yield situation("memory", f"expanded_heads{name}", grouped, **friendly, **condition)
    same = ("key = query", "value = query")
    yield situation("memory", "one_tensor_thrice", *same, seq_len=7)
    shared = "query, key, value = (t[:1].expand(t.shape) for t in (query, key, value))"
    yield situation("memory", "expanded_batch", shared)
    # What lies around the tensors is NaN: who reads it shows it.
    offset = in_memory(
        "torch.full((t.numel() + 3,), torch.nan, dtype=t.dtype, device=t.device)[3:]"
        ".view(t.shape).copy_(t)"
    )
    yield situation("memory", "offset", offset)
    beyond = in_memory(
        "t.new_full((*t.shape[:-2], t.shape[-2] + 9, t.shape[-1] + 5), torch.nan)"
        "[..., 4:-5, 2:-3].copy_(t)"
    )
    yield situation("memory", "nan_beyond", beyond)
    yield situation("memory", "nan_beyond_65x131", beyond, leading=(1, 2), **lengths(65, 131))
    causal: dict[str, Any] = {"is_causal": True, "leading": (1, 2), **lengths(33, 33)}
    yield situation("memory", "nan_beyond_causal", beyond, **causal)
    turned = "attn_mask = attn_mask.mT.contiguous().mT"
    yield situation("memory", "mask_columns_first", turned, mask="boolean")
    shared = "attn_mask = attn_mask[1:2].expand(attn_mask.shape)"
    yield situation("memory", "mask_expanded", shared, mask="boolean")
    yield situation("memory", "columns_first_masked", columns, mask="boolean")
    yield situation("memory", "columns_first_causal", columns, is_causal=True)
    spaced = "attn_mask = attn_mask.new_full((11, 15), torch.nan)[3:-3, 4:-4].copy_(attn_mask)"
    yield situation("memory", "mask_nan_beyond", spaced, mask="float")


def gradients() -> Iterator[CheckCase]:
    """Upstream gradients as other operations hand them back, and who is asked for one."""
    turned = "grad_output.mT.contiguous().mT"
    for name, expression in (
        ("of_a_sum", "torch.ones_like(grad_output[..., :1, :1]).expand(grad_output.shape)"),
        ("columns_first", turned),
        ("rows_before_heads", f"grad_output.{BATCH_ROWS_HEADS}"),
        ("every_other", "grad_output.repeat_interleave(2, -1)[..., ::2]"),
    ):
        arrange = (f"grad_output = {expression}",)
        yield situation("gradients", f"upstream_{name}", arrange=arrange)
    yield situation("gradients", "upstream_of_zeros", "grad_output[:] = 0.0")
    large: dict[str, Any] = {"leading": (1, 2), **lengths(131, 137, 16)}
    yield situation("gradients", "upstream_large", "grad_output *= 100", **large)
    causal: dict[str, Any] = {"is_causal": True, "leading": (1, 2), **lengths(65, 65)}
    arrange = (f"grad_output = {turned}",)
    yield situation("gradients", "upstream_causal", arrange=arrange, **causal)
    yield situation("gradients", "asked_one_by_one", probe="asking")
    yield situation("gradients", "asked_causal", probe="asking", is_causal=True)
    yield situation("gradients", "asked_masked", probe="asking", mask="boolean")


def procedures() -> Iterator[CheckCase]:
    """Situations in which the implementation is called more than once."""
    yield situation("state", "calls_in_turn", probe="state", seq_len=7)
    longer: dict[str, Any] = {"leading": (2, 2), **lengths(67, 67, 8)}
    yield situation("state", "calls_in_turn_67x67", probe="state", **longer)
    yield from _dropout()
    properties: dict[str, Any] = {"probe": "properties"}
    yield situation("properties", "properties", **properties)
    yield situation("properties", "properties_67x67", **properties, **longer)
    causal: dict[str, Any] = {"probe": "properties", "is_causal": True}
    yield situation("properties", "properties_causal", **causal)
    yield situation("properties", "properties_causal_67x67", **causal, **longer)
    for mask in ("boolean", "float"):
        yield situation("properties", f"properties_{mask}_mask", **properties, mask=mask)
    scaling: dict[str, Any] = {"probe": "scaling"}
    yield situation("properties", "scaling", **scaling)
    yield situation("properties", "scaling_causal", **scaling, is_causal=True)
    for mask in ("boolean", "float"):
        yield situation("properties", f"scaling_{mask}_mask", **scaling, mask=mask)
    yield situation("properties", "scaling_128x128", leading=(1, 1), **scaling, **lengths(128, 128))


def _dropout() -> Iterator[CheckCase]:
    """Values are the unit matrix, as wide as there are keys, so that the output is the weights."""
    two: dict[str, Any] = {"leading": (1, 2)}
    for name, rate, sizes in (
        ("dropout", 0.3, lengths(67, 64)),
        ("dropout_tenth", 0.1, {**two, **lengths(67, 128, 128)}),
        ("dropout_half", 0.5, {"leading": (1, 4), **lengths(67, 67), "value_dim": 67}),
        ("dropout_most", 0.9, {**two, **lengths(67, 96, 96)}),
        ("dropout_131_keys", 0.3, {**two, **lengths(33, 131), "value_dim": 131}),
        ("dropout_1031_keys", 0.2, {"leading": (1, 1), **lengths(5, 1031), "value_dim": 1031}),
    ):
        yield situation("dropout", name, probe="dropout", dropout_p=rate, **sizes)
    longer: dict[str, Any] = {"probe": "dropout", "dropout_p": 0.4, **two, **lengths(131, 137)}
    longer["value_dim"] = 137
    yield situation("dropout", "dropout_causal_131x137", is_causal=True, **longer)
    yield situation("dropout", "dropout_float_mask_131x137", mask="float", **longer)
    square: dict[str, Any] = {"probe": "dropout", **lengths(64, 64)}
    yield situation("dropout", "dropout_causal", is_causal=True, dropout_p=0.3, **square)
    yield situation("dropout", "dropout_masked", mask="boolean", scale=0.2, dropout_p=0.6, **square)
