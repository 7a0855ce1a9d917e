import json
import math
from pathlib import Path
from typing import Any

import pytest

from reports.cells.asked import asked
from reports.tables.benchmarks.google_benchmark import google_contents, parse_name
from reports.tables.columns import TableError, TableWarning
from reports.tables.read import Table, read_table

CONTEXT = {
    "date": "2026-03-05T07:11:13+00:00",
    "host_name": "lab",
    "executable": "./bench",
    "num_cpus": 3,
    "mhz_per_cpu": 2300,
    "cpu_scaling_enabled": True,
    "caches": [
        {"type": "Data", "level": 1, "size": 32768, "num_sharing": 1},
        {"type": "Instruction", "level": 1, "size": 65536, "num_sharing": 1},
        {"type": "Unified", "level": 2, "size": 1048576, "num_sharing": 1},
    ],
    "load_avg": [0.25, 0.5, 0.75],
    "library_version": "v1.9.4",
    "library_build_type": "debug",
}


def run(name: str = "BM_x/8", real_time: float = 250.0, **changes: Any) -> dict[str, Any]:
    """One repetition, as the library writes it."""
    entry: dict[str, Any] = {
        "name": name,
        "family_index": 0,
        "per_family_instance_index": 0,
        "run_name": name,
        "run_type": "iteration",
        "repetitions": 1,
        "repetition_index": 0,
        "threads": 1,
        "iterations": 1000,
        "real_time": real_time,
        "cpu_time": real_time / 2,
        "time_unit": "ns",
    }
    return entry | changes


def aggregate(name: str, statistic: str, real_time: float, **changes: Any) -> dict[str, Any]:
    entry = run(f"{name}_{statistic}", real_time, run_name=name, run_type="aggregate")
    del entry["repetition_index"]
    return entry | {"aggregate_name": statistic, "aggregate_unit": "time"} | changes


def big_o(name: str) -> list[dict[str, Any]]:
    shared = {"run_name": name, "run_type": "aggregate", "repetitions": 1, "threads": 1}
    fit = {"cpu_coefficient": 2.5, "real_coefficient": 3.5, "big_o": "N^2", "time_unit": "ns"}
    return [
        {"name": f"{name}_BigO", **shared, "aggregate_name": "BigO", **fit},
        {"name": f"{name}_RMS", **shared, "aggregate_name": "RMS", "rms": 0.0125},
    ]


def read(folder: Path, *entries: dict[str, Any], context: Any = None) -> Table:
    path = folder / "bench.txt"  # the content tells what it is
    path.write_text(json.dumps({"context": context or CONTEXT, "benchmarks": list(entries)}))
    return read_table(path)


def test_a_repetition_is_a_row_and_aggregates_and_fits_are_none(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        run("BM_x/8", 100.0, repetition_index=0),
        run("BM_x/8", 300.0, repetition_index=1),
        *(aggregate("BM_x/8", one, 7.0) for one in ("mean", "median", "stddev", "cv")),
        *big_o("BM_x"),
    )
    assert list(table.frame["time_s"]) == pytest.approx([1e-7, 3e-7])
    assert list(table.frame["cpu_time_s"]) == pytest.approx([5e-8, 15e-8])
    assert list(table.frame["round"]) == [0, 1]
    assert list(table.frame["arg0"]) == [8, 8]
    assert set(table.frame["implementation"]) == {"BM_x"}
    assert table.parameters == ("arg0",)


def test_the_fits_of_the_library_alone_are_no_data(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="has no rows"):
        read(tmp_path, *big_o("BM_x"))


def test_a_counter_called_as_the_fit_is_called_does_not_hide_a_repetition(tmp_path: Path) -> None:
    assert list(read(tmp_path, run(rms=0.5)).frame["time_s"]) == pytest.approx([2.5e-7])


