"""All the memory that a call takes, and the largest size that a machine's memory holds.

A call takes its workspace, its inputs and its output; with a backward pass gradients too. Of the
last three the bytes are known exactly from the shapes (`reports.cells.call_tensors`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from reports.cells.call_tensors import CallTensors, call_tensors
from reports.cells.case_columns import SIZES
from reports.judge.compatible.ensemble import Ensemble, OneLaw
from reports.judge.result import Fit
from reports.laws.monomials import Floats
from reports.predict.prediction import Largest, largest, open_size
from reports.predict.questions import PredictionError
from reports.tables.json_values import an_object, float_or_none
from reports.tables.units import unit_of

_BYTES = "workspace_bytes"
Law = TypeVar("Law", bound=Ensemble)


def counted_law(fit: Fit, at: Mapping[str, float]) -> OneLaw | None:
    """The law of the workspace that the run counted; None where it does not hold at these sizes."""
    law = _counted_law(fit)
    if law is None or fit.recorded is None or not set(law.names) <= set(at):
        return None
    return law if fit.recorded.holds(at) else None


def _counted_law(fit: Fit) -> OneLaw | None:
    if fit.recorded is None or fit.tensors is None:
        return None
    recorded, sizes = fit.recorded, fit.tensors.sizes
    names = [name for name in recorded.names if name in sizes]
    still = {name: values[0] for name, values in sizes.items() if name not in names}
    if any((sizes[name] != value).any() for name, value in still.items()):
        return None
    law = _law_of({n: sizes[n] for n in names}, still)
    return law.plus(dict(recorded.terms))


def largest_by_count(
    fit: Fit, budget: float, at: Mapping[str, float], *, of_workspace: bool = False
) -> Largest | None:
    """The largest seq_len within so many bytes, of those for which the run counted the workspace.

    The answer is that of `counts --budget`. None where the run counted none, or where even the
    smallest such seq_len exceeds the budget.

    Raises:
        PredictionError: as `largest`.

    """
    law = _counted_law(fit)
    if law is None or fit.recorded is None or fit.tensors is None:
        return None
    words = "workspace"
    if not of_workspace:
        law, words = _with_tensors(law, fit.tensors)
    name, others = open_size(law, at)
    lengths = fit.recorded.lengths(name, others)
    if lengths is None:
        return None
    found = largest(
        law,
        budget,
        others,
        name,
        confidence=fit.confidence,
        unit=unit_of(_BYTES),
        of=words,
        lengths=lengths,
    )
    return found if found.low else None


def all_memory(workspace: Ensemble | None, tensors: CallTensors) -> tuple[Ensemble, str] | None:
    """The laws of the bytes of a call, and what these bytes are, in words.

    Exact where the workspace was counted, or where no measured cell needed any. None where some
    workspace is needed, and nothing is known of it.
    """
    if tensors.is_all:
        law = _law_of(tensors.sizes, {}).plus(tensors.terms)
        return law, f"{tensors.words} and no workspace{tensors.left_out}"
    return None if workspace is None else _with_tensors(workspace, tensors)


def _with_tensors(workspace: Law, tensors: CallTensors) -> tuple[Law, str]:
    return workspace.plus(tensors.terms), f"{tensors.words} and workspace{tensors.left_out}"


def _law_of(sizes: Mapping[str, Floats], still: Mapping[str, float]) -> OneLaw:
    """No cost, in these sizes of the measured cells; `plus` adds terms."""
    cells = np.unique(np.column_stack(list(sizes.values())), axis=0)
    return OneLaw(
        names=tuple(sizes),
        terms=(),
        powers=np.zeros((1, 0, len(sizes))),
        coefficients=np.zeros((1, 0)),
        cells=cells,
        last=np.ones(len(cells), np.bool_),
        error=0.0,
        free=1,
        still=still,
    )


def largest_in_memory(
    cells: pd.DataFrame,
    fit: Fit | None,
    info: Mapping[str, Any],
    *,
    at: Mapping[str, float] = MappingProxyType({}),
) -> Largest | None:
    """The largest seq_len whose call fits into the memory of the machine.

    `at` fixes other sizes, such as {"d": 512}; without it d is the largest that was measured.

    `cells` are records or cells of one implementation under one condition, `fit` is the fit of
    their workspace_bytes, None where there is none (no workspace is needed, or none is known), and
    `info` is `run.json` of their run. In the answer `estimate` is n (None without a bound, or where
    not even n = 1 fits), `at` has d, `budget` is the memory in bytes, `text` the sentence. It is
    exact where `low == high`.

    None where the memory of the machine, the shapes or the workspace is not known, or `at` has a
    size that was not measured.
    """
    tensors = call_tensors(cells, SIZES, info) if fit is None else fit.tensors
    memory = None if tensors is None else memory_bytes(info, tensors.device)
    if tensors is None or memory is None:
        return None
    try:
        if fit is not None and (counted := largest_by_count(fit, memory, at)) is not None:
            return counted
        found = all_memory(None if fit is None else fit.ensemble, tensors)
        if found is None:
            return None
        ensemble, includes = found
        name, others = open_size(ensemble, at)
        confidence = 0.95 if fit is None else fit.confidence
        return largest(
            ensemble, memory, others, name, confidence=confidence, unit=unit_of(_BYTES), of=includes
        )
    except PredictionError:
        return None


def memory_bytes(info: Mapping[str, Any], device: str = "cpu") -> float | None:
    """The memory of the machine of a run, or what its GPU had free; None where it is not known."""
    machine = an_object(info.get("machine"))
    found = machine.get("memory_bytes" if device == "cpu" else "gpu_free_bytes")
    return float_or_none(found) or None
