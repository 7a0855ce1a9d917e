"""What layers are asked: lengths, masks, odd widths, large and small inputs, a memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.checks.situation import Area, CheckCase
from bench.checks.situations.parts import BOOLEAN, situation

# Beyond this, a step of half precision in a score is more than a weight.
LARGE = 4


def layers() -> Iterator[CheckCase]:
    """Situations of 2 items of 7 positions, 3 heads of 5 features unless they say otherwise."""
    yield _layer("shapes", "layer")
    yield _layer("shapes", "layer_single_token", seq_len=1, key_len=1)
    yield _layer("shapes", "layer_one_item", leading=(1, 3))
    yield _layer("shapes", "layer_one_head", leading=(2, 1), head_dim=11)
    yield _layer("shapes", "layer_131", leading=(1, 2), seq_len=131, key_len=131, head_dim=8)
    yield _layer("shapes", "layer_64x64", leading=(2, 4), seq_len=64, key_len=64, head_dim=16)
    # Narrow, so that the oracle of any layer can be had at a length that blocks are counted by.
    yield _layer("shapes", "layer_1031", leading=(1, 1), seq_len=1031, key_len=1031, head_dim=4)
    yield _layer("scores", "layer_large", f"x *= {LARGE}", f"memory *= {LARGE}")
    yield _layer("scores", "layer_small", "x *= 2.0**-10", "memory *= 2.0**-10")
    yield _layer("gradients", "layer_upstream_large", "grad_output *= 100")
    yield _layer("causal", "layer_causal", is_causal=True)
    longer: dict[str, Any] = {"leading": (1, 2), "seq_len": 67, "key_len": 67, "head_dim": 8}
    yield _layer("causal", "layer_causal_67", is_causal=True, **longer)
    yield _layer("masks", "layer_boolean_mask", **BOOLEAN)
    yield _layer("masks", "layer_float_mask", mask="float")
    window: dict[str, Any] = {"seq_len": 17, "key_len": 17, "window": 3}
    yield _layer("windows", "layer_window", **window)
    yield _layer("windows", "layer_window_causal", is_causal=True, **window)
    yield _layer("shapes", "layer_long_memory", key_len=37)
    yield _layer("shapes", "layer_short_memory", seq_len=17, key_len=3)
    yield _layer("masks", "layer_memory_mask", key_len=13, **BOOLEAN)


def _layer(area: Area, name: str, *recipe: str, **values: Any) -> CheckCase:
    sizes = {"seq_len": 7, "key_len": 7, "head_dim": 5, **values}
    return situation(
        area, name, *recipe, probe="layer", **{**sizes, "value_dim": sizes["head_dim"]}
    )
