"""Every test begins without the cells of another one."""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def nothing_ready() -> Iterator[None]:
    from bench.process.global_state import state_at_start
    from bench.worker.visit import ready_cells

    ready_cells.cache_clear()
    state_at_start.cache_clear()
    yield
    ready_cells.cache_clear()
