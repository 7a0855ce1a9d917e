"""What the pytest plugin asks a process of its own, and how values reach that process.

The project under test may have packages called `reports` or `bench`, and may change `sys.path` as
it likes. So nothing but this package is imported in the session: marks, parameters and times go as
JSON to `python -m reports.claims_in_pytest`, which knows laws and judges.
"""

from __future__ import annotations

import json
import numbers
import os
import reprlib
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

import pytest

from attnscale.terminal import printable

HOME = Path(__file__).resolve().parents[1]
_SHORT = reprlib.Repr()
_SHORT.maxother = _SHORT.maxstring = _SHORT.maxlong = 60


class JudgeError(Exception):
    """The judging process gave no answer; the message is one line that says why."""

    def __init__(self, why: str) -> None:
        super().__init__(printable(why))


@dataclass(kw_only=True)
class MarkedTest:
    """One test with one set of parameters, its marks, and what came of it so far.

    `test` is the nodeid without parameters, `ident` what stands in its brackets. `times` has the
    statistics of the readings in seconds, once they were measured.
    """

    test: str
    ident: str
    params: Mapping[str, object]
    marks: Sequence[pytest.Mark]
    outcome: str = "not run"
    times: Mapping[str, float] = field(default_factory=dict)
    extra_info: Mapping[str, object] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The test as the judging process reads it."""
        return {
            "test": self.test,
            "ident": self.ident,
            "params": _values(self.params),
            # From the module's mark to the function's.
            "marks": [
                {"args": _items(mark.args), "kwargs": _values(mark.kwargs, and_lists=True)}
                for mark in reversed(self.marks)
            ],
            "outcome": self.outcome,
            "times": _values(self.times),
            "extra_info": _values(self.extra_info),
        }


def as_json(value: object) -> object:
    """Text and numbers as JSON holds them; of anything else its identity, its name and its look."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum) and not isinstance(value, IntEnum):
        return str(value)
    if isinstance(value, numbers.Real):
        try:
            number = float(value)
            return int(value) if isinstance(value, numbers.Integral) else number
        except OverflowError:
            pass
    elif isinstance(value, str):
        return str(value)
    name = getattr(value, "__name__", None)
    return {
        "id": id(value),
        "name": name if isinstance(name, str) else None,
        "look": _look(value),
    }


def ask(question: str, tests: Sequence[MarkedTest], **more: Any) -> dict[str, Any]:
    """Ask `claims` before the tests run, and `verdicts` afterwards.

    Raises:
        JudgeError: the process could not be started, failed, or did not answer.

    """
    document = {"question": question, "tests": [test.to_dict() for test in tests], **more}
    path = filter(None, (str(HOME), os.environ.get("PYTHONPATH")))
    try:
        done = subprocess.run(
            # -P: a folder named reports where the session stands must not be taken for ours.
            [sys.executable, "-P", "-W", "ignore", "-m", "reports.claims_in_pytest"],
            input=json.dumps(document),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode:
            said = done.stderr.strip() or f"exit code {done.returncode}"
            raise JudgeError(said.splitlines()[-1])
        answer: dict[str, Any] = json.loads(done.stdout)
    except (OSError, ValueError) as problem:
        raise JudgeError(f"{type(problem).__name__}: {problem}") from None
    return answer


def _values(values: Mapping[Any, object], and_lists: bool = False) -> dict[str, object]:
    return {
        name: _items(value) if and_lists and isinstance(value, list | tuple) else as_json(value)
        for name, value in values.items()
        if isinstance(name, str)
    }


def _items(values: Iterable[object]) -> list[object]:
    return [as_json(value) for value in values]


def _look(value: object) -> str:
    try:
        return _SHORT.repr(value)
    except ValueError:  # an integer of more digits than Python prints
        return f"a {type(value).__name__}"
