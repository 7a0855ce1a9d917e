"""What the records of a run so far tell of its cells: times, losses, kinds of work, the pace."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from bench.cases import Plan
from bench.cells import Cell, Key, case_of
from bench.forecast import Forecast, Observation
from bench.pace import KINDS, Pace, UsualPace
from bench.records import Record
from bench.visit_record import canaries_of, is_quiet, kind_of
from implementations.case import Case

# A visit is given up after this many times what its calls were allowed to take.
PATIENCE = 40.0
SHORTEST_LIMIT_S = 30.0
# What larger cells will run into as well; a crash may be a matter of one size.
LOSSES = ("timeout", "out_of_memory")
# So many quiet measurements of a cell will do.
ENOUGH_QUIET = 3
QUICK_CALL_SHARE = 1e-3


def visit_limit_s(plan: Plan) -> float:
    """When a visit counts as hanging."""
    calls_s = plan.call_limit_s * (plan.min_samples + 2)
    return max(SHORTEST_LIMIT_S, PATIENCE * (calls_s + plan.visit_s))


class Knowledge:
    """What is known of cells, by their keys; it grows with every record.

    `given_up` holds the record of what was lost before it ever ran. Workspace and energy are read
    once a cell. What `forecast` says of cells not tried yet follows from the same records.
    """

    def __init__(self, plan: Plan, cells: Mapping[Key, Cell], forecast: Forecast) -> None:
        self.forecast = forecast
        self.given_up: dict[Key, Record] = {}
        self._plan = plan
        self._cells = cells
        self._measured: dict[Key, list[Record]] = defaultdict(list)
        self._has_workspace: set[Key] = set()
        self._has_energy: set[Key] = set()
        self._is_parallel: dict[Key, bool] = {}
        self._is_beyond_cache: dict[Key, bool] = {}
        self._usual: dict[tuple[str, str], UsualPace] = {}
        self._surprised: set[str] = set()

    def measured(self, cell: Cell) -> list[Record]:
        """The records of a cell that have a time."""
        return self._measured[cell.key]

    def lacks_quiet(self, cell: Cell) -> bool:
        """Whether a cell was measured, but not often enough without noise and at today's pace."""
        seen = self._measured[cell.key]
        return bool(seen) and sum(self._is_quiet(cell, record) for record in seen) < ENOUGH_QUIET

    def request(self, cell: Cell) -> dict[str, Any]:
        """What to ask of a visit, and what the measuring process need not find out again."""
        return {
            "with_workspace": cell.key not in self._has_workspace,
            "with_energy": self._plan.energy and cell.key not in self._has_energy,
            "parallel": self._is_parallel.get(cell.key),
            "beyond_cache": self._is_beyond_cache.get(cell.key),
        }

    def paces(self, device: str) -> dict[str, Pace]:
        """The usual paces of a device's kinds of work, as far as they are known."""
        found = {kind: self._usual_pace(device, kind).pace() for kind in KINDS}
        return {kind: pace for kind, pace in found.items() if pace is not None}

    def learn_at_once(self, cell: Cell, answer: Mapping[str, Any]) -> None:
        """Take in what is known for good with a first attempt, of which no record may come."""
        self._is_beyond_cache.setdefault(cell.key, answer["beyond_cache"])
        if answer["workspace_bytes"] is not None:
            self._has_workspace.add(cell.key)
        if answer.get("energy_j") is not None:
            self._has_energy.add(cell.key)

    def learn(self, record: Record) -> None:
        """Take in a record, of this process or of an earlier one."""
        case = case_of(record)
        key = (record.implementation, case)
        if record.status == "measured" and record.time_s is not None:
            self._learn_time(key, record, record.time_s)
        elif record.status in ("incorrect", "unsupported", "skipped"):
            # The gate has been asked again. A forecast may have known too little when it skipped,
            # and time may be left now.
            return
        elif not self._measured.get(key):  # else it may run again: something else was the matter
            self.given_up.setdefault(key, record)
            if record.status in LOSSES and not self._is_first_surprise(record, case):
                self.forecast.observe_loss(record.implementation, case, record.status)

    def _learn_time(self, key: Key, record: Record, time_s: float) -> None:
        self._measured[key].append(record)
        if record.workspace_bytes is not None or record.reason is not None:
            self._has_workspace.add(key)
        if record.energy_j is not None:
            self._has_energy.add(key)
        _, case = key
        kind = kind_of(record)
        if kind is not None and record.is_parallel is not None:
            self._is_parallel[key] = record.is_parallel
            self._is_beyond_cache[key] = record.memory_canaries_s is not None
            self._usual_pace(case.device, kind).hear(canaries_of(record))
        observed = Observation(case=case, time_s=time_s, workspace_bytes=record.workspace_bytes)
        self.forecast.observe(record.implementation, observed)

    def _is_quiet(self, cell: Cell, record: Record) -> bool:
        """What was usual when a visit was made may not be so any more: then others are wanted."""
        kind = kind_of(record)
        pace = None if kind is None else self._usual_pace(cell.case.device, kind).pace()
        return is_quiet(record, pace)

    def _usual_pace(self, device: str, kind: str) -> UsualPace:
        return self._usual.setdefault((device, kind), UsualPace(kind))

    def _is_first_surprise(self, record: Record, case: Case) -> bool:
        """Whether a cell that should have been quick hung, for the first time of its kernel.

        On a busy machine that happens, and must not cost all larger cells.
        """
        cell = self._cells.get((record.implementation, case))
        if record.status != "timeout" or cell is None or record.implementation in self._surprised:
            return False
        call_s = self.forecast.time_s(cell.implementation, case)
        if call_s is None or call_s > QUICK_CALL_SHARE * visit_limit_s(self._plan):
            return False
        self._surprised.add(record.implementation)
        return True
