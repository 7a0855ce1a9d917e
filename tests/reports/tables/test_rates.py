import math

import pytest

from reports.tables.units import rate_in, time_of_call


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("ops/s", 1.0),
        ("ops/ms", 1e-3),
        ("throughput (ops/s)", 1.0),
        ("it/s", 1.0),
        ("calls_per_second", 1.0),
        ("Iterations per min", 60.0),
        ("thrpt", 1.0),
    ],
)
def test_calls_in_a_time_are_a_rate_of_known_work(name: str, seconds: float) -> None:
    rate = rate_in(name)
    assert rate is not None
    assert rate.factor == seconds


@pytest.mark.parametrize(
    "name",
    [
        *("TFLOPS", "tflops_fwd", "TFLOPs/s", "gflops", "flops_per_s", "GB/s", "bandwidth_gbps"),
        *("items_per_second", "tokens/s", "MB per sec", "rate (GB/s)", "throughput", "bandwidth"),
    ],
)
def test_other_work_in_a_time_is_a_rate_of_unknown_work(name: str) -> None:
    rate = rate_in(name)
    assert rate is not None
    assert math.isnan(rate.factor)


@pytest.mark.parametrize(
    "name",
    [
        *("flops", "FLOPs", "GFLOP", "GB", "time_s", "us/op", "ns/iter", "calls_per_sample"),
        *("ms per call", "chips", "elapsed", "", "n/a", "x" * 99_999),
    ],
)
def test_a_count_or_a_time_is_no_rate(name: str) -> None:
    assert rate_in(name) is None


@pytest.mark.parametrize(
    ("text", "symbol"),
    [("us/op", "µs"), ("time (ns/iter)", "ns"), ("ms per call", "ms"), ("s/GB", ""), ("op/s", "")],
)
def test_a_time_for_each_call_is_a_time(text: str, symbol: str) -> None:
    assert time_of_call(text).symbol == symbol
