"""A machine whose disturbance comes in spells, and the cells that are measured on it.

Neighbours come and go in stretches of seconds to minutes, and within those in spells of
milliseconds. Numbers are those measured on shared virtual machines, in ../shared/facts.md and
docs/measuring.md; where they are not known, the comment says so. All times are in seconds.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

STRETCH_S = (5.0, 60.0)  # episodes of 10 to 60 s; a cell's reading moves from minute to minute
SPELL_S = (1e-3, 50e-3)  # which of two cores is the quieter one changes within milliseconds
CORE_EXCESS = (0.2, 1.0)  # calls become up to twice as slow beside a neighbour on their core
MEMORY_EXCESS = (0.1, 0.7)  # plain matmul took 1.1 to 1.7 times as long, SDPA and loops did not
CALM_SPELLS = 0.05  # in calm stretches so much of what busy ones have; a guess
SHORT_S, LONG_S, LESS_FOR_LONG = 3e-4, 5e-2, 0.3  # the median of short calls rises more
SLICE_S = (2e-3, 6e-3)  # of the scheduler, to another process
REST = 0.004  # what is left of a reading's scatter on a quiet machine
OWN_CACHE_BYTES = 2**20  # a Zen 5 core's L2
CALL_LIMIT_S = 0.1
MISFIT = 0.007  # no repetition removes it: blocks that do not fill, alignment
# How much of a neighbour's excess on the core each kind feels: counting in Python took 1.9 times
# as long at worst, a matrix product lost 5 to 40 %, SDPA's median was 1.41 times its quickest.
KINDS = {"sdpa": 0.7, "matmul": 0.6, "loop": 0.9}
MOST_OVERHEAD = {"sdpa": 0.05, "matmul": 0.05, "loop": 0.25}  # of the cell in the middle


@dataclass(frozen=True, kw_only=True)
class Level:
    """How disturbed a machine is.

    `busy` is the part of the time in busy stretches, `core` and `memory` the parts of those in
    which a neighbour slows the core or memory; `drift` the standard deviation of the machine's
    pace from one stretch to the next; `preempted` how often a second a busy machine takes the core.
    """

    name: str
    busy: float = 0.0
    core: float = 0.0
    memory: float = 0.0
    drift: float = 0.0
    preempted: float = 0.0


LEVELS = (
    Level(name="simulated away"),
    Level(name="quiet", busy=0.1, core=0.3, memory=0.5, drift=0.003),
    # Cores shared 54 %, memory 49 %; a cell's quickest reading of a minute moved by 2 to 3 %.
    Level(name="shared", busy=0.65, core=0.8, memory=0.75, drift=0.01),
    # `shared_cores` up to 96 %.
    Level(name="heavily shared", busy=0.9, core=0.95, memory=0.95, drift=0.02),
    # Two busy processes on two cores leave a third process two thirds of one.
    Level(name="loaded", busy=0.97, core=0.97, memory=0.9, drift=0.02, preempted=120.0),
)


class Track:
    """A piecewise constant function of time, with its integral."""

    def __init__(self, lengths: Floats, values: Floats) -> None:
        self._edges = np.concatenate([[0.0], np.cumsum(lengths)])
        self._values = np.append(values, values[-1])
        self._sums = np.concatenate([[0.0], np.cumsum(lengths * values)])
        self._lists = self._edges.tolist(), self._values.tolist(), self._sums.tolist()

    def at(self, when: Floats) -> Floats:
        """Its value at many times."""
        return np.asarray(self._values[np.searchsorted(self._edges, when, "right") - 1])

    def between(self, begun: Floats, seconds: Floats) -> Floats:
        """Its integral over each of many spans."""
        ends = np.interp(begun + seconds, self._edges, self._sums)
        return np.asarray(ends - np.interp(begun, self._edges, self._sums))

    def at_one(self, when: float) -> float:
        """Its value at one time: what numpy does for many is slow for one."""
        edges, values, _ = self._lists
        return float(values[bisect_right(edges, when) - 1])

    def until_one(self, when: float) -> float:
        """Its integral up to one time."""
        edges, values, sums = self._lists
        at = bisect_right(edges, when) - 1
        return float(sums[at] + (when - edges[at]) * values[at])


@dataclass(frozen=True, kw_only=True)
class Cells:
    """The cells of all series: sizes, undisturbed cost, and what neighbours do to each.

    `core` and `memory` are the parts of a neighbour's excess that the cell feels; `judged` maps
    the series that are judged to their kind.
    """

    n: Floats
    d: Floats
    series: Numbers
    cost: Floats
    core: Floats
    memory: Floats
    judged: dict[int, str]

    def __len__(self) -> int:
        return int(self.n.size)


class Machine:
    """When it is slow, for whom, and by how much, for so many seconds."""

    def __init__(self, level: Level, rng: np.random.Generator, seconds: float) -> None:
        self._rng = rng
        self.core = _neighbour(rng, seconds, level.busy, level.core, CORE_EXCESS)
        self.neighbour = _neighbour(rng, seconds, level.busy, level.memory, MEMORY_EXCESS)
        lengths = _log_uniform(rng, STRETCH_S, seconds)
        self._drift = Track(lengths, rng.normal(0, level.drift, lengths.size))
        self._taken_at, self._taken = np.zeros(1), np.zeros(1)
        if level.preempted:
            count = int(seconds * level.preempted * 1.5)
            gaps = rng.gamma(4.0, 1 / (4.0 * level.preempted), count)
            self._taken_at = np.concatenate([[0.0], np.cumsum(gaps)])
            self._taken = np.concatenate([[0.0], np.cumsum(rng.uniform(*SLICE_S, count))])

    def elapsed(self, begun: Floats, work: Floats, cells: Cells, which: Numbers) -> Floats:
        """How long so much work takes that is begun then, for many spans of work of some cells."""
        slowed = cells.core[which] * self.core.between(begun, work)
        slowed += cells.memory[which] * self.neighbour.between(begun, work)
        return work + slowed + self._drift.between(begun, work) + self.lost(begun, work)

    def took(self, begun: float, work: float, cell: int, cells: Cells) -> float:
        """The same for one span of work."""
        end, took = begun + work, work
        feels = (1.0, float(cells.core[cell]), float(cells.memory[cell]))
        for track, by in zip((self._drift, self.core, self.neighbour), feels, strict=True):
            took += by * (track.until_one(end) - track.until_one(begun)) if by else 0.0
        return took + (self.lost_one(begun, work) if self._taken.size > 1 else 0.0)

    def lost(self, begun: Floats, work: Floats) -> Floats:
        """What the scheduler gives to others in each of many spans of work."""
        first = np.searchsorted(self._taken_at, begun, "right") - 1
        last = np.searchsorted(self._taken_at, begun + work, "right") - 1
        return np.asarray(self._taken[last] - self._taken[first])

    def lost_one(self, begun: float, work: float) -> float:
        """The same for one span of work."""
        return float(self.lost(np.array([begun]), np.array([work]))[0])

    def rest(self, count: int) -> Floats:
        """Factors by which readings scatter in any case."""
        return np.asarray(np.exp(self._rng.normal(0, REST, count)))


def _log_uniform(rng: np.random.Generator, between: tuple[float, float], seconds: float) -> Floats:
    """As many lengths, each as likely in every octave, as fill the time."""
    low, high = np.log(between)
    count = int(np.ceil(1.5 * seconds * (high - low) / (between[1] - between[0]))) + 10
    return np.asarray(np.exp(rng.uniform(low, high, count)))


def _on_and_off(
    rng: np.random.Generator, between: tuple[float, float], part: float, seconds: float
) -> tuple[Floats, Floats]:
    """Lengths of spells, in turn on and off, the rarer as long as given, and 1 for those on."""
    on, off = _log_uniform(rng, between, seconds), _log_uniform(rng, between, seconds)
    least = min(part, 1 - part)
    lengths = np.column_stack([on * part / least, off * (1 - part) / least]).ravel()
    is_on = np.where(np.arange(lengths.size) % 2, 0.0, 1.0)
    skipped = int(rng.integers(2))  # it begins in either
    return lengths[skipped:], is_on[skipped:]


def _neighbour(
    rng: np.random.Generator,
    seconds: float,
    busy: float,
    part: float,
    excess: tuple[float, float],
) -> Track:
    """By how much a neighbour slows what feels it: spells, fewer of them in calm stretches."""
    if not busy:
        return Track(np.array([seconds]), np.zeros(1))
    stretches = Track(*_on_and_off(rng, STRETCH_S, busy, seconds))
    lengths, is_on = _on_and_off(rng, SPELL_S, part, seconds)
    begins = np.cumsum(lengths) - lengths
    heard = stretches.at(begins) > rng.uniform(0, 1, lengths.size) - CALM_SPELLS
    return Track(lengths, np.where(heard, is_on * rng.uniform(*excess, lengths.size), 0.0))


def _grid(kind: str) -> tuple[Floats, Floats, float]:
    """Sizes, and seconds per n²·d: SDPA and matmul on a Zen 3, sums of Python's floats."""
    loop = kind == "loop"
    along, width = (8, 16) if loop else (256, 64)
    across = (16, 32, 64, 128) if loop else (256, 512, 1024, 2048)
    widths = (8, 32, 64, 128) if loop else (128, 256, 512, 1024, 2048)
    unit = {"sdpa": 0.056e-9, "matmul": 0.067e-9, "loop": 60e-9}[kind]
    steps = [along * f * 2**k for k in range(10) for f in (1, 1.5)]
    pairs = [(n, width) for n in steps] + [(n, d) for n in across for d in widths]
    kept = np.array([p for p in pairs if unit * p[0] ** 2 * p[1] <= CALL_LIMIT_S], dtype=float)
    return kept[:, 0], kept[:, 1], unit


