"""What may a user name: implementations of the suite, and specs of kernels of his own? No torch.

So a wrong name is refused at once. The names of the suite are read from its files without
importing them, so that each has to stand in its file as `name="…"` or `NAME = "…"`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, cast, get_args

Layout = Literal["bhsd", "bshd"]
LAYOUTS: tuple[str, ...] = get_args(Layout)
SPEC_FORMS = "path/to/file.py:function or package.module:function"
ENTRY_POINT_GROUP = "attnscale.implementations"
FOLDERS = ("attention", "layers")
_NAME = re.compile(r'\b(?:name=|NAME = )"(\w+)"')


class CatalogueError(ValueError):
    """An implementation that cannot be found or loaded; the message is one line for the user."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """Where a user's kernel is: a file or a module, what in it, and under which name and layout."""

    name: str
    target: str
    attribute: str
    layout: Layout


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question that names what is spelled nearly so, to end a clause; empty without any."""
    near = difflib.get_close_matches(name.casefold(), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


@cache
def suite_names() -> frozenset[str]:
    """The names of all implementations that come with the suite."""
    folders = [Path(__file__).with_name(folder) for folder in FOLDERS]
    return frozenset().union(
        *(names_in(file) for folder in folders for file in folder.glob("[!_]*.py"))
    )


def names_in(file: Path) -> frozenset[str]:
    """The names that a file of the suite declares."""
    return frozenset(_NAME.findall(file.read_text(encoding="utf-8")))


def entry_point_specs() -> dict[str, str]:
    """What loads the implementation of each entry point of installed packages, by name."""
    from importlib.metadata import entry_points  # it takes as long to import as all else here

    points = entry_points(group=ENTRY_POINT_GROUP)
    return {point.name: f"{point.name}={point.value}" for point in points}


def check_names(names: Iterable[str]) -> None:
    """See that there is an implementation of each name, or a file of each spec among them.

    Raises:
        CatalogueError: there is none.

    """
    known = [*sorted(suite_names()), *entry_point_specs()]
    for name in names:
        if ":" in name:
            check_specs([name], LAYOUTS[0])
        elif name not in known:
            raise unknown_name(name, known)


def unknown_name(name: str, known: Iterable[str]) -> CatalogueError:
    """The error for a name that no implementation has: the nearest one, else all."""
    names = list(known)
    near = did_you_mean(name, names) or f"; there are {', '.join(names)}"
    return CatalogueError(
        f"no implementation is called {name!r}{near} (attnscale list shows all; your own: --impl "
        "path/to/file.py:function)"
    )


def check_specs(specs: Sequence[str], layout: str) -> list[Spec]:
    """The user's specs taken apart, with the layout that was asked for beside them.

    Raises:
        CatalogueError: one is no spec, its file is not there, or there is no such layout.

    """
    found = []
    for text in in_this_layout(specs, layout):
        spec = parse_spec(text)
        if spec.target.endswith(".py") and not Path(spec.target).is_file():
            raise CatalogueError(f"--impl {text}: there is no file {spec.target}")
        found.append(spec)
    return found


def parse_spec(text: str) -> Spec:
    """Take `name=target:attribute[layout]` apart.

    Raises:
        CatalogueError: it is not of that form, or there is no such layout.

    """
    name, equals, rest = text.partition("=")
    if not equals:
        name, rest = "", text
    target, _, attribute = rest.rpartition(":")
    attribute, bracket, layout = attribute.partition("[")
    if not target or not attribute or (equals and not name):
        raise CatalogueError(f"--impl {text}: expected {SPEC_FORMS}")
    chosen = layout.removesuffix("]") if bracket else LAYOUTS[0]
    if chosen not in LAYOUTS or (bracket and not layout.endswith("]")):
        choices = " or ".join(f"[{one}]" for one in LAYOUTS)
        raise CatalogueError(f"--impl {text}: expected {choices}, got [{layout}")
    return Spec(name=name, target=target, attribute=attribute, layout=cast(Layout, chosen))


def in_this_layout(specs: Sequence[str], layout: str) -> list[str]:
    """The user's specs with the layout that was asked for beside them.

    Raises:
        CatalogueError: there is no such layout, or no spec that it could be of.

    """
    if not specs and layout != LAYOUTS[0]:
        raise CatalogueError(f"--layout {layout}: expected --impl beside it, got none")
    if layout not in LAYOUTS:
        raise CatalogueError(f"--layout: expected {' or '.join(LAYOUTS)}, got {layout!r}")
    plain = layout == LAYOUTS[0]
    return [spec if plain or spec.endswith("]") else f"{spec}[{layout}]" for spec in specs]
