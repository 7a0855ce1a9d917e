"""Claims on what attention needs beside operations: turns to wait, memory, energy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product

from bench.claims.by_counting import listed
from bench.claims.claim import Decision, Ruling, Value
from bench.claims.counted import UncountableError, build_of, layer_at, layer_law
from bench.counting.direct import count
from bench.counting.polynomials import Point
from bench.machine.energy import EnergyReading, energy_per_call, find_meter, idle_power
from bench.machine.nvml import Unavailable
from bench.timing.inputs import make_inputs
from implementations.attention.matmul import IMPLEMENTATION as MATMUL
from implementations.attention.online_softmax import IMPLEMENTATION as ONLINE_SOFTMAX
from implementations.case import Case
from implementations.interface import Implementation
from implementations.layers.recurrent import IMPLEMENTATION as RNN
from implementations.layers.single_head import build as single_head
from implementations.parameters import Build

rnn = build_of(RNN)
SHORT, LONG, WIDTH = 5, 20, 7
DOUBLED = (1024, 2048)
"""Sequence lengths between which memory, energy and work are compared, at d = D."""
D = 64
QUADRATIC = 3.0
"""What grows by more as n doubles: 4 times would be n², 2 times n."""


def parallel(layer: Build = single_head, recurrent_layer: Build = rnn) -> Decision:
    """Do longer sequences take the same time, since all positions are computed in parallel?"""
    own, turns = (
        [layer_at(build, Case(seq_len=n, head_dim=WIDTH)).chains.longest for n in (SHORT, LONG)]
        for build in (layer, recurrent_layer)
    )
    work = layer_law(layer)
    few, many = (work(Point(b=1, h=1, n=n, head_dim=D)) for n in DOUBLED)
    ratio = float(many / few)
    told = "; ".join(
        f"{name}, {' and '.join(map(str, depths))}"
        for name, depths in (("layer", own), ("RNN", turns))
    )
    evidence = (
        f"operations that wait for one another at n = {SHORT} and {LONG}: {told}; multiply-adds of "
        f"the layer {work}: {ratio:.2f} times as many at n = {DOUBLED[1]} as at {DOUBLED[0]} "
        f"(d = {D})"
    )
    values: dict[str, Value] = {"work": str(work), "work_ratio": ratio}
    for name, depths in (("layer", own), ("rnn", turns)):
        values |= {
            f"depth_{name}_n{n}": depth for n, depth in zip((SHORT, LONG), depths, strict=True)
        }
    if own[1] > own[0] or ratio <= 1.0:
        ruling = Ruling.FALSE if own[1] > own[0] else Ruling.TRUE
        return Decision(ruling=ruling, evidence=evidence, values=values)
    return Decision(
        ruling=Ruling.CONDITIONAL,
        evidence=evidence,
        values=values,
        condition=f"only while processors are idle: no more turns to wait, {ratio:.2f} times the "
        "work as n doubles",
    )


def cpu_energy(core: Implementation, seq_len: int) -> EnergyReading | Unavailable:
    """Joules of one call on this machine's processors."""
    meter = find_meter("cpu")
    if isinstance(meter, Unavailable):
        return meter
    idle = idle_power(meter, synchronize=_nothing)
    if isinstance(idle, Unavailable):
        return idle
    made = make_inputs(_case(seq_len))
    call = partial(core.call, made.query, made.key, made.value)
    return energy_per_call(call, meter, idle=idle, synchronize=_nothing)


def _nothing() -> None:
    """A processor is not waited for."""


def _case(seq_len: int) -> Case:
    return Case(seq_len=seq_len, head_dim=D)


def memory_and_energy(
    cores: Sequence[Implementation] = (MATMUL, ONLINE_SOFTMAX),
    energy_of: Callable[[Implementation, int], EnergyReading | Unavailable] = cpu_energy,
) -> Decision:
    """Are memory and energy open problems: do both grow like n²?

    Memory is counted. Energy needs a counter; without one it is left undecided, and says so.

    Raises:
        UncountableError: the workspace of a core is not known.

    """
    names = [core.name for core in cores]
    memory = {core.name: [_workspace(core, n) for n in DOUBLED] for core in cores}
    energy = {core.name: _joules([energy_of(core, n) for n in DOUBLED]) for core in cores}
    values: dict[str, Value] = {}
    for name, (at, n) in product(names, enumerate(DOUBLED)):
        joules = energy[name]
        values |= {
            f"workspace_bytes_{name}_n{n}": memory[name][at],
            f"energy_j_{name}_n{n}": None if isinstance(joules, str) else joules[at],
        }
    hungry = [name for name, row in memory.items() if _is_quadratic(row)]
    known = {name: row for name, row in energy.items() if not isinstance(row, str)}
    costly = [name for name, row in known.items() if _is_quadratic(row)]
    is_decided = len(known) == len(names)
    mebibytes = {name: [size / 2**20 for size in row] for name, row in memory.items()}
    reasons = dict.fromkeys(row for row in energy.values() if isinstance(row, str))
    told = _told(known, "J") if is_decided else f"not decided: {'; '.join(reasons)}"
    evidence = (
        f"workspace at n = {listed(DOUBLED)}, d = {D}: {_told(mebibytes, 'MiB')}; energy of a "
        f"call: {told}"
    )
    if not hungry or (is_decided and not costly):
        return Decision(ruling=Ruling.FALSE, evidence=evidence, values=values)
    if is_decided and hungry == costly == names:
        return Decision(ruling=Ruling.TRUE, evidence=evidence, values=values)
    of_energy = _for_which(costly, names) if is_decided else "not decided"
    return Decision(
        ruling=Ruling.CONDITIONAL,
        evidence=evidence,
        values=values,
        condition=f"memory: {_for_which(hungry, names)}; energy: {of_energy}",
    )


def _joules(readings: Sequence[EnergyReading | Unavailable]) -> list[float] | str:
    """The energies, or why there are none."""
    for one in readings:
        if isinstance(one, Unavailable):
            return one.reason
    return [one.energy_j for one in readings if isinstance(one, EnergyReading)]


def _workspace(core: Implementation, seq_len: int) -> int:
    counts = count(core, _case(seq_len))
    if counts.workspace_bytes is None:
        reason = counts.reasons.get("workspace_bytes", "it was not counted")
        raise UncountableError(f"the workspace of {core.name} is not known: {reason}")
    return counts.workspace_bytes


def _is_quadratic(costs: Sequence[float]) -> bool:
    short, long = costs
    return long > QUADRATIC * short


def _told(costs: Mapping[str, Sequence[float]], unit: str) -> str:
    rows = (f"{name} {' and '.join(f'{one:.3g}' for one in row)}" for name, row in costs.items())
    return f"{'; '.join(rows)} {unit}"


def _for_which(some: Sequence[str], every: Sequence[str]) -> str:
    return "for every core" if some == every else f"only for {listed(some)}"
