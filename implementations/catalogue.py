"""Finds every implementation by looking: files in `attention/` and `layers/`, and entry points.

A file is an implementation because it declares `IMPLEMENTATION` (and perhaps `VARIANTS`); there is
nothing to register.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType

import implementations.attention
import implementations.layers
from implementations.interface import Implementation
from implementations.naming import (
    SPEC_FORMS,
    CatalogueError,
    entry_point_specs,
    names_in,
    unknown_name,
)
from implementations.specs import load_kernel


class EntryPointWarning(UserWarning):
    """An installed package offers an implementation that cannot be loaded."""


@cache
def suite() -> dict[str, Implementation]:
    """Every implementation of the suite by name, in name order.

    Raises:
        CatalogueError: a file declares nothing, or two implementations share a name.

    """
    found: dict[str, Implementation] = {}
    for package in (implementations.attention, implementations.layers):
        for implementation in declared_in(package):
            _add(found, implementation)
    return dict(sorted(found.items()))


def with_entry_points(load: Callable[[str], Implementation]) -> dict[str, Implementation]:
    """Every implementation of the suite and of entry points, by name, in name order.

    `load` loads those of entry points by their specs.
    """
    found = dict(suite())
    for name, spec in entry_point_specs().items():
        try:
            _add(found, load(spec))
        except CatalogueError as problem:
            # Somebody's broken package must not keep the others from being measured.
            message = f"entry point {name} left out: {problem}"
            warnings.warn(message, EntryPointWarning, stacklevel=2)
    return dict(sorted(found.items()))


def declared_in(package: ModuleType) -> Iterator[Implementation]:
    """What the modules of a package declare; names that start with an underscore are left alone.

    Raises:
        CatalogueError: a module declares no `IMPLEMENTATION`, or its name does not stand there.

    """
    for info in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if info.name.rpartition(".")[2].startswith("_"):
            continue
        module = importlib.import_module(info.name)
        declared = getattr(module, "IMPLEMENTATION", None)
        if not isinstance(declared, Implementation):
            raise CatalogueError(
                f"{module.__file__} declares no IMPLEMENTATION; "
                "add one at its end, or let the file's name start with an underscore"
            )
        names = names_in(Path(str(module.__file__)))
        for implementation in (declared, *getattr(module, "VARIANTS", ())):
            if implementation.name not in names:
                raise CatalogueError(
                    f'{module.__file__} must say name="{implementation.name}" as it is, since '
                    "names are read before anything is imported"
                )
            yield replace(implementation, spec=implementation.name)


def load(text: str) -> Implementation:
    """The implementation that `text` names.

    A name of the catalogue, or the user's own kernel as `package.module:function` or
    `path/to/file.py:function`, with another name as `name=SPEC`. What is named may be a function
    or an `Implementation`. `SPEC[bshd]` is a kernel on (batch, seq_len, num_heads, head_dim).

    Raises:
        CatalogueError: nothing of that name, or it cannot be loaded.

    """
    if ":" not in text:
        if text in suite():
            return suite()[text]
        specs = entry_point_specs()
        if text in specs:
            return load(specs[text])
        raise unknown_name(text, [*suite(), *specs])
    return load_kernel(text)


def load_all(
    names: Iterable[str],
    specs: Iterable[str] = (),
    load: Callable[[str], Implementation] = load,
) -> list[Implementation]:
    """The named implementations, then those of the specs; `load` loads each of them.

    Raises:
        CatalogueError: one cannot be loaded, or two share a name.

    """
    found: dict[str, Implementation] = {}
    for name in dict.fromkeys(names):
        _add(found, load(name))
    for spec in specs:
        if ":" not in spec:
            raise CatalogueError(f"--impl {spec}: expected {SPEC_FORMS}")
        implementation = load(spec)
        if implementation.name in (*suite(), *entry_point_specs()):
            raise CatalogueError(
                f"--impl {spec}: {implementation.name!r} is taken; "
                f"give it another name with --impl other_name={spec.partition('=')[2] or spec}"
            )
        _add(found, implementation)
    return list(found.values())


def _add(found: dict[str, Implementation], implementation: Implementation) -> None:
    if implementation.name in found:
        raise CatalogueError(f"two implementations are called {implementation.name!r}; rename one")
    found[implementation.name] = implementation
