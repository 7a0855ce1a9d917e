from typing import Any

import pytest

from reports.tables.benchmarks.jmh import is_jmh, is_jmh_text, jmh_contents, jmh_text_contents
from reports.tables.columns import TableError


def entry(
    name: str = "org.a.Sort.run", mode: str = "avgt", unit: str = "us/op", **metric: Any
) -> dict[str, Any]:
    return {
        "benchmark": name,
        "mode": mode,
        "threads": 1,
        "params": {"size": "64", "how": "merge"},
        "primaryMetric": {
            "score": 2.0,
            "scoreUnit": unit,
            "rawData": [[1.0, 2.0, 9.0], [4.0, 4.0, 4.0]],
        }
        | metric,
    }


def test_a_fork_is_a_reading_and_its_iterations_are_not() -> None:
    contents = jmh_contents([entry()])
    assert list(contents.frame["time_s"]) == pytest.approx([2e-6, 4e-6])
    assert list(contents.frame["size"]) == [64, 64]
    assert contents.parameters == ("size",)


@pytest.mark.parametrize(
    ("unit", "seconds"),
    [("ns/op", 4e-9), ("s/op", 4), ("min/op", 240), ("ops/s", 0.25), ("ops/us", 0.25e-6)],
)
def test_a_throughput_is_read_as_the_time_of_one_operation(unit: str, seconds: float) -> None:
    contents = jmh_contents([entry(unit=unit, rawData=[[4.0]])])
    assert list(contents.frame["time_s"]) == pytest.approx([seconds])


def test_a_score_of_another_unit_is_refused_in_one_line() -> None:
    with pytest.raises(TableError, match=r"org.a.Sort.run has the score unit 'MB/sec'; expected"):
        jmh_contents([entry(unit="MB/sec")])


def test_samples_speak_by_their_middle_and_a_benchmark_without_a_score_has_crashed() -> None:
    sampled = entry(mode="sample", rawData=None, scorePercentiles={"50.0": 1.5})
    assert list(jmh_contents([sampled]).frame["time_s"]) == pytest.approx([1.5e-6])
    (row,) = jmh_contents([entry(score="NaN", rawData=None)]).frame.to_dict("records")
    assert (row["status"], row["reason"]) == ("crashed", "JMH recorded no score")


def test_modes_and_classes_of_one_name_are_kept_apart() -> None:
    names = [
        entry(mode="thrpt", unit="ops/us", rawData=[[1.0]]),
        entry(rawData=[[1.0]]),
        entry("org.b.Sort.run", rawData=[[1.0]]),
    ]
    assert list(jmh_contents(names).frame["implementation"]) == [
        "org.a.Sort.run[thrpt]",
        "org.a.Sort.run[avgt]",
        "org.b.Sort.run",
    ]
    assert is_jmh(names)
    assert not is_jmh([{"n": 3}])


PRINTED = """# JMH version: 1.37
# Run complete. Total time: 00:01:23

Benchmark         (how)  (size)   Mode  Cnt     Score    Error   Units
Sort.run          merge      64   avgt    5    12.500 ±  0.100   us/op
Sort.run          merge     128   avgt         30.000            us/op
Sort.run          merge     256   avgt    5    ≈ 10⁻³            us/op
Sort.run:gc.alloc merge     256   avgt    5    99.000           MB/sec
Sort.run:p0.50    merge      64 sample          1.000            us/op
Sort.run          quick      64  thrpt    5     0.100 ±  0.001  ops/us
"""


def test_the_table_that_jmh_prints_is_read() -> None:
    assert is_jmh_text(PRINTED)
    frame = jmh_text_contents(PRINTED).frame
    found = frame[frame["status"] == "measured"]
    assert list(found["time_s"]) == pytest.approx([12.5e-6, 30e-6, 10e-6])
    assert list(found["size"]) == [64, 128, 64]
    assert frame["reason"].dropna().tolist() == ["JMH printed no score"]


def test_a_text_that_only_mentions_a_benchmark_is_not_of_jmh() -> None:
    assert not is_jmh_text("Benchmark,Score\nSort,3\n")
