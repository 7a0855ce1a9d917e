"""The times that a fit has at the sizes of a series, and which points lie in its last regime."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.judge.result import Fit

BAND = 2.0  # rms residuals on each side of the fitted curve
_CLOSE = np.log(1.15)  # beyond the misfit of one regime, below the jump to the next


def fitted_times(fit: Fit | None, rows: pd.DataFrame) -> NDArray[np.float64] | None:
    """The fitted time at these rows; None without a fit, or where a size of it is missing."""
    if fit is None or not fit.terms or any(name not in rows for name in fit.sizes.values()):
        return None
    sizes = {letter: rows[name].to_numpy(dtype=float) for letter, name in fit.sizes.items()}
    fitted = np.asarray(fit.predict(sizes), dtype=np.float64)
    return fitted if np.isfinite(fitted).all() and (fitted > 0).all() else None


def regimes_of(fit: Fit | None, rows: pd.DataFrame) -> list[str]:
    """The names of the fit's regimes that each row's first size lies in; they may overlap in it."""
    column = _first_size(fit, rows)
    if fit is None or column is None:
        return [""] * len(rows)
    return [
        " or ".join(one.name for one in fit.regimes if one.start <= size <= one.end)
        for size in rows[column]
    ]


def in_last_regime(fit: Fit | None, rows: pd.DataFrame) -> list[bool]:
    """Whether each row has reached the last regime, whose terms the fitted law has.

    A regime told by something else than size (page faults, say) overlaps its neighbour in size;
    there a point counts as settled if the fitted law describes it.
    """
    column = _first_size(fit, rows)
    if fit is None or column is None or not fit.regimes:
        return [True] * len(rows)
    fitted = fitted_times(fit, rows)
    last, earlier = fit.regimes[-1], fit.regimes[:-1]
    found = []
    for index, (size, time) in enumerate(zip(rows[column], rows["time_s"], strict=True)):
        shared = any(one.start <= size <= one.end for one in earlier)
        close = fitted is None or abs(np.log(time / fitted[index])) < _CLOSE
        found.append(bool(size >= last.start and (close or not shared)))
    return found


def _first_size(fit: Fit | None, rows: pd.DataFrame) -> str | None:
    """The column of the first size variable, which regimes are told in."""
    column = next(iter(fit.sizes.values()), None) if fit else None
    return column if column in rows else None


def sizes_between(rows: pd.DataFrame, column: str, points: int = 60) -> pd.DataFrame:
    """The rows' sizes, filled in between along `column`; exact for sizes that are powers of it."""
    sizes = rows.select_dtypes("number").groupby(column, as_index=False).first()
    logs = np.log(sizes[column].to_numpy(dtype=float))
    grid = np.linspace(logs[0], logs[-1], points)
    filled = {}
    for name in sizes.columns:
        values = sizes[name].to_numpy(dtype=float)
        if (values > 0).all():
            filled[name] = np.exp(np.interp(grid, logs, np.log(values)))
    return pd.DataFrame(filled)


def band_factor(fit: Fit | None) -> float:
    """What a fitted time is multiplied and divided by at the edges of the band."""
    residual = fit.rms_residual if fit else None
    return 1.0 if residual is None else float(np.exp(BAND * residual))
