"""One report for all tests of what stands in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.page.page import Report, report
from tests.reports.page.some_run import HOSTILE, INFO, rows, write_run


@pytest.fixture(scope="package")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "some-run"
    return write_run(folder, rows("alpha", HOSTILE), INFO)


Told = list[tuple[str, int, int]]


@pytest.fixture(scope="package")
def told() -> Told:
    """What the report told of its progress while it was `made`."""
    return []


@pytest.fixture(scope="package")
def made(run: Path, told: Told) -> Report:
    return report([run], tell=lambda *one: told.append(one))


@pytest.fixture(scope="package")
def html(made: Report) -> str:
    return made.index.read_text(encoding="utf-8")


@pytest.fixture(scope="package")
def summary(made: Report) -> str:
    return made.summary.read_text(encoding="utf-8")
