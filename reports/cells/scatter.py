"""How readings of one cell differ: a word that many modules share, and light to import."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """The relative scatter of readings of one cell, in parts; None where it cannot be known.

    `reading` is what is left of it within a round, `rounds` what all readings of a round share,
    and `workers` what those of one process share. A round that has a worker of its own cannot be
    told from it: then `workers` is None.
    """

    reading: float | None = None
    rounds: float | None = None
    workers: float | None = None
