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
    watched = watch_idle(device)
    if isinstance(watched, Unavailable):
        return {"energy_reason": watched.reason}
    meter, idle = watched
    with ready.conditions():
        found = energy_per_call(ready.call, meter, idle=idle, synchronize=_waiter(device))
    return {"energy_reason": found.reason} if isinstance(found, Unavailable) else asdict(found)


@cache
def watch_idle(device: str) -> tuple[EnergyMeter, Idle] | Unavailable:
    """What the machine draws idle: once a process, to be asked before it has done any work."""
    meter = find_meter(device)
    if isinstance(meter, Unavailable):
        return meter
    idle = idle_power(meter, synchronize=_waiter(device))
    return idle if isinstance(idle, Unavailable) else (meter, idle)


@cache
def _sensor(device: str) -> Sensor | Unavailable:
    return open_device(device)


def _waiter(device: str) -> Callable[[], None]:
    if device.startswith("cuda"):
        return lambda: torch.cuda.synchronize(device)
    return lambda: None
