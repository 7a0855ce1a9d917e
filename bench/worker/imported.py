"""The implementations that this measuring process has imported, each once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.process.global_state import RANDOM, restored_state
from implementations.catalogue import load
from implementations.interface import Implementation


@dataclass(frozen=True, kw_only=True)
class Imported:
    """An implementation, and what importing it changed of the state that all share."""

    implementation: Implementation
    changed: Sequence[str]


_imported: dict[str, Imported] = {}


def is_imported(spec: str) -> bool:
    """Whether asking for the implementation runs none of the user's code any more."""
    return ":" not in spec or spec in _imported


def imported(spec: str) -> Imported:
    """The implementation that a spec means; state that its import changes is put back.

    Raises:
        CatalogueError: it cannot be loaded.

    """
    if spec not in _imported:
        with restored_state() as changes:
            implementation = load(spec)
        # A seed that is set at import is everybody's habit, and harms nobody.
        changed = [one for one in changes if one != RANDOM]
        _imported[spec] = Imported(implementation=implementation, changed=changed)
    return _imported[spec]
