"""Benchmarks run when they are asked for: `pytest --benchmark-only`, or by their path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def threads_restored() -> Iterator[None]:
    """Each cell says how many threads it takes."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the benchmarks from a plain `pytest`."""
    if config.getoption("benchmark_only", default=False):
        return
    named = [Path(str(a).partition("::")[0]).resolve() for a in config.invocation_params.args]
    if any(path == HERE or HERE in path.parents for path in named):
        return
    own = [item for item in items if HERE in item.path.parents]
    if own:
        config.hook.pytest_deselected(items=own)
        items[:] = [item for item in items if item not in own]
