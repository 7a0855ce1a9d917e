"""The command `fit` on a wide terminal, a table for it, and what its answers hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attnscale.exit_codes import WRONG_REQUEST
from tests.conftest import Outcome

Run = Callable[..., Outcome]
Grid = Callable[..., Path]


def refused(outcome: Outcome) -> str:
    """The one line on stderr of a wrong request, with nothing on stdout."""
    assert outcome.code == WRONG_REQUEST, outcome
    assert outcome.out == ""
    (line,) = outcome.err.splitlines()
    assert line.startswith("attnscale: ")
    return line.removeprefix("attnscale: ")


def document_of(outcome: Outcome) -> dict[str, Any]:
    """The only fit of `--json`, which is all that stands on stdout."""
    document = json.loads(outcome.out, parse_constant=lambda name: pytest.fail(name))
    assert list(document) == ["fits"]
    (found,) = document["fits"]
    return dict(found)
