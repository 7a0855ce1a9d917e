"""Power supply and heat."""

from __future__ import annotations

from collections.abc import Sequence

from bench.doctor.finding import Finding, judged, unknown
from bench.doctor.machine import Battery, Temperature

# Below what a chip calls hot, clocks may fall already.
NEAR_HOT_C = 5.0
HOT_C = 90.0
PROCESSOR_CHIPS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal", "soc_thermal")


def power_supply(battery: Battery | None) -> Finding:
    """Whether the machine runs on a battery, on which processors are slowed down."""
    if battery is None:
        return judged("power_supply", "good", "There is no battery.", value="mains")
    charge = f"the battery holds {battery.percent:.0f} %"
    if battery.plugged is None:
        return unknown("power_supply", f"Whether mains power is plugged in is not told; {charge}.")
    return judged(
        "power_supply",
        "good" if battery.plugged else "warning",
        f"Mains power is plugged in; {charge}."
        if battery.plugged
        else f"The machine runs on its battery ({charge}), and saves power.",
        advice="Plug in mains power.",
        value="mains" if battery.plugged else "battery",
    )


def temperature(sensors: Sequence[Temperature]) -> Finding:
    """The hottest sensor of the processor, or of all where none is known to be its own."""
    own = [one for one in sensors if one.chip in PROCESSOR_CHIPS] or list(sensors)
    if not own:
        return unknown("temperature", "No temperature can be read here.")
    hottest = max(own, key=lambda one: one.now_c - (one.high_c or HOT_C))
    limit = hottest.high_c or HOT_C
    hot = hottest.now_c > limit - NEAR_HOT_C
    return judged(
        "temperature",
        "warning" if hot else "good",
        f"The sensor {hottest.chip} reads {hottest.now_c:.0f} °C; {limit:.0f} °C is hot.",
        advice="Let it cool, and see to the fans: a hot processor lowers its clock.",
        value=round(hottest.now_c, 1),
        unit="°C",
    )
