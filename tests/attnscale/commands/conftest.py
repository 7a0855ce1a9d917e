"""The command `fit`, and a table for it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.attnscale.commands.some_fits import Grid, Run


@pytest.fixture
def fit(attnscale_: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `attnscale fit` in this process, on a terminal so wide that no line is broken."""
    monkeypatch.setenv("COLUMNS", "1000")
    return partial(attnscale_, "fit")


@pytest.fixture
def grid(tmp_path: Path) -> Grid:
    """A CSV file of n^exponent·d nanoseconds, a millisecond, and 4 n² + 64 bytes of workspace."""

    def write(
        name: str = "grid.csv", *, exponent: float = 2, header: str = "seq_len,d_model"
    ) -> Path:
        path = tmp_path / name
        sizes = [(n, d) for n in (64, 128, 256, 512, 1024, 2048) for d in (32, 64, 128, 256, 512)]
        rows = [f"{n},{d},{1e-9 * n**exponent * d + 1e-3},{4 * n * n + 64}" for n, d in sizes]
        path.write_text("\n".join([f"{header},time_s,workspace_bytes", *rows, ""]))
        return path

    return write