@pytest.mark.parametrize(
    ("statistics", "spoken"),
    [({"mean": 3, "median": 5, "stddev": 7}, 5e-9), ({"stddev": 7, "mean": 3, "cv": 1}, 3e-9)],
)
def test_the_median_speaks_for_repetitions_that_are_not_there_else_the_mean(
    tmp_path: Path, statistics: dict[str, float], spoken: float
) -> None:
    told = [aggregate("BM_x/8", name, value) for name, value in statistics.items()]
    frame = read(tmp_path, *told, run("BM_y/8", 11.0)).frame
    assert list(frame["time_s"]) == pytest.approx([spoken, 11e-9])
    assert frame["name"][0] == "BM_x/8"
    assert frame["round"].isna().tolist() == [True, False]


def test_a_benchmark_with_other_statistics_only_is_left_out_aloud(tmp_path: Path) -> None:
    with pytest.warns(TableWarning, match=r"1 benchmarks .* left out: BM_x/8"):
        frame = read(tmp_path, aggregate("BM_x/8", "p99", 3.0), run("BM_y/8")).frame
    assert list(frame["implementation"]) == ["BM_y"]


@pytest.mark.parametrize(("unit", "factor"), [("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1)])
def test_times_are_in_seconds_whatever_the_unit(tmp_path: Path, unit: str, factor: float) -> None:
    frame = read(tmp_path, run(real_time=3.0, time_unit=unit)).frame
    assert list(frame["time_s"]) == pytest.approx([3 * factor])
    assert list(frame["cpu_time_s"]) == pytest.approx([1.5 * factor])


def test_a_time_without_a_unit_is_in_nanoseconds(tmp_path: Path) -> None:
    entry = run(real_time=3.0)
    del entry["time_unit"]
    assert list(read(tmp_path, entry).frame["time_s"]) == pytest.approx([3e-9])


def test_an_unknown_unit_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"bench.txt BM_x/8 has the time unit 'min'; expected one"):
        read(tmp_path, run(time_unit="min"))


@pytest.mark.parametrize(
    ("name", "function", "arguments", "threads"),
    [
        ("BM_x", "BM_x", {}, None),
        ("BM_x/1024/64", "BM_x", {"arg0": 1024, "arg1": 64}, None),
        ("BM_x/n:1024/d:64", "BM_x", {"n": 1024, "d": 64}, None),
        ("BM_x/first:2/5/third:-4", "BM_x", {"first": 2, "arg1": 5, "third": -4}, None),
        ("BM_x<float>/8", "BM_x<float>", {"arg0": 8}, None),
        ("BM_x<A<a/1>, 16>/8", "BM_x<A<a/1>, 16>", {"arg0": 8}, None),
        ("operator</8", "operator<", {"arg0": 8}, None),
        ("Fixture/Method/8", "Fixture/Method", {"arg0": 8}, None),
        ("lib/2/sort/8", "lib/2/sort", {"arg0": 8}, None),
        ("BM_x/n:8/dtype:f32", "BM_x/dtype:f32", {"n": 8}, None),
        (
            "BM_x/8/min_time:2.000/min_warmup_time:0.500/iterations:5/repeats:3/process_time"
            "/real_time/threads:4",
            "BM_x",
            {"arg0": 8},
            4,
        ),
        ("BM_x/8/manual_time", "BM_x", {"arg0": 8}, None),
        ("BM_x/round:8", "BM_x", {"arg_round": 8}, None),
    ],
)
def test_a_name_is_taken_apart(
    name: str, function: str, arguments: dict[str, int], threads: int | None
) -> None:
    found = parse_name(name)
    assert found == (function, arguments, threads)
    assert list(found[1]) == list(arguments)


def test_threads_and_labels_are_columns(tmp_path: Path) -> None:
    old = run("BM_x/8/threads:2", label="warm")
    del old["threads"]
    frame = read(tmp_path, run("BM_x/8/threads:4", threads=4), old).frame
    assert list(frame["threads"]) == [4, 2]
    assert list(frame["implementation"]) == ["BM_x", "BM_x"]
    assert frame["label"][1] == "warm"


def test_counters_are_columns_and_fields_of_the_format_are_not(tmp_path: Path) -> None:
    counters = {"items_per_second": 5.5, "max_bytes_used": 4096, "time_s": 3, "n": 7, "ok": True}
    frame = read(tmp_path, run("BM_x/n:8", **counters)).frame
    assert frame.loc[0, ["items_per_second", "max_bytes_used"]].tolist() == [5.5, 4096]
    assert (frame["n"][0], frame["counter_n"][0], frame["counter_time_s"][0]) == (8, 7, 3)
    assert not {"iterations", "family_index", "repetitions", "ok"} & set(frame.columns)


@pytest.mark.parametrize(
    "trouble",
    [
        {"error_occurred": True, "error_message": "no memory"},
        {"skipped": True, "skip_message": "no memory"},
    ],
)
def test_a_benchmark_that_failed_has_a_reason_and_no_time(
    tmp_path: Path, trouble: dict[str, Any]
) -> None:
    frame = read(tmp_path, run("BM_x/8"), run("BM_x/16", 0.0, **trouble)).frame
    assert list(frame["status"]) == ["measured", "crashed"]
    assert frame["reason"][1] == "no memory"
    assert frame["time_s"].isna().tolist() == [False, True]
    assert list(frame["arg0"]) == [8, 16]


def test_a_time_of_zero_is_left_out_with_its_row(tmp_path: Path) -> None:
    table = read(tmp_path, run("BM_x/8"), run("BM_x/16", 0.0))
    with pytest.warns(TableWarning, match=r"bench.txt: 1 row has no usable time_s .* 0.0 in row 2"):
        found = asked(table.frame, sizes={"n": "arg0"})
    assert list(found.frame["status"]) == ["measured", "skipped"]


def test_the_machine_is_told_in_the_shape_of_a_run(tmp_path: Path) -> None:
    info = read(tmp_path, run()).info
    machine = info["machine"]
    assert info["created"] == "2026-03-05T07:11:13+00:00"
    assert (machine["host"], machine["cores_logical"], machine["load_1m"]) == ("lab", 3, 0.25)
    assert machine["cpu"] == "2300 MHz, name not recorded"
    assert machine["caches_bytes"] == {"L1d": 32768, "L2": 1048576}
    assert info["versions"]["google-benchmark"] == "v1.9.4"
    assert "built for debugging" in info["caveats"][0]
    assert "frequency scaling" in info["caveats"][1]


def test_a_context_that_tells_nothing_is_none(tmp_path: Path) -> None:
    info = read(tmp_path, run(), context={"caches": 7, "load_avg": []}).info
    assert info["machine"]["caches_bytes"] is None
    assert info["machine"]["load_1m"] is None
    assert info["caveats"] == []


def old(name: str, real_time: float = 3.0) -> dict[str, Any]:
    """An entry from before there was a run_type."""
    return {"name": name, "iterations": 5, "real_time": real_time, "cpu_time": 2.0}


def test_files_from_before_run_types_are_read_by_their_names() -> None:
    entries = [
        *(old("BM_a/8", 100.0 + i) for i in range(2)),
        *(old(f"BM_a/8_{statistic}") for statistic in ("mean", "median", "stddev")),
        *(old(f"BM_b/8_{statistic}", 7.0) for statistic in ("mean", "median", "stddev")),
        old("BM_running_mean"),
        {"name": "BM_a_BigO", "cpu_coefficient": 1.0, "real_coefficient": 1.0, "big_o": "N"},
        {"name": "BM_a_RMS", "rms": 0.5},
    ]
    rows = (
        google_contents({"benchmarks": entries}).frame.replace({math.nan: None}).to_dict("records")
    )
    assert [(row["name"], row["round"]) for row in rows] == [
        ("BM_a/8", 0),
        ("BM_a/8", 1),
        ("BM_b/8", None),
        ("BM_running_mean", 0),
    ]
    assert [row["time_s"] for row in rows] == pytest.approx([1e-7, 101e-9, 7e-9, 3e-9])
