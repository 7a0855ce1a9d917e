"""attnscale: what attention really costs, checked, measured and judged.

The Python API: `fit`, `verify`, `sweep` and `load`. Nothing heavy is imported before it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from bench.checks.results import CheckResult
    from bench.plan.plan import Plan
    from bench.records import Run
    from implementations.case import Pass
    from implementations.interface import Implementation
    from implementations.naming import Layout
    from reports.judge.result import Fit

__version__ = "0.1.0"


def fit(
    table: pd.DataFrame,
    sizes: Mapping[str, str] | None = None,
    value: str = "time_s",
    claim: str = "n^2*d",
    confidence: float = 0.95,
    tolerance: float = 0.1,
    statistic: str | None = None,
    average: Sequence[str] = (),
) -> Fit:
    """Judge one claim on one group of cells: a row a reading, `sizes` maps letters to columns.

    `average` names settings that vary among rows of the same sizes, and that the mean is taken of.

    Raises:
        ValueError: the claim is no law, a column is missing, or a value cannot be a size or a cost.
        TypeError: the table is no DataFrame.

    """
    import pandas as pd

    if not isinstance(table, pd.DataFrame):
        raise TypeError(
            f"fit: expected a pandas DataFrame, got {type(table).__name__}; read a file with "
            "pandas.read_csv first, or judge it by the command attnscale fit"
        )
    from reports.cells.case_columns import SIZES
    from reports.judge.fit import fit as judge

    return judge(
        table,
        sizes=sizes or SIZES,
        value=value,
        claim=claim,
        confidence=confidence,
        tolerance=tolerance,
        statistic=statistic,
        average=average,
    )


def verify(
    fn: Callable[..., Any] | Implementation | str,
    *,
    dtypes: Sequence[str] = ("float32", "float64", "bfloat16", "float16"),
    device: str = "cpu",
    passes: Sequence[Pass] = ("forward_backward",),
    layout: Layout = "bhsd",
    seed: int = 0,
) -> list[CheckResult]:
    """Check a function, an implementation or a name against the float64 oracle, in this process.

    Raises:
        ValueError: there is no implementation of that name, or no such dtype.

    """
    from bench.checks.refusals import mark_refusals_unsupported, witnesses
    from bench.checks.run_situation import verify as check
    from bench.checks.situations import check_cases
    from implementations.catalogue import load as load_implementation
    from implementations.interface import Implementation
    from implementations.specs import from_function, in_layout

    if isinstance(fn, str):
        implementation = load_implementation(fn)
    else:
        implementation = fn if isinstance(fn, Implementation) else from_function(fn)
    implementation = in_layout(implementation, layout)
    cases = check_cases(dtypes, device=device, passes=passes, asked=[implementation.kind])
    found = list(check(implementation, cases, seed=seed))
    elsewhere = list(check(implementation, witnesses(implementation, found), seed=seed))
    return mark_refusals_unsupported(implementation, found, elsewhere)


def sweep(plan: Plan | str, out: str | Path, *, resume: bool = False) -> Run:
    """Measure a plan, or a preset by name, into the directory `out`, and return the run.

    Raises:
        ValueError: there is no such preset, the plan cannot be run, or `out` cannot be used.

    """
    from attnscale.measuring import sweep_into
    from bench.plan.plan import load_preset

    preset = plan if isinstance(plan, str) else None
    sweep_into(Path(out), load_preset(plan) if isinstance(plan, str) else plan, resume, preset)
    return load(out)


def load(run: str | Path) -> Run:
    """Read a run directory.

    Raises:
        ValueError: it is not one.

    """
    from bench.records import read_run

    return read_run(run)
