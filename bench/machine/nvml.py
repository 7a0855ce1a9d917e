"""A GPU's clocks, temperature, power, energy and settings, as its driver tells them through NVML.

The package (nvidia-ml-py, imported as `pynvml`) is optional and imported late; what cannot be read
is None or `Unavailable`, with the reason. Nothing is ever set.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# Numbers of NVML's interface, which keep their meaning from driver to driver.
SM_CLOCK = 1
TEMPERATURE_OF_DIE = 0
ENABLED = 1

SLOWING = {
    0x4: "power limit",
    0x8: "hardware slowdown",
    0x10: "held to the clock of other GPUs",
    0x20: "too hot (driver)",
    0x40: "too hot (hardware)",
    0x80: "power brake of the supply",
    0x200: "board limit",
}
# Reliability (0x400) is taken for the voltage ceiling, which a GPU meets at its full clock.
HARMLESS = {
    0x1: "idle",
    0x2: "application clock setting",
    0x100: "display clock setting",
    0x400: "voltage ceiling",
}
# Where a function was renamed, old drivers know one name and new drivers know the other only.
TEMPERATURE = ("nvmlDeviceGetTemperature", "nvmlDeviceGetTemperatureV")
CLOCK_LIMITS = (
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetCurrentClocksThrottleReasons",
)


@dataclass(frozen=True)
class Unavailable:
    """Why an instrument gives nothing here, in one line."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class GpuState:
    """One look at a GPU; None where it does not tell.

    `power_w` may be an average over the last second. `throttle_reasons` are all limits of the
    clock at this moment.
    """

    clock_hz: float | None
    temperature_c: float | None
    power_w: float | None
    throttle_reasons: tuple[str, ...] | None


class Sensor:
    """One GPU, read through NVML. `nvml` is the module `pynvml`, which carries no types."""

    def __init__(self, nvml: Any, handle: object) -> None:
        self._nvml = nvml
        self._handle = handle

    def read(self) -> GpuState:
        """Clock, temperature, power and what limits the clock, now."""
        limits = self.known(*CLOCK_LIMITS)
        return GpuState(
            clock_hz=_times(self.known("nvmlDeviceGetClockInfo", arguments=(SM_CLOCK,)), 1e6),
            temperature_c=_times(self.known(*TEMPERATURE, arguments=(TEMPERATURE_OF_DIE,)), 1.0),
            power_w=_times(self.known("nvmlDeviceGetPowerUsage"), 1e-3),
            throttle_reasons=None if limits is None else in_words(limits),
        )

    def energy_j(self) -> float | Unavailable:
        """Joules since the driver was loaded, counted in millijoules; GPUs before Volta have none.

        On a board that joins a GPU and a processor it is the energy of both.
        """
        energy_mj = self.ask("nvmlDeviceGetTotalEnergyConsumption")
        if isinstance(energy_mj, Unavailable):
            return Unavailable(f"energy: {energy_mj.reason}")
        return float(energy_mj) / 1e3

    # What pynvml returns has no type: a number, a name, or a list.
    def ask(self, *names: str, arguments: tuple[int, ...] = ()) -> Any:
        """The answer of the first function of these names that has one, or `Unavailable`."""
        why = ""
        for name in names:
            try:
                return getattr(self._nvml, name)(self._handle, *arguments)
            except AttributeError:
                why = why or "this version of nvidia-ml-py cannot ask for it"
            except self._nvml.NVMLError as problem:
                why = str(problem)
        return Unavailable(why)

    def known(self, *names: str, arguments: tuple[int, ...] = ()) -> Any:
        """The same answer; None where there is none."""
        answer = self.ask(*names, arguments=arguments)
        return None if isinstance(answer, Unavailable) else answer


def in_words(limits: int) -> tuple[str, ...]:
    """The bits of NVML's clock event reasons, in words."""
    known = {**SLOWING, **HARMLESS}
    bits = [1 << place for place in range(limits.bit_length()) if limits >> place & 1]
    return tuple(known.get(bit, f"a reason not known here ({bit:#x})") for bit in bits)


def load() -> Any:
    """The module `pynvml`; an ImportError where it is not installed."""
    return importlib.import_module("pynvml")


def open_device(
    device: str, *, nvml: Any = None, properties: Callable[[str], object] | None = None
) -> Sensor | Unavailable:
    """The sensor of a device that torch names, such as `cuda:1`.

    torch and NVML number the GPUs differently (CUDA_VISIBLE_DEVICES, CUDA_DEVICE_ORDER), so that
    the GPU is found by its UUID or by its place on the bus. `nvml` is the module `pynvml`,
    `properties` is `torch.cuda.get_device_properties`, or what stands in for them.
    """
    if not device.startswith("cuda"):
        return Unavailable(f"NVML reads NVIDIA's GPUs only, got {device}")
    try:
        nvml = nvml or load()
    except ImportError:
        return Unavailable('the package nvidia-ml-py is missing; run "pip install nvidia-ml-py"')
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as problem:
        return Unavailable(f"NVML does not start: {problem}")
    try:
        found = (properties or _torch_properties)(device)
    except (AssertionError, RuntimeError) as problem:
        return Unavailable(f"torch does not see {device}: {str(problem).partition(chr(10))[0]}")
    return _find(nvml, found, device)


def _torch_properties(device: str) -> object:
    import torch

    return torch.cuda.get_device_properties(torch.device(device))


def _find(nvml: Any, properties: object, device: str) -> Sensor | Unavailable:
    problems = []
    for find, name in _names(nvml, properties):
        try:
            sensor = Sensor(nvml, find(name))
        except nvml.NVMLError as problem:
            problems.append(f"{name}: {problem}")
            continue
        # A GPU that cannot be divided does not support the question.
        mode = sensor.known("nvmlDeviceGetMigMode")
        if name.startswith("MIG-") or (mode is not None and mode[0] == ENABLED):
            return Unavailable(
                f"{device} is a part of a GPU (MIG), whose sensors are those of the whole"
            )
        return sensor
    why = "; ".join(problems) or "torch tells neither its UUID nor its place on the bus"
    return Unavailable(f"NVML does not find {device}: {why}")


def _names(nvml: Any, properties: object) -> list[tuple[Callable[[str], object], str]]:
    """The names by which NVML may know the GPU, each with the function that takes it."""
    names: list[tuple[Callable[[str], object], str]] = []
    uuid = getattr(properties, "uuid", None)
    if uuid is not None:
        # torch leaves out the kind of device, with which NVML's names begin.
        names += [(nvml.nvmlDeviceGetHandleByUUID, f"{kind}-{uuid}") for kind in ("GPU", "MIG")]
    domain, bus, slot = (
        getattr(properties, f"pci_{part}_id", None) for part in ("domain", "bus", "device")
    )
    if domain is not None and bus is not None and slot is not None:
        names.append((nvml.nvmlDeviceGetHandleByPciBusId, f"{domain:08x}:{bus:02x}:{slot:02x}.0"))
    return names


def _times(value: float | None, unit: float) -> float | None:
    return None if value is None else value * unit
