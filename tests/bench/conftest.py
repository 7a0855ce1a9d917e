"""A measuring process for all, a GPU for those who have none, and a system of small files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from bench.process.supervisor import Worker


@pytest.fixture(scope="session")
def real() -> Iterator[Worker]:
    """A worker with a real process, which takes seconds to start; tests may make it lose that."""
    with Worker(threads=1) as worker:
        yield worker


@pytest.fixture
def borrowed_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Lends the processor's memory to who asks for that of a GPU; the devices asked for."""
    import torch
    from torch.overrides import TorchFunctionMode

    asked: list[str] = []

    def lent(device: object) -> str:
        asked.append(str(device))
        return "cpu"

    class Lending(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            kwargs = dict(kwargs or {})
            if str(kwargs.get("device", "cpu")).startswith("cuda"):
                kwargs["device"] = lent(kwargs["device"])
            return func(*args, **kwargs)

    generator = torch.Generator
    monkeypatch.setattr(torch, "Generator", lambda device: generator(lent(device)))
    with Lending():
        yield asked


@pytest.fixture
def system(tmp_path: Path) -> Callable[[Mapping[str, object]], Path]:
    """Writes files of /proc and /sys under a root of the test's own, and gives that root."""

    def write(files: Mapping[str, object]) -> Path:
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{text}\n", encoding="utf-8")
        return tmp_path

    return write
