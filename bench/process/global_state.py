"""State that a kernel shares with everybody in its process: looked at, and put back.

It is compared around the import of a kernel's file and around every check. What a kernel changes at
import is put back and told; what a call leaves changed is a failure (`bench.checks.run_situation`).
"""

from __future__ import annotations

import contextlib
import random
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from types import ModuleType
from typing import Any

import torch
import torch.overrides
import torch.utils._python_dispatch
from torch.utils._device import DeviceContext

UNLIKELY_SEED = 8_191_131_071
# Torch itself wraps it when its compiler is first imported.
WRAPPED_LATER = "manual_seed"
# Who prints tensors prettily replaces these, and no number changes.
SHOWING = ("__repr__", "__str__", "__format__", "__dir__")
# Modules of ours that compute references, compare, or read the clock.
JUDGING = (
    "bench.checks",
    "bench.machine",
    "bench.process.global_state",
    "bench.timing",
    "bench.worker",
    "implementations.attention",
    "implementations.blocks",
    "implementations.masking",
    "implementations.oracle",
)
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


@cache
def _watched() -> dict[type | ModuleType, list[str]]:
    """Whose functions are watched, and their names: fixed when a process first asks for them."""
    judging = [module for name, module in sys.modules.items() if name.startswith(JUDGING)]
    owners: list[type | ModuleType] = [torch, torch.Tensor, torch.nn.functional, torch.autograd]
    names = {owner: _functions_in(owner) for owner in (*owners, time, *judging)}
    # What a tensor inherits is replaced by what is set beside it.
    names[torch.Tensor] += _functions_in(torch._C.TensorBase)
    return names


def _functions_in(owner: type | ModuleType) -> list[str]:
    # The operators of a class are functions too: `@` is `__matmul__`.
    skipped = (WRAPPED_LATER, *SHOWING)
    return [
        name
        for name, value in vars(owner).items()
        if callable(value) and not isinstance(value, type)
        if name not in skipped and (isinstance(owner, type) or not name.startswith("__"))
    ]


def _functions() -> list[tuple[object, ...]]:
    # More than a thousand: `map` keeps it at some 0.1 ms.
    return [tuple(map(vars(owner).get, names)) for owner, names in _watched().items()]


def _set_functions(before: list[tuple[object, ...]]) -> None:
    for (owner, names), functions in zip(_watched().items(), before, strict=True):
        for name, function in zip(names, functions, strict=True):
            if vars(owner).get(name) is function:
                continue
            if function is None:
                delattr(owner, name)
            else:
                setattr(owner, name, function)


def _modes() -> tuple[int, int]:
    """How many modes of torch are on, each of which may change what any function does."""
    functions = torch._C._len_torch_function_stack()
    if functions:  # the default device is one of them
        stack = torch.overrides._get_current_function_mode_stack()  # type: ignore[no-untyped-call]  # as above
        functions = sum(not isinstance(one, DeviceContext) for one in stack)
    return functions, torch._C._len_torch_dispatch_stack()


def _leave_modes(before: tuple[int, int]) -> None:
    now = _modes()
    for _ in range(now[0] - before[0]):
        torch.overrides._pop_mode()  # type: ignore[no-untyped-call]  # torch has no types there
    for _ in range(now[1] - before[1]):
        torch.utils._python_dispatch._pop_mode()


def _function_modes() -> tuple[list[Any], ...]:
    """Those modes themselves, and what torch notes of a default device, which is one of them."""
    stack: list[Any] = []
    if torch._C._len_torch_function_stack():
        stack = torch.overrides._get_current_function_mode_stack()  # type: ignore[no-untyped-call]  # as above
    noted = getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)
    return stack, [noted, torch.utils._device.CURRENT_DEVICE]


def _set_function_modes(before: tuple[list[Any], ...]) -> None:
    if _function_modes() == before:
        return
    stack, (noted, device) = before
    for _ in range(torch._C._len_torch_function_stack()):
        torch.overrides._pop_mode()  # type: ignore[no-untyped-call]  # as above
    for mode in stack:
        torch.overrides._push_mode(mode)  # type: ignore[no-untyped-call]  # as above
    torch._GLOBAL_DEVICE_CONTEXT.device_context = noted
    torch.utils._device.CURRENT_DEVICE = device


_DENORMAL = torch.tensor(1e-310, dtype=torch.float64)
_BACK_ENDS: tuple[Any, ...] = (
    torch.backends,
    torch.backends.cuda.matmul,
    torch.backends.mkldnn.matmul,  # type: ignore[attr-defined]  # torch's stubs lack it
    torch.backends.cudnn.conv,  # type: ignore[attr-defined]  # torch's stubs lack it
)
# What is read and put back with the help of torch's functions comes after these.
GLOBAL_STATE: dict[str, tuple[Callable[[], object], Callable[..., object]]] = {
    "the modes of torch": (_modes, _leave_modes),
    "functions of torch, of the clock or of the checks": (_functions, _set_functions),
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
        lambda before: torch.use_deterministic_algorithms(before[0], warn_only=before[1]),
    ),
    "whether denormal numbers become zero": (
        lambda: (_DENORMAL * 1.0).item() == 0.0,
        torch.set_flush_denormal,
    ),
}


Snapshot = dict[str, Any]
# Put back without a word: to set the default device, even to the CPU that it was, leaves a mode on,
# under which torch takes longer and keeps off its fast paths.
_FUNCTION_MODES = "the modes themselves"


def snapshot() -> Snapshot:
    """The state now; the state of random numbers is no part of it."""
    now = {name: read() for name, (read, _) in GLOBAL_STATE.items()}
    return {**now, _FUNCTION_MODES: _function_modes()}


def put_back(before: Snapshot) -> list[str]:
    """Put back what has changed since; its names."""
    changes = []
    for name, (read, restore) in GLOBAL_STATE.items():
        if read() != before[name]:
            changes.append(name)
            restore(before[name])
    _set_function_modes(before[_FUNCTION_MODES])
    return changes


@cache
def state_at_start() -> Snapshot:
    """The state when this process was first asked for it: before any kernel is called."""
    return snapshot()


@contextlib.contextmanager
def restored_state() -> Iterator[list[str]]:
    """Put back what is changed of the global state; the list names it afterwards."""
    changes: list[str] = []
    before = snapshot()
    python_random = random.getstate()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    try:
        with torch.random.fork_rng(devices=devices):
            # So that a kernel that sets a seed changes something. `torch.manual_seed` would note
            # the call, with its traceback, for every device that this process never starts.
            torch.default_generator.manual_seed(UNLIKELY_SEED)
            drawn = torch.get_rng_state()
            try:
                yield changes
            finally:
                changes += put_back(before)
            if not torch.equal(drawn, torch.get_rng_state()):
                changes.append(RANDOM)
    finally:
        random.setstate(python_random)
