"""What is read beside the samples of a cell: the GPU's state, a graph's replay, energy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from typing import Any

import torch

from bench.cuda_timing import graph_time
from bench.energy import EnergyMeter, Idle, energy_per_call, find_meter, idle_power
from bench.measuring import Prepared
from bench.nvml import Sensor, Unavailable, open_device
from bench.sampling import Budget

# The same on every machine, whatever a visit may take: graphs are replayed quickly.
GRAPH_BUDGET = Budget(visit_s=0.05, min_samples=5)


def gpu_state(device: str) -> dict[str, Any] | None:
    """Clock, temperature, power and throttle reasons now; None without a GPU or its sensors."""
    sensor = _sensor(device)
    return None if isinstance(sensor, Unavailable) else asdict(sensor.read())


def replayed(ready: Prepared, device: str) -> dict[str, Any]:
    """`graph_time_s`: a call replayed from a graph; or `graph_reason`, why there is none."""
    if not device.startswith("cuda"):
        return {}
    with ready.conditions():
        found = graph_time(ready.run, device, budget=GRAPH_BUDGET)
    if isinstance(found, Unavailable):
        return {"graph_reason": found.reason}
    return {"graph_time_s": found.reading.time_s}


def energy(ready: Prepared, device: str) -> dict[str, Any]:
    """`energy_j` of a call and the counter's resolution for it; or `energy_reason`."""
    meter = _meter(device)
    if isinstance(meter, Unavailable):
        return {"energy_reason": meter.reason}
    idle = watch_idle(device)
    if isinstance(idle, Unavailable):
        return {"energy_reason": idle.reason}
    with ready.conditions():
        found = energy_per_call(ready.call, meter, idle=idle, synchronize=_waiter(device))
    if isinstance(found, Unavailable):
        return {"energy_reason": found.reason}
    return {
        "energy_j": found.energy_j,
        "energy_resolution_j": found.energy_j * found.relative_resolution,
    }


@cache
def _sensor(device: str) -> Sensor | Unavailable:
    return open_device(device)


@cache
def _meter(device: str) -> EnergyMeter | Unavailable:
    return find_meter(device)


@cache
def watch_idle(device: str) -> Idle | Unavailable:
    """What the machine draws idle: once a process, to be asked before it has done any work."""
    meter = _meter(device)
    if isinstance(meter, Unavailable):
        return meter
    return idle_power(meter, synchronize=_waiter(device))


def _waiter(device: str) -> Callable[[], None]:
    if device.startswith("cuda"):
        return lambda: torch.cuda.synchronize(device)
    return lambda: None
