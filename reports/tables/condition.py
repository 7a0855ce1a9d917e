"""What does `--where` ask of a row? Read without pandas: what is no condition is told at once."""

from __future__ import annotations

import re
from typing import NamedTuple

from reports.text.wording import shortened

_CONDITION = re.compile(r"(?P<column>[^!=]+?)\s*(?P<sign>!=|==?)\s*(?P<value>.*)", re.DOTALL)


class ConditionError(ValueError):
    """A condition that cannot be read; the message is one line."""


class Condition(NamedTuple):
    """Rows whose column has this value, or every other one."""

    column: str
    value: str
    is_equal: bool


def condition_of(text: str) -> Condition:
    """Read a condition such as `status=ok` or `heads!=16`.

    Raises:
        ConditionError: it is none.

    """
    found = _CONDITION.fullmatch(text.strip())
    if found is None:
        raise ConditionError(
            "--where: expected COLUMN=VALUE or COLUMN!=VALUE such as status=ok, got "
            f"{shortened(repr(text), most=60)}"
        )
    return Condition(found["column"].strip(), found["value"].strip(), found["sign"] != "!=")
