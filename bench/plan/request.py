"""What the command line asks to be measured, turned into a plan and a directory.

Torch is loaded after all that can be refused without it.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.machine.environment import usable_cores
from bench.plan.arguments import check_device, check_implementations, device_name
from bench.plan.plan import (
    Plan,
    PlanError,
    Series,
    load_config,
    load_preset,
    parse_duration,
    parse_sizes,
    read_plan,
)
from bench.plan.run_directory import (
    begun_against,
    check_new,
    check_writable,
    resumable_plan,
)
from bench.process.checkout import Checkout, checked_out
from implementations.naming import check_names, in_this_layout

if TYPE_CHECKING:
    from implementations.interface import Implementation

DEFAULT_PRESET = "quick"
SHORTEST_CALL_LIMIT_S = 1e-3
# Where sizes are named and no limit is, a call may take so much of the time budget that the first
# calls of all cells about fit: three by each of three processes. It is this part at least.
FIRST_CALLS = 9
CALL_SHARE = 0.01
RUNS = Path("results")
"""Where new runs go without `--out`."""


class HeadDimWarning(UserWarning):
    """The widths asked for need smaller heads than the preset's."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """The options of `sweep` and `run`; None and empty mean not given.

    All that can be refused without torch, and without importing a kernel, is refused here.

    Raises:
        PlanError: options that exclude each other, or a plan that cannot be run.
        CaseError: a dtype or pass that does not exist, or sizes that do not fit each other.
        CatalogueError: an implementation, or a file of the user's, that is not there.
        RunError: there is no run to resume, or the directory cannot be used.

    """

    names: Sequence[str] = ()
    specs: Sequence[str] = ()
    layout: str = "bhsd"
    preset: str | None = None
    config: Path | None = None
    seq_lens: str | None = None
    d_models: str | None = None
    device: str | None = None
    dtype: str | None = None
    pass_: str | None = None
    kv_heads: str | None = None
    query_len: int | None = None
    window: int | None = None
    allocator: str | None = None
    threads: str | None = None
    time_budget: str | None = None
    call_limit: str | None = None
    precision: float | None = None
    energy: bool = False
    against: str | None = None
    out: Path | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        if self.resume and self.out is None:
            raise PlanError("--resume needs --out, the directory of the run to continue")
        if self.preset is not None and self.config is not None:
            raise PlanError("--preset and --config exclude each other; give one of them")
        if self.against is not None and not self.specs and not self.resume:
            raise PlanError(
                "--against needs --impl, your kernel in a git repository: "
                f"attnscale run --impl mine.py:mine --against {self.against}"
            )
        check_implementations(self.names, self.specs, self.layout)
        if not (self._base.specs or self.specs):  # else some may have the names of theirs
            check_names(n for series in self._base.series for n in series.implementations)
        if self.device is not None:
            device_name(self.device)
        with warnings.catch_warnings(action="ignore"):  # they come with the plan itself
            # The names that Implementation objects declare are known once they are imported.
            self._narrowed([(spec, spec) for spec in self.specs])
        check_writable(self.out or RUNS)
        if self.out is not None and not self.resume:
            check_new(self.out)

    @property
    def name(self) -> str | None:
        """The preset that is asked for, None if the plan comes from elsewhere."""
        if self.config is not None or self._resumes_as_it_was:
            return None
        return DEFAULT_PRESET if self.preset is None else self.preset

    @property
    def folder(self) -> Path:
        """Where the run goes: `--out`, or a new directory under `results`."""
        if self.out is not None:
            return self.out
        return RUNS / f"{datetime.now():%Y%m%d-%H%M%S}-{self.name or 'plan'}"

    @property
    def time_budget_s(self) -> float:
        """The seconds that the measuring may take, checks included."""
        return float(self._settings.get("time_budget_s", self._base.time_budget_s))

    def checkout(
        self, begin: Callable[[Path], None] = lambda folder: None
    ) -> AbstractContextManager[Checkout | None]:
        """The revision of `--against`, or of the run to be resumed: its commit when that began.

        `begin` is told the temporary folder before anything is written there.

        Raises:
            RevisionError: it cannot be checked out.

        """
        begun = begun_against(self.out) if self.resume and self.out is not None else None
        if begun is not None and self.against in (None, begun["rev"]):
            return checked_out(begun["rev"], begun["commit"], begin=begin)
        if self.against is None:
            return contextlib.nullcontext()
        return checked_out(self.against, begin=begin)

    def plan(self, load: Callable[[str], Implementation], checkout: Checkout | None = None) -> Plan:
        """The plan that the options describe; `load` loads the implementations that they name.

        With a `checkout`, each kernel of `--impl` is measured as it is there too.

        Raises:
            PlanError: a plan that cannot be run.
            RevisionError: a kernel that the checkout does not have.
            CatalogueError: an implementation that cannot be found or loaded.

        """
        if self._resumes_as_it_was:
            return self._narrowed()
        from implementations.catalogue import load_all

        load_all(self.names, (), load)
        specs = in_this_layout(self.specs, self.layout)
        own = load_all((), specs, load)
        if checkout is not None:
            own += load_all((), [checkout.spec_of(one) for one in own], load)
        plan = self._narrowed([(one.name, one.spec) for one in own])
        for device in {series.device for series in plan.series}:
            check_device(device)
        return plan

    def _narrowed(self, specs: Sequence[tuple[str, str]] = ()) -> Plan:
        if self._resumes_as_it_was:
            return replace(self._base, **self._settings)
        plan = narrow(
            self._base,
            names=self.names,
            specs=specs,
            **self._conditions,
            settings=self._settings,
            **self._sizes,
        )
        if not self._sizes or self.config is not None or self.call_limit is not None:
            return plan
        return replace(plan, call_limit_s=max(plan.call_limit_s, longest_call_s(plan)))

    @cached_property
    def _sizes(self) -> dict[str, tuple[int, ...]]:
        texts = {"seq_lens": self.seq_lens, "d_models": self.d_models}
        return {
            name: parse_sizes(text, f"--{name.replace('_', '-')}")
            for name, text in texts.items()
            if text is not None
        }

    @property
    def _conditions(self) -> dict[str, Any]:
        """The fields of every series that are given by themselves; None means not given."""
        names = ("device", "dtype", "pass_", "kv_heads", "query_len", "window")
        return {name: getattr(self, name) for name in names}

    @cached_property
    def _settings(self) -> dict[str, Any]:
        """The fields of the plan that are given by themselves."""
        settings: dict[str, Any] = {}
        if self.allocator is not None:
            settings["allocator"] = self.allocator
        if self.threads is not None:
            settings["threads"] = _parse_threads(self.threads)
        if self.time_budget is not None:
            # Who gives time alone wants all of it used.
            settings["time_budget_s"] = parse_duration(self.time_budget, "--time-budget")
            settings["precision"] = None
        if self.precision is not None:
            if not 0 < self.precision < 1:
                raise PlanError(
                    f"--precision: expected between 0 and 1, such as 0.03, got {self.precision}"
                )
            settings["precision"] = self.precision
        if self.energy:
            settings["energy"] = True
        if self.call_limit is not None:
            settings["call_limit_s"] = parse_duration(
                self.call_limit, "--call-limit", SHORTEST_CALL_LIMIT_S
            )
        return settings

    @cached_property
    def _base(self) -> Plan:
        """The plan before it is narrowed: that of the run to be resumed, the file or the preset."""
        if self.resume and self.out is not None:
            stored = resumable_plan(self.out)
            if self._resumes_as_it_was:
                return stored
        if self.config is not None:
            return load_config(self.config)
        return load_preset(DEFAULT_PRESET if self.preset is None else self.preset)

    @property
    def _resumes_as_it_was(self) -> bool:
        sizes = (self.seq_lens, self.d_models)
        given = (self.preset, self.config, *sizes, *self._conditions.values())
        is_as_it_was = not self.names and not self.specs and given.count(None) == len(given)
        return self.resume and is_as_it_was


def narrow(
    plan: Plan,
    *,
    names: Sequence[str] = (),
    specs: Sequence[tuple[str, str]] = (),
    settings: Mapping[str, Any] | None = None,
    **given: Any,
) -> Plan:
    """The plan with what the command line asks for put in place of what it says itself.

    `names` select implementations; one that the plan does not have, and every user's kernel in
    `specs` ((name, spec) pairs), joins its first series and those of the same implementations.
    What else is `given`, such as seq_lens, device or window, replaces that of every series;
    `settings` replace fields of the plan itself. Naming only kernels of one's own measures them
    beside the whole plan.

    Raises:
        PlanError: sizes that do not fit the series.

    """
    planned = {name for series in plan.series for name in series.implementations}
    joining = [name for name in names if name not in planned] + [name for name, _ in specs]
    changes = {name: value for name, value in given.items() if value is not None}
    is_sized = not changes.keys().isdisjoint(("seq_lens", "d_models"))
    if is_sized:  # who names sizes is told what becomes of them
        changes["open_ended"] = False
    chosen = []
    for series in plan.series:
        own = tuple(name for name in series.implementations if not names or name in names)
        is_first = series.implementations == plan.series[0].implementations
        members = (*own, *joining) if is_first else own
        if not members:
            continue
        narrowed = replace(series, implementations=members, **changes)
        if "d_models" in changes and narrowed.num_heads is None:
            narrowed = _with_smaller_heads(narrowed)
        chosen.append(narrowed)
    if is_sized:
        chosen = _merged(chosen)
    all_specs = (*plan.specs, *(spec for _, spec in specs))
    data = replace(plan, series=tuple(chosen), specs=all_specs, **(settings or {})).to_dict()
    return read_plan(data, "the command line")


def longest_call_s(plan: Plan) -> float:
    """What a call of named sizes may take where nobody says it; a single size may take all."""
    sizes = {(n, d) for series in plan.series for n in series.seq_lens for d in series.d_models}
    if len(sizes) == 1:
        return plan.time_budget_s
    cells = sum(
        len(series.implementations) * len(series.seq_lens) * len(series.d_models)
        for series in plan.series
    )
    return plan.time_budget_s * max(CALL_SHARE, 1 / (FIRST_CALLS * cells))


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
    merged: dict[Series, dict[str, None]] = {}
    for one in series:
        names = merged.setdefault(replace(one, implementations=()), {})
        names.update(dict.fromkeys(one.implementations))
    return [replace(key, implementations=tuple(names)) for key, names in merged.items()]


def _parse_threads(text: str) -> int | None:
    """The number of threads that `--threads` asks for; None for `all`."""
    cores = usable_cores()
    if text == "all":
        return None
    if text.isascii() and text.isdigit() and 1 <= int(text) <= cores:
        return int(text)
    raise PlanError(
        f"--threads: expected all, or 1 to {cores} (the cores that this process may use), got "
        f"{text!r}"
    )
