"""What one check found, and how many checks came out how. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from bench.checks.situation import Area, CheckCase

Status = Literal["pass", "fail", "unsupported", "error"]
# The checks of a case that took its process down, and of one that was left out for fear of it.
LOST, UNCHECKED = "process", "not_checked"
BAD: frozenset[Status] = frozenset({"fail", "error"})
# What is checked in every situation but belongs to another column than the situation's own.
ASK_FOR_GRADIENTS = ("values", "rows", "mask_gradient", "layer")
STATE_CHECKS = (
    *("inputs_unmodified", "repeatable", "own_memory", "fresh_answer"),
    *("global_state", "import", "stdout"),
)


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """One check of one implementation in one situation; errors are absolute."""

    implementation: str
    case: CheckCase
    check: str
    status: Status
    error: float | None = None
    allowed: float | None = None
    reason: str | None = None

    @property
    def area(self) -> Area:
        """The column of the matrix that the result belongs to."""
        if self.check in STATE_CHECKS:
            return "state"
        of_gradients = self.check.startswith("grad_") and self.case.probe in ASK_FOR_GRADIENTS
        return "gradients" if of_gradients else self.case.area

    @property
    def bad(self) -> bool:
        """Whether it failed or raised."""
        return self.status in BAD

    @property
    def telling(self) -> tuple[bool, bool, tuple[bool, bool, int]]:
        """What a failure is sorted by to find the one that is simplest to look into."""
        return self.check == UNCHECKED, self.check == LOST, self.case.effort

    @property
    def ratio(self) -> float | None:
        """The error as a share of what is allowed; None where there are no numbers."""
        if self.error is None or self.allowed is None:
            return None
        if self.allowed == 0.0:
            return 0.0 if self.error == 0.0 else float("inf")
        return self.error / self.allowed

    def severity(self) -> tuple[bool, float]:
        """What results of one check are sorted by: the worst is the largest."""
        return self.bad, self.ratio or 0.0

    @classmethod
    def from_plain(cls, row: Mapping[str, Any]) -> CheckResult:
        """Undo `dataclasses.asdict`, for a result that came from another process."""
        return cls(**{**row, "case": CheckCase.from_plain(row["case"])})

    def to_dict(self) -> dict[str, Any]:
        """The entry of `verify --json`."""
        return {**vars(self), "case": self.case.to_dict()}

    def __str__(self) -> str:
        """One line: who, in which case, what was checked, and by how much it is off."""
        text = f"{self.implementation}: {self.check} in case {self.case.name} ({self.case.case})"
        if self.error is not None and self.allowed is not None:
            text += f": error {self.error:.3g}, allowed {self.allowed:.3g}"
        return f"{text}: {self.reason}" if self.reason else text


def summary(results: Iterable[CheckResult]) -> dict[str, int]:
    """How many checks passed, failed, were unsupported or raised."""
    counts = Counter(result.status for result in results)
    return {status: counts[status] for status in get_args(Status)}


def matrix_rows(results: Iterable[CheckResult]) -> list[dict[str, Any]]:
    """The matrix as flat rows, as `run.json` keeps it: implementation × dtype × area × check.

    Each row counts how its checks came out. `case`, `worst_error` and `worst_allowed` are those of
    the check that came nearest to its allowance, or went furthest beyond it; `reason` is that of
    the first failure, or of the first unsupported one where nothing was checked.
    """
    groups: dict[tuple[str, str, str, str], list[CheckResult]] = {}
    for one in results:
        key = one.implementation, one.case.case.dtype, one.area, one.check
        groups.setdefault(key, []).append(one)
    rows = []
    for kind, own in groups.items():
        numbered = [one for one in own if one.ratio is not None]
        worst = max(numbered, key=lambda one: one.ratio or 0.0, default=None)
        told = [one for one in own if one.bad]
        if not told and not any(one.status == "pass" for one in own):
            told = own
        rows.append(
            {
                **dict(zip(("implementation", "dtype", "area", "check"), kind, strict=True)),
                **summary(own),
                "case": worst.case.name if worst else None,
                "worst_error": worst.error if worst else None,
                "worst_allowed": worst.allowed if worst else None,
                "reason": told[0].reason if told else None,
            }
        )
    return rows