def draw_cells(rng: np.random.Generator) -> Cells:
    """Six series, two of each kind; each draws its overhead and lower-order terms."""
    parts = [_draw_series(kind, number, rng) for number, kind in enumerate((*KINDS, *KINDS))]
    stacked = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    n, d, series, cost, core, memory = stacked
    return Cells(
        n=n,
        d=d,
        series=series.astype(np.int64),
        cost=cost * np.exp(rng.normal(0, MISFIT, n.size)),
        core=core,
        memory=memory,
        judged=dict(enumerate(KINDS)),
    )


def _draw_series(kind: str, number: int, rng: np.random.Generator) -> tuple[Floats, ...]:
    """The columns of one series, its cost as tests/calibration/simulate.py draws it."""
    n, d, unit = _grid(kind)
    cost = unit * n**2 * d
    smallest, middle = int(cost.argmin()), float(np.median(cost))
    lower = rng.permutation(np.column_stack([n, n**2, d, n * d]).T)[: rng.integers(1, 3)]
    share = rng.uniform(0, 0.5)
    parts = rng.dirichlet(np.ones(len(lower))) * share / (1 - share) * cost[smallest]
    cost = cost + parts @ (lower / lower[:, [smallest]])
    most = MOST_OVERHEAD[kind]
    overhead = rng.uniform(most / 3, most)
    cost = cost + overhead / (1 - overhead) * middle
    long = np.clip(np.log(cost / SHORT_S) / np.log(LONG_S / SHORT_S), 0, 1)
    workspace = 8 * n**2 * d / 64
    beyond = np.clip(1 - OWN_CACHE_BYTES / workspace, 0, 1) if kind == "matmul" else 0 * n
    return n, d, np.full(n.size, number), cost, KINDS[kind] * (1 - LESS_FOR_LONG * long), beyond
