"""A process that is quickly started, in place of a measuring one."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from bench.process import measuring_process
from bench.process.supervisor import Worker
from tests.bench.process.light_process import SCRIPT


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    real = subprocess.Popen

    def start(command: list[str], **options: Any) -> Any:
        return real([sys.executable, "-c", SCRIPT, *command[4:]], **options)

    monkeypatch.setattr(measuring_process.subprocess, "Popen", start)
    with Worker(threads=3) as worker:
        yield worker
