"""A real sweep of kernels that a test plants: what it said, what it recorded, who outlived it."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.records import Record, read_run

ROOT = Path(__file__).resolve().parents[1]
MARK = "TEST_OF_PLANTED_KERNELS"
# Statements for `settings`: kernels are asked a few situations before they are timed.
FEW_CHECKS = """
    from bench.checks import gate
    from bench.checks.situations import check_cases
    few = ("plain", "more_keys", "causal", "scale")
    gate.check_cases = lambda *a, **k: [one for one in check_cases(*a, **k) if one.name in few]
"""
# The machine's own rates take seconds to measure.
NO_CEILINGS = """
    from bench.sweep import preparations
    preparations.Preparations.ceilings = lambda *_: {}
"""
# Nothing is counted: torch loads much for it, in seconds.
NO_COUNTS = """
    from bench.sweep import preparations
    preparations.Preparations.count = lambda *_: {}
    preparations.Preparations.workspace_laws = lambda *_: []
"""
# A sweep that takes longer hangs, and is ended.
PATIENCE_S = 600.0


@dataclass(frozen=True, kw_only=True)
class PlantedSweep:
    """A sweep that ended."""

    code: int
    stderr: str
    records: Sequence[Record]
    left_behind: Sequence[int]

    def of(self, name: str) -> list[Record]:
        """The records of an implementation."""
        return [one for one in self.records if one.implementation == name]


def sweep_planted(
    folder: Path, *, plan: str, files: Mapping[str, str], specs: Sequence[str], settings: str
) -> PlantedSweep:
    """Run `attnscale sweep` on files of kernels; `settings` are statements that come before it.

    `specs` are given from the folder of the files on.
    """
    for name, text in {"plan.toml": plan, **files}.items():
        (folder / name).write_text(textwrap.dedent(text))
    words = ["sweep", "--config", str(folder / "plan.toml"), "--out", str(folder / "run")]
    for spec in specs:
        name, equals, target = spec.rpartition("=")
        words += ["--impl", f"{name}{equals}{folder / target}"]
    command = f"from attnscale.__main__ import main\n{textwrap.dedent(settings)}\nmain()"
    own = {"PYTHONPATH": str(ROOT), MARK: str(folder)}
    with (folder / "log").open("w") as log:
        sweep = subprocess.Popen(
            [sys.executable, "-c", command, *words],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=log,
            env={**os.environ, **own},
        )
        try:
            code = sweep.wait(timeout=PATIENCE_S)
        finally:
            sweep.kill()
            sweep.wait()
            left = marked(folder)
            for pid in left:
                psutil.Process(pid).kill()
    return PlantedSweep(
        code=code,
        stderr=(folder / "log").read_text(),
        records=read_run(folder / "run").records,
        left_behind=left,
    )


def marked(folder: Path) -> list[int]:
    """The processes that have the folder in their environment, whoever started them."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(folder):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found
