"""Power supply and heat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.doctor.finding import Finding, unknown

# Below what a chip calls hot, clocks may fall already.
NEAR_HOT_C = 5.0
HOT_C = 90.0
PROCESSOR_CHIPS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal", "soc_thermal")


def power_supply(battery: Any) -> Finding:
    """Whether the machine runs on a battery, on which processors are slowed down.

    `battery` is what psutil tells of it, or None.
    """
    if battery is None:
        return Finding("power_supply", "good", "There is no battery.", value="mains")
    charge = f"the battery holds {battery.percent:.0f} %"
    if battery.power_plugged is None:
        return unknown("power_supply", f"Whether mains power is plugged in is not told; {charge}.")
    if battery.power_plugged:
        found = f"Mains power is plugged in; {charge}."
        return Finding("power_supply", "good", found, value="mains")
    found = f"The machine runs on its battery ({charge}), and saves power."
    return Finding("power_supply", "warning", found, advice="Plug in mains power.", value="battery")


def temperature(sensors: Mapping[str, Sequence[Any]]) -> Finding:
    """The hottest sensor of the processor, or of all where none is known to be its own.

    `sensors` are what psutil tells of those of each chip.
    """
    own = [chip for chip in sensors if chip in PROCESSOR_CHIPS] or sensors
    known = [(one.current, one.high or HOT_C, chip) for chip in own for one in sensors[chip]]
    if not known:
        return unknown("temperature", "No temperature can be read here.")
    now_c, limit_c, chip = max(known, key=lambda one: one[0] - one[1])
    return Finding(
        "temperature",
        "warning" if now_c > limit_c - NEAR_HOT_C else "good",
        f"The sensor {chip} reads {now_c:.0f} °C; {limit_c:.0f} °C is hot.",
        advice="Let it cool, and see to the fans: a hot processor lowers its clock.",
        value=round(now_c, 1),
        unit="°C",
    )
