"""What a spec of the user's means: which file or module, what in it, and in which layout."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import cast

from torch import Tensor, nn

from implementations.interface import (
    ALL_FEATURES,
    AttentionFunction,
    Feature,
    Implementation,
)
from implementations.naming import LAYOUTS, CatalogueError, Layout, parse_spec


def load_kernel(text: str) -> Implementation:
    """The user's own kernel that a spec names: a function or an `Implementation`.

    Raises:
        CatalogueError: it cannot be loaded.

    """
    spec = parse_spec(text)
    target = spec.target
    module = _load_file(text, target) if target.endswith(".py") else _load_module(text, target)
    found = getattr(module, spec.attribute, None)
    if isinstance(found, Implementation):
        _check_layer(text, found, spec.layout)
        named = replace(found, name=spec.name or found.name, spec=text)
    elif isinstance(found, type) and issubclass(found, nn.Module):
        raise CatalogueError(
            f"--impl {text}: {spec.attribute} is a class of modules, which has no oracle; name an "
            'Implementation(kind="layer", build=…, layer_oracle=…) in its place'
        )
    elif callable(found):
        named = from_function(found, name=spec.name or spec.attribute, spec=text)
    else:
        raise CatalogueError(f"--impl {text}: {target} has no function {spec.attribute!r}")
    return in_layout(named, spec.layout)


def _check_layer(text: str, declared: Implementation, layout: Layout) -> None:
    """Whether what calls for a layer is there, and nothing that is for cores only.

    Raises:
        CatalogueError: it is not.

    """
    if declared.kind == "core":
        return
    for name in ("build", "layer_oracle"):
        if getattr(declared, name) is None:
            raise CatalogueError(
                f'--impl {text}: expected {name}=… beside kind="layer", got none; it is described '
                "in docs/contracts.md"
            )
    if layout != LAYOUTS[0]:
        raise CatalogueError(
            f"--impl {text}: a layer takes (batch, seq_len, d_model), and has no layout; leave "
            f"{layout} out"
        )


def in_layout(implementation: Implementation, layout: Layout) -> Implementation:
    """The implementation behind the common signature, for a kernel that takes another layout.

    Its inputs and its output are transposed as views; nothing is copied.
    """
    if layout in (LAYOUTS[0], implementation.layout):
        return implementation
    kernel: Callable[..., object] = implementation.fn

    @wraps(kernel)
    def transposed(query: Tensor, key: Tensor, value: Tensor, **keywords: object) -> object:
        output = kernel(*(t.transpose(-3, -2) for t in (query, key, value)), **keywords)
        return output.transpose(-3, -2) if isinstance(output, Tensor) else output

    return replace(
        implementation,
        fn=cast(AttentionFunction, transposed),
        layout=layout,
        supports=implementation.supports - {Feature.LEADING_DIMS},
    )


def from_function(
    function: Callable[..., object], *, name: str | None = None, spec: str = ""
) -> Implementation:
    """A user's function as an implementation that claims O(n²d) and supports what it accepts.

    Its workspace law is unknown; n²d, that of the whole score matrix, is assumed when memory is
    predicted.
    """
    return Implementation(
        name=name or str(getattr(function, "__name__", type(function).__name__)),
        title=(inspect.getdoc(function) or "user's kernel").splitlines()[0],
        source=spec or "given as a function",
        fn=cast(AttentionFunction, function),
        time_law="n^2*d",
        workspace_law="n^2*d",
        supports=_accepted(function),
        spec=spec,
        declared=False,
    )


def _accepted(function: Callable[..., object]) -> frozenset[Feature]:
    # A module's __call__ takes anything and hands it to forward, which may not.
    called = getattr(function, "forward", function)
    try:
        parameters = inspect.signature(called).parameters.values()
    except (TypeError, ValueError):  # builtins may have no signature
        return ALL_FEATURES
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    names = {p.name for p in parameters}
    keyword_features = {
        "attn_mask": {Feature.BOOLEAN_MASK, Feature.FLOAT_MASK},
        "is_causal": {Feature.CAUSAL},
        "scale": {Feature.SCALE},
        "dropout_p": {Feature.DROPOUT},
        "enable_gqa": {Feature.GROUPED},
        "window": {Feature.WINDOW},
    }
    missing = [
        features
        for keyword, features in keyword_features.items()
        if keyword not in names and not (takes_any and features <= ALL_FEATURES)
    ]
    return frozenset(Feature).difference(*missing)


def _load_file(text: str, target: str) -> ModuleType:
    path = Path(target)
    if not path.is_file():
        raise CatalogueError(f"--impl {text}: there is no file {target}")
    module_name = f"attnscale_user_{path.stem}"
    found = importlib.util.spec_from_file_location(module_name, path)
    if found is None or found.loader is None:
        raise CatalogueError(f"--impl {text}: {target} cannot be imported")
    module = importlib.util.module_from_spec(found)
    sys.modules[module_name] = module
    with _importing(text, path.resolve().parent):
        found.loader.exec_module(module)
    return module


def _load_module(text: str, target: str) -> ModuleType:
    with _importing(text, Path.cwd()):
        return importlib.import_module(target)


@contextlib.contextmanager
def _importing(text: str, folder: Path) -> Iterator[None]:
    """Have `folder` on the path; whatever the user's module raises becomes one line.

    What it prints goes to stderr: stdout may be a JSON document.
    """
    sys.path.insert(0, str(folder))
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except (Exception, SystemExit) as problem:
        why = str(problem).partition("\n")[0]
        raise CatalogueError(
            f"--impl {text}: importing failed with {type(problem).__name__}: {why}"
        ) from problem
    finally:
        sys.path.remove(str(folder))
