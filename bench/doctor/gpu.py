"""The GPU that measuring would use, as NVIDIA's management library (NVML) describes it.

Another back end's GPU is not looked at.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench.doctor.finding import Finding, Status, counted
from bench.doctor.nvml import Nvml, load_nvml

T = TypeVar("T")

ENABLED = 1
SM_CLOCK = 1
CORE_SENSOR = 0
SLOWDOWN_THRESHOLD = 1
NEAR_HOT_C = 5
BUSY_PERCENT = 5
INSTALL = "pip install nvidia-ml-py"

# The bits of NVML's clock event reasons: what holds the clock down, in words, and how bad it is.
HARMLESS = 0x1 | 0x2 | 0x100  # idle, application clocks, display clocks
HELD_DOWN: Mapping[int, tuple[str, Status]] = {
    0x4: ("its power limit", "warning"),
    0x8: ("a hardware slowdown (heat or power supply)", "problem"),
    0x10: ("a slower GPU that it is synchronised with", "warning"),
    0x20: ("the driver, since it is hot", "warning"),
    0x40: ("the hardware, since it is too hot", "problem"),
    0x80: ("the power supply's brake", "problem"),
}


def gpu_findings(
    root: Path = Path("/"),
    environment: Mapping[str, str] = os.environ,
    load: Callable[[], Nvml] = load_nvml,
) -> list[Finding]:
    """What there is to say of the GPU; one harmless finding where there is none."""
    driver = (root / "proc" / "driver" / "nvidia").exists()
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in ("", "-1"):
        return [_none("CUDA_VISIBLE_DEVICES hides all GPUs; the CPU is measured.")]
    try:
        nvml = load()
    except ImportError:
        if not driver:
            return [_none("No NVIDIA GPU is seen; the CPU is measured.")]
        found = "There is an NVIDIA GPU, but NVML's Python binding (pynvml) is not installed."
        return [Finding(name="gpu", status="unknown", found=found, advice=INSTALL)]
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as problem:
        if not driver:
            return [_none("No NVIDIA GPU is seen; the CPU is measured.")]
        found = f"There is an NVIDIA driver, but NVML does not answer ({problem})."
        return [
            Finding(name="gpu", status="unknown", found=found, advice="See what nvidia-smi says.")
        ]
    try:
        return _Gpu.first(nvml, visible).findings()
    except nvml.NVMLError as problem:
        found = f"NVML does not show the GPU that would be used ({problem})."
        return [
            Finding(name="gpu", status="unknown", found=found, advice="See what nvidia-smi says.")
        ]
    finally:
        with contextlib.suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def _none(found: str) -> Finding:
    return Finding(name="gpu", status="good", found=found)


@dataclass(frozen=True, kw_only=True)
class _Gpu:
    nvml: Nvml
    handle: object
    all_gpus: int

    @classmethod
    def first(cls, nvml: Nvml, visible: str | None) -> _Gpu:
        """The GPU that torch calls cuda:0, if all are of one kind."""
        wanted = (visible or "0").split(",")[0].strip()
        if wanted.isdigit():
            handle = nvml.nvmlDeviceGetHandleByIndex(int(wanted))
        else:
            handle = nvml.nvmlDeviceGetHandleByUUID(wanted)
        return cls(nvml=nvml, handle=handle, all_gpus=nvml.nvmlDeviceGetCount())

    def findings(self) -> list[Finding]:
        return [
            self._model(),
            self._clock(),
            self._application_clock(),
            self._throttling(),
            self._temperature(),
            self._power_limit(),
            self._others(),
            self._divided(),
            self._persistence(),
            self._ecc(),
        ]

    def _ask(self, call: Callable[[], T]) -> T | None:
        """The answer; None where this GPU or driver has none."""
        try:
            return call()
        except (self.nvml.NVMLError, AttributeError):
            return None

    def _model(self) -> Finding:
        name = self.nvml.nvmlDeviceGetName(self.handle)
        model = name.decode() if isinstance(name, bytes) else name
        others = f", one of {self.all_gpus}" if self.all_gpus > 1 else ""
        found = f"The GPU that is measured: {model}{others}."
        return Finding(name="gpu", status="good", found=found, value=model)

    def _clock(self) -> Finding:
        now = self._ask(lambda: self.nvml.nvmlDeviceGetClockInfo(self.handle, SM_CLOCK))
        most = self._ask(lambda: self.nvml.nvmlDeviceGetMaxClockInfo(self.handle, SM_CLOCK))
        if now is None or most is None:
            return _untold("gpu_clock", "The GPU's clock")
        found = f"The GPU's clock is at {now} of at most {most} MHz now; idle, it is low."
        return Finding(name="gpu_clock", status="good", found=found, value=now, unit="MHz")

    def _application_clock(self) -> Finding:
        name = "gpu_application_clock"
        lock = "sudo nvidia-smi --lock-gpu-clocks=MHZ (--reset-gpu-clocks undoes it)"
        now = self._ask(lambda: self.nvml.nvmlDeviceGetApplicationsClock(self.handle, SM_CLOCK))
        usual = self._ask(
            lambda: self.nvml.nvmlDeviceGetDefaultApplicationsClock(self.handle, SM_CLOCK)
        )
        if now is None or usual is None:
            found = "Whether the GPU's clock is locked is not told; unlocked, it varies with heat."
            return Finding(name=name, status="unknown", found=found, advice=lock)
        locked = now != usual
        return Finding(
            name=name,
            status="good" if locked else "warning",
            found=f"The GPU's clock is held at {now} MHz while it works (usually {usual})."
            if locked
            else "No clock is set for the GPU, unless by --lock-gpu-clocks, which is not told: "
            "it varies with heat and power.",
            advice=None if locked else lock,
            value=now,
            unit="MHz",
        )

    def _throttling(self) -> Finding:
        reasons = self._ask(self._reasons)
        if reasons is None:
            return _untold("gpu_throttling", "Whether something holds the GPU's clock down")
        known = [words for bit, words in HELD_DOWN.items() if reasons & bit]
        if reasons & ~HARMLESS & ~sum(HELD_DOWN):
            known.append(("a reason without a name", "warning"))
        if not known:
            return Finding(
                name="gpu_throttling",
                status="good",
                found="Nothing holds the GPU's clock down.",
                value=reasons,
            )
        bad = any(status == "problem" for _, status in known)
        return Finding(
            name="gpu_throttling",
            status="problem" if bad else "warning",
            found=f"The GPU's clock is held down by {', and by '.join(one for one, _ in known)}.",
            advice="Let it cool, see to its power supply, or lock a clock that it can keep.",
            value=reasons,
        )

    def _reasons(self) -> int:
        # The newer name of the same call; drivers and bindings have one of them or both.
        ask = getattr(self.nvml, "nvmlDeviceGetCurrentClocksEventReasons", None)
        if ask is None:
            return self.nvml.nvmlDeviceGetCurrentClocksThrottleReasons(self.handle)
        return int(ask(self.handle))

    def _temperature(self) -> Finding:
        now = self._ask(lambda: self.nvml.nvmlDeviceGetTemperature(self.handle, CORE_SENSOR))
        slow = self._ask(
            lambda: self.nvml.nvmlDeviceGetTemperatureThreshold(self.handle, SLOWDOWN_THRESHOLD)
        )
        if now is None:
            return _untold("gpu_temperature", "The GPU's temperature")
        hot = slow is not None and now > slow - NEAR_HOT_C
        return Finding(
            name="gpu_temperature",
            status="warning" if hot else "good",
            found=f"The GPU is at {now} °C" + ("." if slow is None else f", and slows at {slow}."),
            advice="Let it cool, and see to its air." if hot else None,
            value=now,
            unit="°C",
        )

    def _power_limit(self) -> Finding:
        limit = self._ask(lambda: self.nvml.nvmlDeviceGetPowerManagementLimit(self.handle))
        usual = self._ask(lambda: self.nvml.nvmlDeviceGetPowerManagementDefaultLimit(self.handle))
        if limit is None:
            return _untold("gpu_power_limit", "The GPU's power limit")
        lowered = usual is not None and limit < usual
        found = f"The GPU may take {limit / 1e3:.0f} W"
        if usual is not None and limit != usual:
            found += f"; {usual / 1e3:.0f} W is usual"
        return Finding(
            name="gpu_power_limit",
            status="warning" if lowered else "good",
            found=f"{found}.",
            advice=f"sudo nvidia-smi --power-limit={(usual or 0) / 1e3:.0f}" if lowered else None,
            value=limit / 1e3,
            unit="W",
        )

    def _others(self) -> Finding:
        running = self._ask(lambda: self.nvml.nvmlDeviceGetComputeRunningProcesses(self.handle))
        busy = self._ask(lambda: self.nvml.nvmlDeviceGetUtilizationRates(self.handle))
        if running is None:
            return _untold("gpu_processes", "Who else computes on the GPU")
        others = [one.pid for one in running if one.pid != os.getpid()]
        found = f"The GPU has {counted(len(others), 'other process', 'other processes')} on it"
        if others:
            found += f" ({', '.join(map(str, others[:3]))}{', …' if len(others) > 3 else ''})"
        at_work = busy is not None and busy.gpu > BUSY_PERCENT
        if busy is not None:
            found += f"; it was at work {busy.gpu} % of the last moments"
        return Finding(
            name="gpu_processes",
            status="problem" if at_work else "warning" if others else "good",
            found=f"{found}.",
            advice='End what uses it ("nvidia-smi" lists it), or choose another GPU by '
            "CUDA_VISIBLE_DEVICES."
            if others or at_work
            else None,
            value=len(others),
            unit="processes",
        )

    def _divided(self) -> Finding:
        mode = self._ask(lambda: self.nvml.nvmlDeviceGetMigMode(self.handle))
        if mode is None:
            return _untold("gpu_mig", "Whether the GPU is divided (MIG)")
        divided = mode[0] == ENABLED
        return Finding(
            name="gpu_mig",
            status="warning" if divided else "good",
            found="The GPU is divided (MIG): its parts share power and heat, and each is smaller."
            if divided
            else "The GPU is not divided (MIG is off).",
            advice="Compare only with runs on a part of the same size; state the part."
            if divided
            else None,
            value="on" if divided else "off",
        )

    def _persistence(self) -> Finding:
        mode = self._ask(lambda: self.nvml.nvmlDeviceGetPersistenceMode(self.handle))
        if mode is None:
            return _untold("gpu_persistence", "Whether the GPU's driver stays loaded")
        on = mode == ENABLED
        return Finding(
            name="gpu_persistence",
            status="good" if on else "warning",
            found="The GPU's driver stays loaded between programs (persistence mode)."
            if on
            else "The GPU's driver is unloaded between programs, and forgets its settings.",
            advice=None if on else "sudo nvidia-smi --persistence-mode=1",
            value="on" if on else "off",
        )

    def _ecc(self) -> Finding:
        mode = self._ask(lambda: self.nvml.nvmlDeviceGetEccMode(self.handle))
        if mode is None:
            return _untold("gpu_ecc", "Whether the GPU corrects memory errors (ECC)")
        on = mode[0] == ENABLED
        return Finding(
            name="gpu_ecc",
            status="good",
            found="The GPU corrects memory errors (ECC), which takes some bandwidth on some models."
            if on
            else "The GPU does not correct memory errors (ECC is off).",
            value="on" if on else "off",
        )


def _untold(name: str, what: str) -> Finding:
    return Finding(name=name, status="unknown", found=f"{what} is not told by this GPU.")
