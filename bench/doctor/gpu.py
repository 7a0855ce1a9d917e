"""The GPU that measuring would use, as NVIDIA's management library (NVML) describes it.

Another back end's GPU is not looked at.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.doctor.finding import Finding, Status, counted, unknown
from bench.machine.nvml import (
    CLOCK_LIMITS,
    ENABLED,
    HARMLESS,
    SM_CLOCK,
    TEMPERATURE,
    TEMPERATURE_OF_DIE,
    Sensor,
    in_words,
    load,
)

SLOWDOWN_THRESHOLD = 1
NEAR_HOT_C = 5
BUSY_PERCENT = 5
# Heat and power supply: the clock will stay low until somebody does something.
LASTING = 0x8 | 0x40 | 0x80
ASK_SMI = "See what nvidia-smi says."
LOCK = "sudo nvidia-smi --lock-gpu-clocks=MHZ (--reset-gpu-clocks undoes it)"
ABSENT = "No NVIDIA GPU is seen; the CPU is measured."


def gpu_findings(
    root: Path = Path("/"),
    environment: Mapping[str, str] = os.environ,
    load: Callable[[], Any] = load,
) -> list[Finding]:
    """What there is to say of the GPU; one harmless finding where there is none."""
    driver = (root / "proc" / "driver" / "nvidia").exists()
    wanted = environment.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if wanted in ("", "-1"):
        hidden = "CUDA_VISIBLE_DEVICES hides all GPUs; the CPU is measured."
        return [Finding("gpu", "good", hidden)]
    try:
        nvml = load()
    except ImportError:
        if not driver:
            return [Finding("gpu", "good", ABSENT)]
        found = "There is an NVIDIA GPU, but NVML's Python binding (pynvml) is not installed."
        return [unknown("gpu", found, "pip install nvidia-ml-py")]
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as problem:
        if not driver:
            return [Finding("gpu", "good", ABSENT)]
        found = f"There is an NVIDIA driver, but NVML does not answer ({problem})."
        return [unknown("gpu", found, ASK_SMI)]
    try:
        return _findings(nvml, wanted)
    except nvml.NVMLError as problem:
        found = f"NVML does not show the GPU that would be used ({problem})."
        return [unknown("gpu", found, ASK_SMI)]
    finally:
        with contextlib.suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def _findings(nvml: Any, wanted: str) -> list[Finding]:
    """Those of the GPU that torch calls cuda:0, if all are of one kind."""
    if wanted.isdigit():
        handle = nvml.nvmlDeviceGetHandleByIndex(int(wanted))
    else:
        handle = nvml.nvmlDeviceGetHandleByUUID(wanted)
    number, name = nvml.nvmlDeviceGetCount(), nvml.nvmlDeviceGetName(handle)
    model = name.decode() if isinstance(name, bytes) else name
    others = f", one of {number}" if number > 1 else ""
    gpu = Sensor(nvml, handle)
    found = [Finding("gpu", "good", f"The GPU that is measured: {model}{others}.", value=model)]
    for name, what, look in LOOKS:
        found.append(look(gpu) or unknown(name, f"{what} is not told by this GPU."))
    return found


def _clock(gpu: Sensor) -> Finding | None:
    now = gpu.known("nvmlDeviceGetClockInfo", arguments=(SM_CLOCK,))
    most = gpu.known("nvmlDeviceGetMaxClockInfo", arguments=(SM_CLOCK,))
    if now is None or most is None:
        return None
    found = f"The GPU's clock is at {now} of at most {most} MHz now; idle, it is low."
    return Finding("gpu_clock", "good", found, value=now, unit="MHz")


def _application_clock(gpu: Sensor) -> Finding:
    name = "gpu_application_clock"
    now = gpu.known("nvmlDeviceGetApplicationsClock", arguments=(SM_CLOCK,))
    usual = gpu.known("nvmlDeviceGetDefaultApplicationsClock", arguments=(SM_CLOCK,))
    if now is None or usual is None:
        found = "Whether the GPU's clock is locked is not told; unlocked, it varies with heat."
        return unknown(name, found, LOCK)
    if now != usual:
        found = f"The GPU's clock is held at {now} MHz while it works (usually {usual})."
        return Finding(name, "good", found, value=now, unit="MHz")
    found = (
        "No clock is set for the GPU, unless by --lock-gpu-clocks, which is not told: "
        "it varies with heat and power."
    )
    return Finding(name, "warning", found, advice=LOCK, value=now, unit="MHz")


def _throttling(gpu: Sensor) -> Finding | None:
    limits = gpu.known(*CLOCK_LIMITS)
    if limits is None:
        return None
    slowing = in_words(limits & ~sum(HARMLESS))
    found = "Nothing holds the GPU's clock down."
    if slowing:
        found = f"The GPU's clock is held down: {', '.join(slowing)}."
    return Finding(
        "gpu_throttling",
        "problem" if limits & LASTING else "warning" if slowing else "good",
        found,
        advice="Let it cool, see to its power supply, or lock a clock that it can keep.",
        value=limits,
    )


def _temperature(gpu: Sensor) -> Finding | None:
    now = gpu.known(*TEMPERATURE, arguments=(TEMPERATURE_OF_DIE,))
    slow = gpu.known("nvmlDeviceGetTemperatureThreshold", arguments=(SLOWDOWN_THRESHOLD,))
    if now is None:
        return None
    return Finding(
        "gpu_temperature",
        "warning" if slow is not None and now > slow - NEAR_HOT_C else "good",
        f"The GPU is at {now} °C" + ("." if slow is None else f", and slows at {slow}."),
        advice="Let it cool, and see to its air.",
        value=now,
        unit="°C",
    )


def _power_limit(gpu: Sensor) -> Finding | None:
    limit = gpu.known("nvmlDeviceGetPowerManagementLimit")
    usual = gpu.known("nvmlDeviceGetPowerManagementDefaultLimit")
    if limit is None:
        return None
    found = f"The GPU may take {limit / 1e3:.0f} W"
    if usual is not None and limit != usual:
        found += f"; {usual / 1e3:.0f} W is usual"
    return Finding(
        "gpu_power_limit",
        "warning" if usual is not None and limit < usual else "good",
        f"{found}.",
        advice=f"sudo nvidia-smi --power-limit={(usual or 0) / 1e3:.0f}",
        value=limit / 1e3,
        unit="W",
    )


def _others(gpu: Sensor) -> Finding | None:
    running = gpu.known("nvmlDeviceGetComputeRunningProcesses")
    busy = gpu.known("nvmlDeviceGetUtilizationRates")
    if running is None:
        return None
    others = [one.pid for one in running if one.pid != os.getpid()]
    found = f"The GPU has {counted(len(others), 'other process', 'other processes')} on it"
    if others:
        found += f" ({', '.join(map(str, others[:3]))}{', …' if len(others) > 3 else ''})"
    if busy is not None:
        found += f"; it was at work {busy.gpu} % of the last moments"
    at_work = busy is not None and busy.gpu > BUSY_PERCENT
    return Finding(
        "gpu_processes",
        "problem" if at_work else "warning" if others else "good",
        f"{found}.",
        advice='End what uses it ("nvidia-smi" lists it), or choose another GPU by '
        "CUDA_VISIBLE_DEVICES.",
        value=len(others),
        unit="processes",
    )


def _switch(
    name: str, question: str, on: str, off: str, *, bad: str | None = None, advice: str = ""
) -> Callable[[Sensor], Finding | None]:
    """What is on or off, each in words; `bad` says which of them is a warning."""

    def look(gpu: Sensor) -> Finding | None:
        mode = gpu.known(question)
        if mode is None:
            return None
        # Some modes come with the one that will hold after the next start.
        value = "on" if (mode if isinstance(mode, int) else mode[0]) == ENABLED else "off"
        status: Status = "warning" if value == bad else "good"
        return Finding(name, status, on if value == "on" else off, advice=advice, value=value)

    return look


_divided = _switch(
    "gpu_mig",
    "nvmlDeviceGetMigMode",
    "The GPU is divided (MIG): its parts share power and heat, and each is smaller.",
    "The GPU is not divided (MIG is off).",
    bad="on",
    advice="Compare only with runs on a part of the same size; state the part.",
)
_persistence = _switch(
    "gpu_persistence",
    "nvmlDeviceGetPersistenceMode",
    "The GPU's driver stays loaded between programs (persistence mode).",
    "The GPU's driver is unloaded between programs, and forgets its settings.",
    bad="off",
    advice="sudo nvidia-smi --persistence-mode=1",
)
_ecc = _switch(
    "gpu_ecc",
    "nvmlDeviceGetEccMode",
    "The GPU corrects memory errors (ECC), which takes some bandwidth on some models.",
    "The GPU does not correct memory errors (ECC is off).",
)
LOOKS: tuple[tuple[str, str, Callable[[Sensor], Finding | None]], ...] = (
    ("gpu_clock", "The GPU's clock", _clock),
    ("gpu_application_clock", "Whether the GPU's clock is locked", _application_clock),
    ("gpu_throttling", "Whether something holds the GPU's clock down", _throttling),
    ("gpu_temperature", "The GPU's temperature", _temperature),
    ("gpu_power_limit", "The GPU's power limit", _power_limit),
    ("gpu_processes", "Who else computes on the GPU", _others),
    ("gpu_mig", "Whether the GPU is divided (MIG)", _divided),
    ("gpu_persistence", "Whether the GPU's driver stays loaded", _persistence),
    ("gpu_ecc", "Whether the GPU corrects memory errors (ECC)", _ecc),
)
