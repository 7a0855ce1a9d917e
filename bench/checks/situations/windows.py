"""Sliding windows, causal and two-sided: narrower than a block, as wide, wider, and wider than all.

A kernel that knows no window is asked with a mask instead, and a band of a mask is a mask.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.checks.situation import CheckCase
from bench.checks.situations.parts import HEAVY_TAIL, lengths, situation


def windows() -> Iterator[CheckCase]:
    """Every relation of window and lengths; most rows see a few keys, some of them none."""
    for is_causal in (False, True):
        kind: dict[str, Any] = {"is_causal": is_causal}
        words = "window_causal" if is_causal else "window"

        def windowed(
            name: str, window: int, *recipe: str, said: str = words, **values: Any
        ) -> CheckCase:
            return situation("windows", f"{said}_{name}", *recipe, window=window, **values)

        yield windowed("of_one", 1, seq_len=7, **kind)
        yield windowed("of_three", 3, seq_len=7, **kind)
        yield windowed("beyond_all", 31, seq_len=7, **kind)
        yield windowed("more_keys", 2, **kind, **lengths(11, 23, 13))
        # Of these rows the last see no key.
        yield windowed("more_queries", 3, **kind, **lengths(23, 11, 13))
        yield windowed("single_query", 5, seq_len=1, key_len=13, **kind)
        yield windowed("value_dim", 5, seq_len=17, key_len=17, value_dim=13, **kind)
        yield windowed("five_dimensions", 3, leading=(2, 3, 2), **kind)
        # A key outside the band that outweighs all within.
        outside = "key[..., 30:33, :] *= 40; value[..., 30:33, :] *= 100"
        yield windowed("heavy_outside", 5, outside, leading=(1, 3), **kind, **lengths(67, 67, 16))
        for length, window in ((64, 16), (65, 17), (131, 64), (257, 65), (127, 128)):
            name = f"{window}_of_{length}"
            yield windowed(
                name, window, HEAVY_TAIL, leading=(1, 2), **kind, **lengths(length, length)
            )
        rows: dict[str, Any] = {"probe": "rows", "leading": (1, 1), **kind}
        yield windowed("128_of_1031", 128, HEAVY_TAIL, **rows, **lengths(1031, 1031))
        yield windowed("47_of_2048", 47, **rows, **lengths(2048, 2048, 32))
        longer: dict[str, Any] = {"leading": (2, 2), **kind, **lengths(67, 67, 8)}
        # Two heads of keys for six of queries, in a window.
        yield windowed("grouped", 5, leading=(2, 6), num_kv_heads=2, **kind, **lengths(67, 67, 16))
        yield windowed("calls_in_turn", 9, probe="state", **longer)
        yield windowed("properties", 9, probe="properties", **longer)
        yield windowed("scaling", 9, probe="scaling", **longer)
