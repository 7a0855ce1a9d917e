"""Which attention kernel a call ran. torch chooses one at every call, and falls back silently.

The profiler sees the operator that torch chose: on a CPU
`_scaled_dot_product_flash_attention_for_cpu` or `_scaled_dot_product_attention_math`, on CUDA the
flash, efficient or cuDNN one or the math formula. On CUDA this has not run on a device yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from torch._C._profiler import _ProfilerEvent

# Operators have a namespace; annotations and compiled regions have none.
_ATTENTION = re.compile(r"\w+::\w*(?:attention|attn)\w*")
_CHOOSES = "aten::scaled_dot_product_attention"


def attention_kernel(events: Iterable[_ProfilerEvent]) -> str | None:
    """The attention operator that ran, several in alphabetical order; None where plain ones ran.

    `events` are all that the profiler saw. The outermost attention operator counts, but not the one
    that only chooses, nor a backward pass. torch's own are told without `aten::`.
    """
    found = {event.name for event in events if _is_kernel(event) and not _is_inside_one(event)}
    return ", ".join(sorted(name.removeprefix("aten::") for name in found)) or None


def _is_kernel(event: _ProfilerEvent) -> bool:
    name = event.name
    return bool(_ATTENTION.fullmatch(name)) and name != _CHOOSES and "backward" not in name


def _is_inside_one(event: _ProfilerEvent) -> bool:
    caller = event.parent
    return caller is not None and (_is_kernel(caller) or _is_inside_one(caller))
