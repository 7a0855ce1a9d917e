"""Claims on what attention needs beside operations: turns to wait, memory, energy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from bench.claims.by_counting import listed
from bench.claims.claim import Decision, Ruling, Value
from bench.claims.counted import build_of, layer_at, layer_law
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
"""Sequence lengths between which memory and work are compared, at d = D."""
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
    few, many = (work(Point(b=1, h=1, n=n, d=D)) for n in DOUBLED)
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


def cpu_energy(core: Implementation) -> EnergyReading | Unavailable:
    """Joules of one call at the larger length on this machine's processors."""
    meter = find_meter("cpu")
    if isinstance(meter, Unavailable):
        return meter
    idle = idle_power(meter, synchronize=_nothing)
    if isinstance(idle, Unavailable):
        return idle
    made = make_inputs(_case(DOUBLED[1]))
    call = partial(core.call, made.query, made.key, made.value)
    return energy_per_call(call, meter, idle=idle, synchronize=_nothing)


def _nothing() -> None:
    """A processor is not waited for."""


def _case(seq_len: int) -> Case:
    return Case(seq_len=seq_len, head_dim=D)


def memory_and_energy(
    cores: Sequence[Implementation] = (MATMUL, ONLINE_SOFTMAX),
    energy_of: Callable[[Implementation], EnergyReading | Unavailable] = cpu_energy,
) -> Decision:
    """Are memory and energy open problems? Memory is counted; energy needs a counter."""
    values: dict[str, Value] = {}
    sizes, joules, quadratic = [], [], []
    for core in cores:
        short, long = (count(core, _case(n)).workspace_bytes or 0 for n in DOUBLED)
        quadratic.append(long > QUADRATIC * short)
        values |= {f"workspace_bytes_{core.name}_n{DOUBLED[0]}": short}
        values |= {f"workspace_bytes_{core.name}_n{DOUBLED[1]}": long}
        sizes.append(f"{core.name} {short / 2**20:.3g} and {long / 2**20:.3g} MiB")
        energy = energy_of(core)
        if isinstance(energy, Unavailable):
            values |= {f"energy_j_{core.name}": None}
            joules.append(energy.reason)
        else:
            values |= {f"energy_j_{core.name}": energy.energy_j}
            joules.append(f"{core.name} {energy.energy_j:.3g} J")
    evidence = (
        f"workspace at n = {listed(DOUBLED)}, d = {D}: {'; '.join(sizes)}; energy of a call at "
        f"n = {DOUBLED[1]}: {'; '.join(dict.fromkeys(joules))}"
    )
    if all(quadratic) or not any(quadratic):
        ruling = Ruling.TRUE if all(quadratic) else Ruling.FALSE
        return Decision(ruling=ruling, evidence=evidence, values=values)
    names = listed(core.name for core, grows in zip(cores, quadratic, strict=True) if grows)
    return Decision(
        ruling=Ruling.CONDITIONAL,
        evidence=evidence,
        values=values,
        condition=f"memory: only for a core that holds all scores ({names})",
    )
