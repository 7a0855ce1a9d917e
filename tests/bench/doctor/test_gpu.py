"""The GPU's findings, from a management library of our own."""

import inspect
import re
from types import SimpleNamespace

import pytest

from bench.doctor import gpu
from bench.doctor.gpu import gpu_findings
from bench.machine import nvml as machine_nvml

DRIVER = {"proc/driver/nvidia/version": "1"}


class NvmlError(Exception):
    pass


class FakeNvml:
    """Answers as pynvml does for a good GPU; `answers` change that, an exception is raised."""

    NVMLError = NvmlError

    def __init__(self, **answers: object) -> None:
        self.shut_down = 0
        self.asked: list[object] = []
        self.answers: dict[str, object] = {
            "Init": None,
            "DeviceGetCount": 1,
            "DeviceGetName": "NVIDIA Test",
            "DeviceGetClockInfo": 345,
            "DeviceGetMaxClockInfo": 1980,
            "DeviceGetApplicationsClock": 1500,
            "DeviceGetDefaultApplicationsClock": 1830,
            "DeviceGetCurrentClocksThrottleReasons": 0x1,
            "DeviceGetEccMode": [1, 1],
            "DeviceGetPersistenceMode": 1,
            "DeviceGetTemperature": 41,
            "DeviceGetTemperatureThreshold": 90,
            "DeviceGetPowerManagementLimit": 700_000,
            "DeviceGetPowerManagementDefaultLimit": 700_000,
            "DeviceGetComputeRunningProcesses": [],
            "DeviceGetUtilizationRates": SimpleNamespace(gpu=0),
            "DeviceGetMigMode": [0, 0],
            **answers,
        }

    def nvmlShutdown(self) -> None:  # noqa: N802  # the library's name
        self.shut_down += 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802
        self.asked.append(index)
        return f"handle {index}"

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        self.asked.append(uuid)
        return f"handle {uuid}"

    def __getattr__(self, name: str) -> object:
        if name.removeprefix("nvml") not in self.answers:
            raise AttributeError(name)
        answer = self.answers[name.removeprefix("nvml")]

        def call(*_: object) -> object:
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


def examined(root, nvml: FakeNvml, **environment: str) -> dict:
    found = gpu_findings(root, environment, lambda: nvml)
    return {one.name: one for one in found}


def not_installed():
    raise ImportError("No module named pynvml")


def test_a_good_gpu_gives_ten_good_findings_and_the_library_is_closed(tmp_path):
    nvml = FakeNvml()

    found = examined(tmp_path, nvml)

    assert {one.status for one in found.values()} == {"good"}
    assert len(found) == 10
    assert nvml.shut_down == 1
    assert (found["gpu"].value, found["gpu_clock"].value) == ("NVIDIA Test", 345)
    assert "held at 1500 MHz" in found["gpu_application_clock"].found


@pytest.mark.parametrize(
    ("name", "answers", "status", "words"),
    [
        ("gpu_application_clock", {"DeviceGetApplicationsClock": 1830}, "warning", "varies"),
        (
            "gpu_throttling",
            {"DeviceGetCurrentClocksThrottleReasons": 0x4},
            "warning",
            "power limit",
        ),
        ("gpu_throttling", {"DeviceGetCurrentClocksThrottleReasons": 0x48}, "problem", "hardware)"),
        ("gpu_throttling", {"DeviceGetCurrentClocksThrottleReasons": 0x502}, "good", "Nothing"),
        (
            "gpu_throttling",
            {"DeviceGetCurrentClocksThrottleReasons": 0x800},
            "warning",
            "not known",
        ),
        ("gpu_throttling", {"DeviceGetCurrentClocksEventReasons": 0x20}, "warning", "hot"),
        ("gpu_ecc", {"DeviceGetEccMode": (0, 1)}, "good", "does not correct"),
        ("gpu_persistence", {"DeviceGetPersistenceMode": 0}, "warning", "unloaded"),
        ("gpu_temperature", {"DeviceGetTemperature": 87}, "warning", "87 °C"),
        (
            "gpu_power_limit",
            {"DeviceGetPowerManagementLimit": 400_000},
            "warning",
            "700 W is usual",
        ),
        ("gpu_mig", {"DeviceGetMigMode": [1, 1]}, "warning", "divided"),
        (
            "gpu_processes",
            {"DeviceGetComputeRunningProcesses": [SimpleNamespace(pid=-7)]},
            "warning",
            "1 other process on it (-7)",
        ),
        (
            "gpu_processes",
            {"DeviceGetUtilizationRates": SimpleNamespace(gpu=97)},
            "problem",
            "97 %",
        ),
    ],
)
def test_each_fault_is_found_by_itself_with_advice(tmp_path, name, answers, status, words):
    found = examined(tmp_path, FakeNvml(**answers))

    assert found[name].status == status
    assert words in found[name].found
    assert (found[name].advice is None) == (status == "good")
    assert {one.status for other, one in found.items() if other != name} == {"good"}


