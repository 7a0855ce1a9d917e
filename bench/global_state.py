"""State that a kernel shares with everybody in its process: looked at, and put back.

It is compared around the import of a kernel's file and around every check. What a kernel changes at
import is put back and told; what a call leaves changed is a failure (`bench.verify`).
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import torch

UNLIKELY_SEED = 8_191_131_071
# Torch itself wraps it when its compiler is first imported.
WRAPPED_LATER = "manual_seed"
RANDOM = "the state of the random numbers"


def _float32_precision() -> tuple[object, ...]:
    """The older setting, and the newer one of each back end, which cannot always be read beside."""
    try:
        older: object = torch.get_float32_matmul_precision()
    except RuntimeError:
        older = "mixed"
    newer = (getattr(one, "fp32_precision", None) for one in _BACK_ENDS)
    # The older setting "highest" sets the newer ones, which are "none" before, to "ieee".
    return older, *("none" if one == "ieee" else one for one in newer)


def _set_float32_precision(before: tuple[Any, ...]) -> None:
    older, *newer = before
    for restore in (1, 2):  # either may be refused while the other contradicts it
        for one, precision in zip(_BACK_ENDS, newer, strict=True):
            if precision is not None:
                one.fp32_precision = precision
        if restore == 1 and older != "mixed" and _float32_precision()[0] != older:
            torch.set_float32_matmul_precision(older)


def _set_deterministic(before: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def _flushes_denormals() -> bool:
    return (_DENORMAL * 1.0).item() == 0.0


def _functions() -> list[tuple[object, ...]]:
    return [
        tuple(map(vars(owner).get, names))  # a thousand and more: `map` keeps it below 0.1 ms
        for owner, names in _WATCHED.items()
    ]


def _set_functions(before: list[tuple[object, ...]]) -> None:
    for (owner, names), functions in zip(_WATCHED.items(), before, strict=True):
        for name, function in zip(names, functions, strict=True):
            if vars(owner).get(name) is not function:
                setattr(owner, name, function)


_DENORMAL = torch.tensor(1e-310, dtype=torch.float64)
_BACK_ENDS: tuple[Any, ...] = (
    torch.backends,
    torch.backends.cuda.matmul,
    torch.backends.mkldnn.matmul,  # type: ignore[attr-defined]  # torch's stubs lack it
    torch.backends.cudnn.conv,  # type: ignore[attr-defined]  # torch's stubs lack it
)
# What reads the clock, computes references and compares: whoever replaces it judges himself.
_WATCHED: dict[type | ModuleType, list[str]] = {
    owner: [
        name
        for name, value in vars(owner).items()
        if callable(value) and not name.startswith("_") and name != WRAPPED_LATER
    ]
    for owner in (torch, torch.Tensor, torch.nn.functional, torch.autograd, time)
}
GLOBAL_STATE: dict[str, tuple[Callable[[], object], Callable[..., object]]] = {
    "whether gradients are recorded": (torch.is_grad_enabled, torch.set_grad_enabled),
    "the default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "the default device": (torch.get_default_device, torch.set_default_device),
    "the number of threads": (torch.get_num_threads, torch.set_num_threads),
    "the precision of float32 products": (_float32_precision, _set_float32_precision),
    "whether algorithms are deterministic": (
        lambda: (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        _set_deterministic,
    ),
    "whether denormal numbers become zero": (_flushes_denormals, torch.set_flush_denormal),
    "functions of torch or of the clock": (_functions, _set_functions),
}


@contextlib.contextmanager
def restored_state() -> Iterator[list[str]]:
    """Put back what is changed of the global state; the list names it afterwards."""
    changes: list[str] = []
    before = {name: read() for name, (read, _) in GLOBAL_STATE.items()}
    python_random = random.getstate()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    try:
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(UNLIKELY_SEED)  # so that a kernel that sets one changes something
            drawn = torch.get_rng_state()
            yield changes
            if not torch.equal(drawn, torch.get_rng_state()):
                changes.append(RANDOM)
    finally:
        random.setstate(python_random)
        for name, (read, restore) in GLOBAL_STATE.items():
            if read() != before[name]:
                changes.append(name)
                restore(before[name])
