"""Counts in a process of their own: a user's kernel may crash, hang or exit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.counting.document import sizes_of
from bench.counting.result import QUANTITIES
from bench.process.kernels import Kernels
from bench.process.supervisor import Worker, WorkerLost, succeeded
from implementations.case import Case
from implementations.specs import CatalogueError

LIMIT_S = 60.0


def counts_in_worker(
    names: Sequence[str],
    specs: Sequence[str],
    worker: Worker,
    *,
    layout: str,
    dtype: str,
    pass_: str,
    is_causal: bool,
    at: Mapping[str, int],
) -> dict[str, Any]:
    """The document of `bench.counting.document`, one request an implementation.

    Raises:
        CatalogueError: an implementation that cannot be loaded, or that ended the process.
        CaseError: a size, dtype or pass that does not exist.

    """
    sizes_of(at)
    Case(seq_len=1, dtype=dtype, pass_=pass_)  # type: ignore[arg-type]  # it checks it
    kernels = Kernels(worker)
    found: dict[str, Any] = {}
    for implementation in kernels.chosen(names, specs, layout):
        try:
            answer = worker.ask(
                "counts",
                limit_s=LIMIT_S,
                spec=implementation.spec,
                dtype=dtype,
                pass_=pass_,
                is_causal=is_causal,
                at=dict(at),
            )
        except WorkerLost as lost:
            raise CatalogueError(f"{implementation.name} cannot be counted: {lost}") from None
        if not succeeded(answer):
            raise CatalogueError(f"{implementation.name}: {answer.get('reason')}")
        document = answer["document"]
        found = {**document, "counts": [*found.get("counts", []), *document["counts"]]}
    return found


def nothing_counted(document: Mapping[str, Any], specs: Sequence[str]) -> bool:
    """Whether a kernel of the user's could not be counted at all."""
    executed = [name for name in QUANTITIES if name != "useful_flops"]
    own = document["counts"][-len(specs) :] if specs else []
    return any(all(e["quantities"][n]["value"] is None for n in executed) for e in own)
