"""In a process of a revision, all of the repository's modules come from the revision.

An editable install, a `.pth` file or PYTHONPATH lead to the working tree, whose modules must not be
measured as those of the revision.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

from implementations.naming import CatalogueError, parse_spec

ROOT = Path(__file__).resolve().parents[2]


class RevisionFinder:
    """Finds in `folder`, the checkout, what others find in `repository`, the working tree."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self.folder, self.repository = folder, repository
        # Installed packages, and our own, may lie within the repository.
        self._apart = (folder, Path(sys.prefix).resolve(), ROOT)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What the other finders find, in its place in the checkout.

        Raises:
            ImportError: the file is not in the checkout.

        """
        others = (one for one in sys.meta_path if one is not self)
        found = next((spec for one in others if (spec := one.find_spec(name, path, target))), None)
        if found is None:
            return None
        locations = found.submodule_search_locations
        if locations is not None:
            locations = [self.moved(one) for one in locations]
        if found.origin is None or not found.has_location:
            found.submodule_search_locations = locations
            return found
        file = self.moved(found.origin)
        if file == found.origin:
            return found
        if not Path(file).is_file():
            raise ImportError(f"{found.origin} is not committed in the revision", name=name)
        return spec_from_file_location(name, file, submodule_search_locations=locations)

    def moved(self, place: str) -> str:
        """The path in the checkout of a path in the working tree; others stay as they are."""
        path = Path(os.path.realpath(place))
        if not path.is_relative_to(self.repository) or any(map(path.is_relative_to, self._apart)):
            return place
        return str(self.folder / path.relative_to(self.repository))


def import_from(folder: Path, repository: Path) -> None:
    """Have this process import what belongs to the repository from the checkout in `folder`."""
    finder = RevisionFinder(folder, repository)
    sys.path[:] = [finder.moved(one) for one in sys.path]
    sys.meta_path.insert(0, finder)


def refuse_outside(spec: str) -> None:
    """Refuse a kernel that a process of a revision found outside of the repository.

    Raises:
        CatalogueError: its module is an installed one, the same in every revision.

    """
    finder = next((one for one in sys.meta_path if isinstance(one, RevisionFinder)), None)
    target = parse_spec(spec).target if ":" in spec else ""
    if finder is None or not target or target.endswith(".py"):
        return
    file = getattr(sys.modules.get(target), "__file__", None)
    if file is None or not Path(file).is_relative_to(finder.folder):
        raise CatalogueError(
            f"--impl {spec}: {target} is {file}, which is no file of the repository "
            f"{finder.repository}; --against compares files of the repository"
        )
