"""A plan with what the command line asks for put in place of what it says itself."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.plan.plan import Plan, Series, read_plan


class HeadDimWarning(UserWarning):
    """The widths asked for need smaller heads than the preset's."""


def narrow(
    plan: Plan,
    *,
    names: Sequence[str] = (),
    specs: Sequence[tuple[str, str]] = (),
    seq_lens: tuple[int, ...] | None = None,
    d_models: tuple[int, ...] | None = None,
    device: str | None = None,
    dtype: str | None = None,
    pass_: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Plan:
    """The plan with what the command line asks for put in place of what it says itself.

    `names` select implementations; one that the plan does not have, and every user's kernel in
    `specs` ((name, spec) pairs), joins its first series and those of the same implementations.
    Sizes, device, dtype and pass replace those of every series; `settings` replace fields of the
    plan itself. Naming only kernels of one's own measures them beside the whole plan.

    Raises:
        PlanError: sizes that do not fit the series.

    """
    planned = {name for series in plan.series for name in series.implementations}
    joining = [name for name in names if name not in planned] + [name for name, _ in specs]
    chosen = []
    for series in plan.series:
        kept = tuple(n for n in series.implementations if not names or n in names)
        joined = series.implementations == plan.series[0].implementations
        members = (*kept, *joining) if joined else kept
        if not members:
            continue
        changes: dict[str, Any] = {
            "seq_lens": seq_lens,
            "d_models": d_models,
            "device": device,
            "dtype": dtype,
            "pass_": pass_,
        }
        changes = {name: value for name, value in changes.items() if value is not None}
        narrowed = replace(series, implementations=members, **changes)
        if seq_lens or d_models:  # who names sizes is told what becomes of them
            narrowed = replace(narrowed, open_ended=False)
        if d_models and narrowed.num_heads is None:
            narrowed = _with_smaller_heads(narrowed)
        chosen.append(narrowed)
    if seq_lens or d_models:
        chosen = _merged(chosen)
    own = (*plan.specs, *(spec for _, spec in specs))
    data = replace(plan, series=tuple(chosen), specs=own, **(settings or {})).to_dict()
    return read_plan(data, "the command line")


def _with_smaller_heads(series: Series) -> Series:
    """The series with heads as small as its smallest width, if that is below one head."""
    smallest = min(series.d_models)
    if smallest >= series.head_dim:
        return series
    warnings.warn(
        f"head_dim is {smallest}, the smallest width, instead of {series.head_dim} at every width",
        HeadDimWarning,
        stacklevel=2,
    )
    return replace(series, head_dim=smallest)


def _merged(series: Sequence[Series]) -> list[Series]:
    """Series that differ in their implementations only, as one."""
    merged: dict[Series, tuple[str, ...]] = {}
    for one in series:
        key = replace(one, implementations=())
        merged[key] = (*merged.get(key, ()), *one.implementations)
    return [
        replace(key, implementations=tuple(dict.fromkeys(names))) for key, names in merged.items()
    ]
