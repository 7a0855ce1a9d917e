"""What importing the figures must not load."""

from __future__ import annotations

import subprocess
import sys


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


MODULES = ("reports.verdicts.table", "reports.figures", "reports.page.page")


def test_importing_reports_loads_no_torch_no_pyplot_no_scipy_stats_and_no_implementations() -> None:
    code = f"""
import sys
from importlib import import_module
for name in {MODULES!r}:
    import_module(name)
    print(name, [m for m in sys.modules if m.split(".")[0] in ("torch", "implementations")
        or m in ("matplotlib.pyplot", "scipy.stats")
        or (m.startswith("bench.") and m != "bench.records")])
"""
    assert run_python(code).splitlines() == [f"{name} []" for name in MODULES]
