"""A kernel of the user's as the process that has imported it describes it to its parent.

The parent never imports the user's file: what that starts would be the parent's, and what that
breaks as well.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from torch import Tensor

from implementations.interface import Feature, Implementation
from implementations.naming import parse_spec
from implementations.oracle import softmax_attention

# What is told as it is.
PLAIN = (
    *("name", "title", "source", "time_law", "workspace_law", "kind", "unmeasured_workspace"),
    *("spec", "layout", "declared", "expected_kernel", "needs_memory", "scores_pairs"),
)


@dataclass(frozen=True, kw_only=True)
class Described(Implementation):
    """All that is known of a kernel but its function, which cannot be called here.

    `changed_at_import` names the state that importing it changed, and that was put back.
    `loss` is the status and the reason of an import that never ended, or took its process down.
    """

    source_sha256: str | None = None
    changed_at_import: tuple[str, ...] = ()
    loss: tuple[str, str] | None = None


def describe(implementation: Implementation, changed: Sequence[str]) -> dict[str, Any]:
    """The description, as plain data."""
    return {
        **{name: getattr(implementation, name) for name in PLAIN},
        "supports": sorted(implementation.supports),
        "dtypes": list(implementation.dtypes),
        "devices": list(implementation.devices),
        "is_softmax": implementation.oracle is softmax_attention,
        "source_sha256": source_sha256(implementation),
        "declines_some": implementation.declines is not None,
        "changed_at_import": list(changed),
    }


def from_description(told: Mapping[str, Any]) -> Described:
    """The implementation that a description is of."""
    return Described(
        **{name: told[name] for name in PLAIN},
        **_stand_ins(told["kind"]),
        supports=frozenset(map(Feature, told["supports"])),
        dtypes=tuple(told["dtypes"]),
        devices=tuple(told["devices"]),
        oracle=softmax_attention if told["is_softmax"] else _other_oracle,
        source_sha256=told["source_sha256"],
        changed_at_import=tuple(told["changed_at_import"]),
    )


def lost_import(text: str, status: str, reason: str) -> Described:
    """What stands for a kernel whose import was lost: its spec alone is known."""
    spec = parse_spec(text)
    return Described(
        name=spec.name or spec.attribute,
        title="user's kernel",
        source=text,
        fn=_elsewhere,
        time_law="n^2*d",
        workspace_law="n^2*d",
        spec=text,
        layout=spec.layout,
        declared=False,
        loss=(status, reason),
    )


def source_sha256(implementation: Implementation) -> str | None:
    """SHA-256 of its file; None of a compiled function or an object, which have no file."""
    if isinstance(implementation, Described):
        return implementation.source_sha256
    try:
        made_by = implementation.build or implementation.fn
        file = inspect.getsourcefile(inspect.unwrap(made_by))
        return hashlib.sha256(Path(file or "").read_bytes()).hexdigest()
    except (TypeError, OSError):
        return None


def _stand_ins(kind: str) -> dict[str, Any]:
    """What stands for the functions of an implementation of this kind."""
    return (
        {"fn": _elsewhere}
        if kind == "core"
        else dict.fromkeys(("build", "layer_oracle"), _elsewhere)
    )


def _elsewhere(*_: object, **__: object) -> NoReturn:
    raise RuntimeError("a kernel of the user's is called in measuring processes only")


def _other_oracle(*_: object) -> Tensor:
    raise RuntimeError("an oracle of the user's is called in measuring processes only")
