from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Files = Callable[[Mapping[str, object]], Path]


@pytest.fixture
def system(tmp_path: Path) -> Files:
    """Writes files of /proc and /sys under a root of the test's own, and gives that root."""

    def write(files: Mapping[str, object]) -> Path:
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{text}\n", encoding="utf-8")
        return tmp_path

    return write