def test_what_a_gpu_does_not_tell_is_unknown_and_the_rest_is_told(tmp_path):
    silent = {name: NvmlError("Not Supported") for name in FakeNvml().answers}
    kept = {"Init": None, "DeviceGetCount": 1, "DeviceGetName": b"NVIDIA Old"}

    found = examined(tmp_path, FakeNvml(**{**silent, **kept}))

    assert found.pop("gpu").value == "NVIDIA Old"
    assert {one.status for one in found.values()} == {"unknown"}
    assert len(found) == 9


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ("DeviceGetMaxClockInfo", "gpu_clock"),
        ("DeviceGetDefaultApplicationsClock", "gpu_application_clock"),
    ],
)
def test_half_of_an_answer_is_none(tmp_path, call, name):
    found = examined(tmp_path, FakeNvml(**{call: NvmlError("Not Supported")}))

    assert [other for other, one in found.items() if one.status == "unknown"] == [name]


@pytest.mark.parametrize(
    ("visible", "asked"),
    [
        ({}, 0),
        ({"CUDA_VISIBLE_DEVICES": "3,1"}, 3),
        ({"CUDA_VISIBLE_DEVICES": "GPU-ab,0"}, "GPU-ab"),
    ],
)
def test_the_first_visible_gpu_is_the_one_that_is_looked_at(tmp_path, visible, asked):
    nvml = FakeNvml(DeviceGetCount=8)

    found = examined(tmp_path, nvml, **visible)

    assert nvml.asked == [asked]
    assert "one of 8" in found["gpu"].found


@pytest.mark.parametrize("visible", ["", "-1"])
def test_hidden_gpus_are_not_touched(visible):
    found = gpu_findings(environment={"CUDA_VISIBLE_DEVICES": visible}, load=not_installed)

    assert [one.status for one in found] == ["good"]


def test_without_gpu_and_driver_nothing_alarms(tmp_path):
    absent = gpu_findings(tmp_path, {}, not_installed)
    unanswered = gpu_findings(tmp_path, {}, lambda: FakeNvml(Init=NvmlError("no library")))

    assert [(one.name, one.status) for one in (*absent, *unanswered)] == [("gpu", "good")] * 2


def test_a_gpu_without_the_binding_says_how_to_install_it(system):
    (finding,) = gpu_findings(system(DRIVER), {}, not_installed)

    assert finding.status == "unknown"
    assert "nvidia-ml-py" in finding.advice


@pytest.mark.parametrize(
    "answers", [{"Init": NvmlError("version mismatch")}, {"DeviceGetCount": NvmlError("lost")}]
)
def test_a_driver_that_does_not_answer_gives_one_finding_with_the_reason(system, answers):
    nvml = FakeNvml(**answers)

    (finding,) = gpu_findings(system(DRIVER), {}, lambda: nvml)

    assert finding.status == "unknown"
    assert str(next(iter(answers.values()))) in finding.found
    assert nvml.shut_down == ("DeviceGetCount" in answers)


def test_the_binding_has_every_call_that_is_asked_of_it():
    pytest.importorskip("pynvml")
    source = inspect.getsource(gpu) + inspect.getsource(machine_nvml)
    wanted = set(re.findall(r"nvml[A-Z]\w+", source))

    assert len(wanted) == 25
    pynvml = machine_nvml.load()
    assert {name for name in wanted if not callable(getattr(pynvml, name, None))} == set()
