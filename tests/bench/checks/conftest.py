"""Workers in this process, and kernels of a user's to verify."""

from collections.abc import Callable
from typing import Any

import pytest

from bench.checks import command
from bench.checks.situation import CheckCase
from bench.checks.situations import check_cases
from tests.bench.checks.verified import CHECKED, KERNELS


@pytest.fixture
def workers(direct_workers, monkeypatch):
    """Workers in this process, and four situations in place of all."""

    def few(*dtypes: Any, **options: Any) -> list[CheckCase]:
        return [one for one in check_cases(*dtypes, **options) if one.name in CHECKED]

    monkeypatch.setattr(command, "Worker", direct_workers)
    monkeypatch.setattr(command, "check_cases", few)
    return direct_workers


@pytest.fixture
def kernel(write) -> Callable[[str], str]:
    path = write("kernels_to_verify.py", KERNELS)
    return lambda name: f"{path}:{name}"
