"""A core under `torch.compile`, as a variant of its own: what fusing the same operators gains.

Each kind of call (shapes, strides, dtype, gradients, keywords, threads) is compiled for itself, in
its first call, with a code object of its own: torch keeps what it compiled at the code object, and
looks through all of it in every call. Beyond some eight entries it goes back to plain Python
without a word, and what is timed would be another thing; in a first call that limit is lifted,
since the frames that a graph break leaves are shared between all kinds of calls.

A backward pass that autograd traced is compiled too; one that a core brings as a
`torch.autograd.Function`, as the chunked cores do for all but short calls, runs as it is.

Graph breaks are allowed: where a core looks at its numbers, the code around them is compiled in
pieces. Telling the kind of a call costs some microseconds, which small sizes show.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import sys
import sysconfig
import warnings
from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from types import FunctionType
from typing import Any, cast

import torch
from torch import Tensor

from implementations.case import Case
from implementations.interface import Feature, Implementation, UnsupportedCaseError
from implementations.masking import refuse_dropout

Backend = Callable[[torch.fx.GraphModule, list[Tensor]], Callable[..., Any]]

# More than a sweep has cells; what was compiled first is given up beyond.
MOST_KINDS = 1024
NO_LIMIT = 2**30
COMPILERS = {"darwin": "clang++", "win32": "cl"}  # elsewhere g++, unless CXX says otherwise


def compiled(
    implementation: Implementation,
    backend: Backend | None = None,
    *,
    name: str | None = None,
    workspace_law: str | None = None,
) -> Implementation:
    """The implementation under `torch.compile`, by inductor or by another back end.

    `workspace_law` is that of what is compiled, where it differs. Nothing is compiled, nor torch's
    compiler imported, before the first call. Dropout is left out: inductor draws its own random
    numbers.
    """
    ready: dict[Hashable, Callable[..., Tensor]] = {}
    graphs = 0

    def counting(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        nonlocal graphs
        graphs += 1
        return (backend or _inductor())(graph, inputs)

    @wraps(implementation.fn)
    def run(query: Tensor, key: Tensor, value: Tensor, **keywords: Any) -> Tensor:
        kind = _kind(query, key, value, keywords)
        known = ready.get(kind)
        if known is not None:
            return known(query, key, value, **keywords)
        refuse_dropout("a compiled core", keywords.get("dropout_p", 0.0))
        if torch._C._len_torch_dispatch_stack():
            raise UnsupportedCaseError("the operators of a compiled core cannot be counted")
        own = torch.compile(_copy(implementation.fn), backend=counting, dynamic=False)
        output = _first_call(own, query, key, value, **keywords)
        if len(ready) >= MOST_KINDS:
            ready.pop(next(iter(ready)))
        ready[kind] = own
        return output

    def declines(case: Case) -> str | None:
        reason = implementation.unsupported(case)
        return reason if reason is not None or backend else lacks(case.device_type)

    return replace(
        implementation,
        name=name or f"{implementation.name}_compiled",
        title=f"{implementation.name} under torch.compile",
        source=f"{implementation.source}; torch.compile",
        fn=run,
        workspace_law=workspace_law or implementation.workspace_law,
        supports=implementation.supports - {Feature.DROPOUT},
        declines=declines,
        compilations=lambda: graphs,
    )


def lacks(device_type: str) -> str | None:
    """What inductor needs on a device and does not find, without importing it; None if nothing."""
    if device_type != "cpu":
        missing = importlib.util.find_spec("triton") is None
        return "torch.compile needs Triton on CUDA; install triton" if missing else None
    compiler = os.environ.get("CXX") or COMPILERS.get(sys.platform, "g++")
    if shutil.which(compiler) is None:
        return f"torch.compile needs a C++ compiler, and {compiler!r} is not found; set CXX to one"
    headers = Path(sysconfig.get_path("include"))
    if not (headers / "Python.h").is_file():
        return "torch.compile needs Python's C headers, and there is no Python.h; install them"
    return None


def _inductor() -> Backend:
    from torch._inductor.compile_fx import compile_fx

    return cast(Backend, compile_fx)


def _copy(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The function behind a code object of its own, at which torch keeps what it compiles."""

    def call(*tensors: Tensor, **keywords: Any) -> Tensor:
        return function(*tensors, **keywords)

    code = call.__code__.replace()
    return FunctionType(code, call.__globals__, closure=call.__closure__)


def _first_call(function: Callable[..., Tensor], *tensors: Tensor, **keywords: Any) -> Tensor:
    """Compile, with no limit on how much is compiled.

    Raises:
        UnsupportedCaseError: torch cannot compile it here.

    """
    import torch._dynamo.config
    from torch._dynamo.exc import BackendCompilerFailed

    unlimited = {"recompile_limit": NO_LIMIT, "accumulated_recompile_limit": NO_LIMIT}
    # It warns of every graph break and every cached function, which are meant.
    log = logging.getLogger("torch._dynamo")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch._dynamo.config.patch(unlimited):
            warnings.simplefilter("ignore")
            return function(*tensors, **keywords)
    except BackendCompilerFailed as problem:
        inner = problem.inner_exception
        reason = f"{type(inner).__name__}: {str(inner).partition(chr(10))[0]}"
        raise UnsupportedCaseError(f"torch cannot compile this: {reason}") from problem
    finally:
        log.setLevel(level)


def _kind(query: Tensor, key: Tensor, value: Tensor, keywords: dict[str, Any]) -> Hashable:
    """All that a call is compiled for."""
    given = dict(sorted(keywords.items()))
    mask = given.pop("attn_mask", None)
    tensors = (query, key, value) if mask is None else (query, key, value, mask)
    return (
        torch.is_grad_enabled(),
        torch.get_num_threads(),
        *given.items(),
        *[(one.shape, one.stride(), one.dtype, one.device, one.requires_grad) for one in tensors],
    )
