"""The calls of NVIDIA's management library that are needed, typed; the binding has no types."""
# ruff: noqa: N802  # the library's names

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Protocol, cast


class GpuProcess(Protocol):
    """A process that computes on a GPU."""

    pid: int


class Utilisation(Protocol):
    """Percent of the last moments in which the GPU was at work."""

    gpu: int


class Nvml(Protocol):
    """The calls that are needed, by their names in `pynvml`; each may raise NVMLError."""

    NVMLError: type[Exception]

    def nvmlInit(self) -> None:
        """Connect to the driver."""

    def nvmlShutdown(self) -> None:
        """Disconnect."""

    def nvmlDeviceGetCount(self) -> int:
        """The number of GPUs."""

    def nvmlDeviceGetHandleByIndex(self, index: int) -> object:
        """A GPU by its number."""

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> object:
        """A GPU by its identity."""

    def nvmlDeviceGetName(self, gpu: object) -> str | bytes:
        """The model."""

    def nvmlDeviceGetClockInfo(self, gpu: object, kind: int) -> int:
        """MHz now."""

    def nvmlDeviceGetMaxClockInfo(self, gpu: object, kind: int) -> int:
        """MHz at most."""

    def nvmlDeviceGetApplicationsClock(self, gpu: object, kind: int) -> int:
        """MHz that work is held at, if that was set."""

    def nvmlDeviceGetDefaultApplicationsClock(self, gpu: object, kind: int) -> int:
        """MHz that work is held at when nothing was set."""

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, gpu: object) -> int:
        """What holds the clock down, as bits."""

    def nvmlDeviceGetEccMode(self, gpu: object) -> Sequence[int]:
        """Whether memory errors are corrected, now and after the next start."""

    def nvmlDeviceGetPersistenceMode(self, gpu: object) -> int:
        """Whether the driver stays loaded when nothing uses the GPU."""

    def nvmlDeviceGetTemperature(self, gpu: object, sensor: int) -> int:
        """Degrees Celsius."""

    def nvmlDeviceGetTemperatureThreshold(self, gpu: object, threshold: int) -> int:
        """Degrees Celsius from which the clock is lowered."""

    def nvmlDeviceGetPowerManagementLimit(self, gpu: object) -> int:
        """Milliwatts at most."""

    def nvmlDeviceGetPowerManagementDefaultLimit(self, gpu: object) -> int:
        """Milliwatts at most when nothing was set."""

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: object) -> Sequence[GpuProcess]:
        """Who computes on it."""

    def nvmlDeviceGetUtilizationRates(self, gpu: object) -> Utilisation:
        """How busy it is."""

    def nvmlDeviceGetMigMode(self, gpu: object) -> Sequence[int]:
        """Whether the GPU is divided, now and after the next start."""


def load_nvml() -> Nvml:
    """The library's Python binding.

    Raises:
        ImportError: it is not installed.

    """
    return cast(Nvml, importlib.import_module("pynvml"))
