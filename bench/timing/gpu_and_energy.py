"""What is read beside the time of a cell: the GPU's state, and energy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from typing import Any

import torch

from bench.machine.energy import EnergyMeter, Idle, energy_per_call, find_meter, idle_power
from bench.machine.nvml import Sensor, Unavailable, open_device
from bench.timing.prepared_call import Prepared


def gpu_state(device: str) -> dict[str, Any] | None:
    """Clock, temperature, power and throttle reasons now; None without a GPU or its sensors."""
    sensor = _sensor(device)
    return None if isinstance(sensor, Unavailable) else asdict(sensor.read())


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
    return asdict(found)


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
