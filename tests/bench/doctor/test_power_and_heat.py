"""Power supply and heat."""

from types import SimpleNamespace

import pytest

from bench.doctor.processor import power_supply, temperature


@pytest.mark.parametrize(
    ("battery", "status"),
    [
        (None, "good"),
        (SimpleNamespace(percent=83.0, power_plugged=True), "good"),
        (SimpleNamespace(percent=83.0, power_plugged=False), "warning"),
        (SimpleNamespace(percent=83.0, power_plugged=None), "unknown"),
    ],
)
def test_running_on_a_battery_is_a_warning(battery, status):
    finding = power_supply(battery)

    assert finding.status == status
    assert ("83 %" in finding.found) == (battery is not None)


def sensor(now_c: float, high_c: float | None = None) -> SimpleNamespace:
    return SimpleNamespace(current=now_c, high=high_c)


def test_no_sensor_is_no_alarm():
    finding = temperature({})

    assert (finding.status, finding.advice) == ("unknown", None)


def test_the_processors_sensors_go_before_a_hot_disk():
    finding = temperature({"nvme": [sensor(99.0)], "coretemp": [sensor(61.0, 80.0)]})

    assert (finding.status, finding.value) == ("good", 61.0)


@pytest.mark.parametrize(
    ("now_c", "high_c", "status"),
    [(77.0, 80.0, "warning"), (77.0, None, "good"), (87.0, None, "warning"), (87.0, 105.0, "good")],
)
def test_heat_is_judged_by_what_the_chip_calls_hot(now_c, high_c, status):
    sensors = {"k10temp": [sensor(40.0, 200.0), sensor(now_c, high_c)]}

    assert temperature(sensors).status == status
