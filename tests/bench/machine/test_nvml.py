"""What a GPU tells of itself, with a stand-in for pynvml that refuses as the real one does."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from bench.machine.nvml import Sensor, Unavailable, in_words, open_device

NOT_SUPPORTED, NOT_FOUND, FUNCTION_NOT_FOUND = "Not Supported", "Not Found", "Function Not Found"
UUIDS = ("GPU-00000000-aaaa", "GPU-11111111-bbbb", "MIG-22222222-cccc")
PLACES = ("00000000:03:00.0", "00000000:c1:00.0")


class NVMLError(Exception):
    pass


class FakeNvml:
    """Two GPUs and a part of a third. What is in `refusing` raises, as drivers do."""

    NVMLError = NVMLError

    def __init__(self, **refusing: str) -> None:
        self.refusing = {"nvmlDeviceGetMigMode": NOT_SUPPORTED, **refusing}
        self.started = False
        self.limits = 0x4 | 0x1
        self.divided = False

    def answer(self, name: str, value: object) -> object:
        assert self.started or name == "nvmlInit", "asked before nvmlInit"
        if name in self.refusing:
            raise NVMLError(self.refusing[name])
        return value

    def nvmlInit(self) -> None:  # noqa: N802  # as in pynvml, like all below
        self.answer("nvmlInit", None)
        self.started = True

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> object:  # noqa: N802
        if uuid not in UUIDS:
            raise NVMLError(NOT_FOUND)
        return self.answer("nvmlDeviceGetHandleByUUID", UUIDS.index(uuid))

    def nvmlDeviceGetHandleByPciBusId(self, place: str) -> object:  # noqa: N802
        if place not in PLACES:
            raise NVMLError(NOT_FOUND)
        return self.answer("nvmlDeviceGetHandleByPciBusId", PLACES.index(place))

    def nvmlDeviceGetMigMode(self, handle: int) -> object:  # noqa: N802
        return [1, 1] if self.divided else self.answer("nvmlDeviceGetMigMode", [0, 0])

    def nvmlDeviceGetClockInfo(self, handle: int, kind: int) -> object:  # noqa: N802
        return self.answer("nvmlDeviceGetClockInfo", {1: 1980 - handle}[kind])

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> object:  # noqa: N802
        return self.answer("nvmlDeviceGetTemperature", {0: 43}[sensor])

    def nvmlDeviceGetTemperatureV(self, handle: int, sensor: int) -> object:  # noqa: N802
        return self.answer("nvmlDeviceGetTemperatureV", {0: 47}[sensor])

    def nvmlDeviceGetPowerUsage(self, handle: int) -> object:  # noqa: N802
        return self.answer("nvmlDeviceGetPowerUsage", 612_345)

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: int) -> object:  # noqa: N802
        return self.answer("nvmlDeviceGetCurrentClocksEventReasons", self.limits)

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> object:  # noqa: N802
        return self.answer("nvmlDeviceGetTotalEnergyConsumption", 123_456_789)


class OldNvml(FakeNvml):
    """A package from before the clock event reasons got their name."""

    def __getattribute__(self, name: str) -> object:
        if name == "nvmlDeviceGetCurrentClocksEventReasons":
            raise AttributeError(name)
        return super().__getattribute__(name)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: int) -> object:  # noqa: N802
        return self.answer("nvmlDeviceGetCurrentClocksThrottleReasons", 0x40)


def opened(nvml: FakeNvml) -> Sensor:
    sensor = open_device("cuda", nvml=nvml, properties=lambda _: SimpleNamespace(uuid=UUIDS[0][4:]))
    assert isinstance(sensor, Sensor)
    return sensor


def reason(found: object) -> str:
    assert isinstance(found, Unavailable)
    assert "\n" not in found.reason
    return found.reason


def test_a_state_is_in_units_without_prefix():
    state = opened(FakeNvml()).read()
    assert state.clock_hz == 1980e6
    assert state.temperature_c == 43
    assert state.power_w == pytest.approx(612.345)


def test_all_limits_of_the_clock_have_words():
    nvml = FakeNvml()
    nvml.limits = 0x1 | 0x2 | 0x4 | 0x40 | 0x100 | 0x400 | 0x4000
    assert opened(nvml).read().throttle_reasons == (
        "idle",
        "application clock setting",
        "power limit",
        "too hot (hardware)",
        "display clock setting",
        "voltage ceiling",
        "a reason not known here (0x4000)",
    )


def test_no_limit_has_no_words():
    assert in_words(0) == ()


def test_energy_is_in_joules():
    assert opened(FakeNvml()).energy_j() == pytest.approx(123_456.789)


def test_what_a_gpu_does_not_tell_is_none_with_the_reason():
    nvml = FakeNvml(
        nvmlDeviceGetPowerUsage=NOT_SUPPORTED,
        nvmlDeviceGetCurrentClocksEventReasons=NOT_SUPPORTED,
        nvmlDeviceGetTotalEnergyConsumption=NOT_SUPPORTED,
    )
    sensor = opened(nvml)
    state = sensor.read()
    assert (state.power_w, state.throttle_reasons) == (None, None)
    assert state.clock_hz is not None
    assert reason(sensor.energy_j()) == "energy: Not Supported"


def test_renamed_functions_are_found_under_either_name():
    assert opened(OldNvml()).read().throttle_reasons == ("too hot (hardware)",)
    new = FakeNvml(nvmlDeviceGetTemperature=FUNCTION_NOT_FOUND)
    assert opened(new).read().temperature_c == 47


def test_the_gpu_is_found_by_uuid_whatever_its_number():
    numbered = {"cuda:0": SimpleNamespace(uuid=UUIDS[1][4:])}
    sensor = open_device("cuda:0", nvml=FakeNvml(), properties=numbered.__getitem__)
    assert isinstance(sensor, Sensor)
    assert sensor.read().clock_hz == 1979e6


def test_the_gpu_is_found_by_its_place_where_torch_knows_no_uuid():
    at = SimpleNamespace(pci_domain_id=0, pci_bus_id=0xC1, pci_device_id=0)
    sensor = open_device("cuda", nvml=FakeNvml(), properties=lambda _: at)
    assert isinstance(sensor, Sensor)
    assert sensor.read().clock_hz == 1979e6


@pytest.mark.parametrize("uuid", [UUIDS[0][4:], UUIDS[2][4:]])
def test_a_part_of_a_divided_gpu_has_no_sensors_of_its_own(uuid):
    nvml = FakeNvml()
    nvml.divided = uuid == UUIDS[0][4:]
    part = SimpleNamespace(uuid=uuid)
    assert "MIG" in reason(open_device("cuda", nvml=nvml, properties=lambda _: part))


def no_cuda(device: str) -> object:
    raise AssertionError("Torch not compiled with CUDA enabled")


@pytest.mark.parametrize(
    ("device", "nvml", "properties", "words"),
    [
        ("cpu", FakeNvml(), None, "got cpu"),
        ("cuda", FakeNvml(nvmlInit="Driver Not Loaded"), None, "Driver Not Loaded"),
        ("cuda", FakeNvml(), no_cuda, "not compiled with CUDA"),
        ("cuda", FakeNvml(), lambda _: SimpleNamespace(), "neither"),
        ("cuda:3", FakeNvml(), lambda _: SimpleNamespace(uuid="3333"), "does not find cuda:3"),
    ],
)
def test_a_device_without_a_sensor_says_why(device, nvml, properties, words):
    assert words in reason(open_device(device, nvml=nvml, properties=properties))


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "pip install nvidia-ml-py" in reason(open_device("cuda"))
