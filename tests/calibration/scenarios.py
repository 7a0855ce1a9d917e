"""What is simulated: laws, claims that are true and false of them, grids and disturbances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

Grid = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """A law that costs follow, a claim that is true of it, and claims that are false.

    `terms` are the leading terms; `window` makes the second n of the cost stop growing there, as
    in n·min(n, w)·d, and `jump` multiplies all but the overhead above a working set.
    """

    name: str
    terms: tuple[str, ...]
    true: str
    false: tuple[str, ...]
    window: bool = False
    jump: float = 1.0
    lower: tuple[str, ...] = ()
    workspace: str | None = None
    spill: bool = False


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """What a machine adds, all relative to a cell's cost.

    `reading` and `shared` are standard deviations of logarithms: of each reading, and of all
    readings of a cell together; `outliers` is the part of the readings that a disturbance makes
    1.3 to 4 times as long; `overhead` its part of the cost of the cell in the middle of the grid;
    `lower` the part of lower-order terms in the smallest cell. `rounds` readings a cell.
    """

    reading: float = 0.02
    shared: float = 0.0
    outliers: float = 0.0
    overhead: float = 0.1
    lower: float = 0.25
    rounds: int = 3
    numbered: bool = True

    @property
    def quiet(self) -> bool:
        """Whether a verdict is owed: noise of at most 3 %, overhead below 30 % at mid-grid."""
        return np.hypot(self.reading, self.shared) <= 0.0301 and self.overhead < 0.3

    @property
    def text(self) -> str:
        """The noise in a few words, as a row of a table has it."""
        parts = [f"{100 * self.reading:g} % a reading"]
        if self.shared:
            parts.append(f"{100 * self.shared:g} % shared")
        if self.outliers:
            parts.append(f"{100 * self.outliers:g} % outliers")
        parts.append(f"overhead {100 * self.overhead:g} %")
        parts.append(f"{self.rounds} readings")
        return ", ".join(parts)


NOISES: tuple[Disturbance, ...] = (
    Disturbance(reading=0.01, overhead=0.05, rounds=3, lower=0.25),
    Disturbance(reading=0.03, overhead=0.25, rounds=3, lower=0.5),
    Disturbance(reading=0.02, shared=0.02, overhead=0.2, rounds=4, lower=0.5),
    Disturbance(reading=0.03, outliers=0.05, overhead=0.1, rounds=5, lower=0.5, numbered=False),
    Disturbance(reading=0.05, shared=0.05, outliers=0.05, overhead=0.2, rounds=3, lower=0.5),
    Disturbance(
        reading=0.1, shared=0.05, outliers=0.05, overhead=0.3, rounds=3, lower=0.5, numbered=False
    ),
)
"""From a quiet machine to a bad one; the first four owe a verdict."""
HIDING: tuple[Disturbance, ...] = tuple(
    Disturbance(reading=0.02, shared=0.01, overhead=overhead, rounds=3, lower=0.25)
    for overhead in (0.9, 0.99, 0.999)
)
"""Overhead so large that the law hardly shows."""


TRUTHS: tuple[Truth, ...] = (
    Truth(name="1", terms=("1",), true="1", false=("n", "d", "n*d", "n^2*d")),
    Truth(name="n", terms=("n",), true="n", false=("1", "n*d", "n*log(n)", "n^2", "n^2*d")),
    Truth(
        name="n*d",
        terms=("n*d",),
        true="n*d",
        false=("n", "n*log(n)*d", "n^1.5*d", "n*d^2", "n^2*d"),
    ),
    Truth(
        name="n*log(n)*d",
        terms=("n*log(n)*d",),
        true="n*log(n)*d",
        false=("n*d", "n^1.5*d", "n^2*d", "n*log(n)"),
    ),
    Truth(
        name="n^1.5*d",
        terms=("n^1.5*d",),
        true="n^1.5*d",
        false=("n*d", "n*log(n)*d", "n^1.8*d", "n^2*d"),
    ),
    Truth(
        name="n*d^2",
        terms=("n*d^2",),
        true="n*d^2",
        false=("n*d", "n^2*d", "n^2*d^2", "n^2*d + n*d^2"),
    ),
    Truth(
        name="n^2*d",
        terms=("n^2*d",),
        true="n^2*d",
        false=(
            "n*d",
            "n^2",
            "n^1.8*d",
            "n^2.2*d",
            "n^2*log(n)*d",
            "n*d^2",
            "n^2*d^2",
            "n^3*d",
            "n^2*d + n*d^2",
        ),
    ),
    Truth(
        name="n^2*d^2", terms=("n^2*d^2",), true="n^2*d^2", false=("n^2*d", "n*d^2", "n^3*d", "n*d")
    ),
    Truth(
        name="n^2*log(n)*d",
        terms=("n^2*log(n)*d",),
        true="n^2*log(n)*d",
        false=("n^2*d", "n^1.8*d", "n^3*d", "n*d"),
    ),
    Truth(
        name="n^3*d",
        terms=("n^3*d",),
        true="n^3*d",
        false=("n^2*d", "n^2*log(n)*d", "n*d", "n^2.2*d"),
    ),
    Truth(
        name="n^1.8*d",
        terms=("n^1.8*d",),
        true="n^1.8*d",
        false=("n^2*d", "n^1.5*d", "n^2.2*d", "n*d", "n^2*log(n)*d"),
    ),
    Truth(
        name="n^2.2*d",
        terms=("n^2.2*d",),
        true="n^2.2*d",
        false=("n^2*d", "n^1.8*d", "n^3*d", "n*d"),
    ),
    Truth(name="n^2", terms=("n^2",), true="n^2", false=("n^2*d", "n", "n^3", "n^2*log(n)", "n*d")),
    Truth(
        name="n*d^2 + n^2*d",
        terms=("n*d^2", "n^2*d"),
        true="n^2*d + n*d^2",
        false=("n^2*d", "n*d^2", "n^2*d^2", "n*d"),
    ),
    Truth(
        name="n*min(n, w)*d",
        terms=("n^2*d",),
        true="n*d",
        false=("n^2*d", "n*d^2", "n^2*d + n*d^2"),
        window=True,
    ),
    Truth(
        name="n^2*d, threefold jump",
        terms=("n^2*d",),
        true="n^2*d",
        false=("n*d", "n*d^2", "n^3*d", "n^2*d^2", "n^2"),
        jump=3.0,
    ),
)

ONE_VARIABLE: tuple[Truth, ...] = tuple(
    Truth(name=law, terms=(law,), true=law, false=false)
    for law, false in (
        ("1", ("n", "n^2")),
        ("n", ("1", "n^2", "n^1.5")),
        ("n*log(n)", ("n^2", "n^1.5")),
        ("n^1.5", ("n", "n^2")),
        ("n^2", ("n", "n^3", "n^1.5")),
        ("n^2*log(n)", ("n", "n^3")),
        ("n^3", ("n^2", "n")),
        ("n^1.8", ("n^2", "n")),
        ("n^2.2", ("n^2", "n^3")),
    )
)

THREE_VARIABLES: tuple[Truth, ...] = (
    Truth(name="n*w*d", terms=("n*w*d",), true="n*w*d", false=("n*d", "n^2*d", "n*w")),
    Truth(name="b*n^2*d", terms=("b*n^2*d",), true="b*n^2*d", false=("n^2*d", "b*n*d")),
)


NEAR: tuple[Truth, ...] = (
    Truth(
        name="n*log(n)*d + n*d",
        terms=("n*log(n)*d",),
        true="n*log(n)*d",
        false=("n*d", "n^2*d"),
        lower=("n*d",),
    ),
    Truth(
        name="n^2*log(n)*d + n^2*d",
        terms=("n^2*log(n)*d",),
        true="n^2*log(n)*d",
        false=("n^2*d", "n^3*d"),
        lower=("n^2*d",),
    ),
    Truth(
        name="n^2.2*d + n^2*d",
        terms=("n^2.2*d",),
        true="n^2.2*d",
        false=("n^2*d", "n^3*d"),
        lower=("n^2*d",),
    ),
    Truth(
        name="n^1.8*d + n^1.5*d",
        terms=("n^1.8*d",),
        true="n^1.8*d",
        false=("n^1.5*d", "n^2*d"),
        lower=("n^1.5*d",),
    ),
    Truth(
        name="n^2*d + n^1.5*d",
        terms=("n^2*d",),
        true="n^2*d",
        false=("n^1.5*d", "n^2.2*d"),
        lower=("n^1.5*d",),
    ),
)
"""With lower-order terms so near that the model leaves them out: what that costs."""


CACHED: tuple[Truth, ...] = (
    *(
        Truth(
            name=f"{law}, workspace {workspace} leaves a cache",
            terms=(law,),
            true=law,
            false=false,
            workspace=workspace,
            spill=True,
        )
        for law, workspace, false in (
            ("n^2*d", "n^2*d", ("n*d", "n^1.8*d", "n^2.2*d", "n^3*d", "n*d^2")),
            ("n^2*d", "n*d", ("n*d", "n^1.8*d", "n^2.2*d", "n^3*d", "n*d^2")),
            ("n*d", "n*d", ("n*log(n)*d", "n^2*d", "n")),
        )
    ),
    *(
        Truth(
            name=f"{law}, workspace {workspace}",
            terms=(law,),
            true=law,
            false=false,
            workspace=workspace,
        )
        for law, workspace, false in (
            ("n^2*d", "n^2*d", ("n^1.8*d", "n^2.2*d", "n^2*log(n)*d")),
            ("n^2.2*d", "n^2*d", ("n^2*d", "n^3*d")),
            ("n^2*log(n)*d", "n^2*d", ("n^2*d", "n^3*d")),
            ("n^3*d", "n^2*d", ("n^2*d", "n^2.2*d")),
            ("n*log(n)*d", "n*d", ("n*d", "n^1.5*d")),
        )
    ),
)
"""With a column of the workspace, which a cost is judged by, and with a cache that it leaves."""


def doublings(first: int, count: int) -> tuple[float, ...]:
    """So many sizes, each twice the one before."""
    return tuple(float(first * 2**k) for k in range(count))


@dataclass(frozen=True, kw_only=True)
class Design:
    """Where is measured: a grid of sizes, or the cells of it below a cap on n²·d."""

    name: str
    sizes: Grid = field(default_factory=dict)
    cap: float | None = None

    def cells(self) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
        """The cells' sizes, arrays of one length."""
        axes = np.meshgrid(*(np.array(values) for values in self.sizes.values()), indexing="ij")
        flat = {name: axis.ravel() for name, axis in zip(self.sizes, axes, strict=True)}
        if self.cap is None:
            return flat
        keep = flat["n"] ** 2 * flat["d"] <= self.cap
        return {name: values[keep] for name, values in flat.items()}


GRIDS: Mapping[str, Design] = MappingProxyType(
    {
        one.name: one
        for one in (
            Design(name="6x5", sizes={"n": doublings(128, 6), "d": doublings(64, 5)}),
            Design(name="7x6", sizes={"n": doublings(128, 7), "d": doublings(64, 6)}),
            Design(name="10x6", sizes={"n": doublings(128, 10), "d": doublings(32, 6)}),
            Design(
                name="triangle",
                sizes={"n": doublings(128, 8), "d": doublings(64, 6)},
                cap=float(4096**2 * 512),
            ),
            Design(name="ten sizes", sizes={"n": doublings(64, 10)}),
            Design(
                name="4x4x4",
                sizes={"n": doublings(256, 5), "d": doublings(64, 4), "w": doublings(32, 4)},
            ),
            Design(
                name="5x4x4 batch",
                sizes={"b": doublings(1, 4), "n": doublings(256, 5), "d": doublings(64, 4)},
            ),
        )
    }
)
