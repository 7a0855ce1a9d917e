"""Whether the exponents of a run are known well enough to stop: asked by a sweep between rounds."""

from __future__ import annotations

import warnings
from pathlib import Path

from reports.grouped import fit_groups
from reports.judgement import Fit
from reports.tables import read_table

# Where cells lie so much farther off their law than their readings differ, the law's own misfit
# makes the interval, and more readings would not narrow it.
MISFIT_IN_SCATTER = 3.0


def is_known(folder: Path, precision: float) -> bool:
    """Whether no exponent would be known better than now, or all to within `precision`.

    It looks at widths alone, so that no verdict can decide how long it was looked for.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # they are told with the verdicts
        table = read_table(folder)
        fits = fit_groups(table.frame, info=table.shared_info, compare=False)
    return all(_is_narrow(fit, precision) or not _would_narrow(fit) for fit in fits)


def _is_narrow(fit: Fit, precision: float) -> bool:
    """Whether the exponent of every size that varies is known so well; no size, no exponent."""
    varying = [fit.exponents[name] for name in fit.exponents if fit.levels.get(name, 0) > 1]
    return bool(varying) and all(
        one.low is not None and one.high is not None and one.high - one.low <= 2 * precision
        for one in varying
    )


def _would_narrow(fit: Fit) -> bool:
    """Whether more readings would narrow the intervals: not if the cells' own errors are small."""
    error = None if fit.basis is None else fit.basis.setting.cells.median_error
    if error is None or fit.rms_residual is None:
        return True
    return MISFIT_IN_SCATTER * error > fit.rms_residual
