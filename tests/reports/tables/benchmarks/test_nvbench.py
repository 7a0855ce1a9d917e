from typing import Any

import pytest

from reports.tables.benchmarks.nvbench import is_nvbench, nvbench_contents


def state(elements: str, dtype: str, seconds: str | None, **changes: Any) -> dict[str, Any]:
    summaries = [
        {"tag": "nv/cold/sample_size", "data": [{"name": "value", "value": "9"}]},
        {"tag": "nv/cold/time/gpu/mean", "data": [{"name": "value", "value": seconds}]},
    ]
    return {
        "device": 0,
        "axis_values": [
            {"name": "T", "type": "type", "value": dtype},
            {"name": "Elements", "type": "int64", "value": elements},
        ],
        "summaries": summaries if seconds else [],
        "is_skipped": False,
    } | changes


def document(*states: dict[str, Any]) -> dict[str, Any]:
    return {
        "devices": [{"id": 0, "name": "A GPU"}],
        "benchmarks": [{"name": "copy", "states": list(states)}],
    }


def test_a_state_is_a_row_with_its_axes_its_device_and_its_gpu_time() -> None:
    found = document(state("64", "F32", "1.5e-6"), state("64", "F64", "3e-6"))
    assert is_nvbench(found)
    contents = nvbench_contents(found)
    assert list(contents.frame["time_s"]) == pytest.approx([1.5e-6, 3e-6])
    assert list(contents.frame["implementation"]) == ["copy[F32]", "copy[F64]"]
    assert set(contents.frame["device"]) == {"A GPU"}
    assert contents.parameters == ("Elements",)
    assert contents.info["machine"]["gpu"] == "A GPU"


def test_summaries_of_older_files_are_read_too() -> None:
    old = state("64", "F32", None)
    old["summaries"] = [{"tag": "nv/cold/time/gpu/mean", "data": {"value": {"value": "2e-6"}}}]
    assert list(nvbench_contents(document(old)).frame["time_s"]) == pytest.approx([2e-6])


def test_a_skipped_state_and_one_without_a_time_say_why() -> None:
    skipped = state("64", "F32", "1e-6", is_skipped=True, skip_reason="out of memory")
    contents = nvbench_contents(document(skipped, state("128", "F32", None)))
    found = contents.frame[["status", "reason"]].to_numpy().tolist()
    assert found == [["skipped", "out of memory"], ["crashed", "nvbench recorded no time"]]


def test_other_lists_of_benchmarks_are_not_taken_for_nvbench() -> None:
    assert not is_nvbench({"benchmarks": [{"name": "a", "stats": {}}]})
    assert is_nvbench({"benchmarks": [], "meta": {"version": {"nvbench": {}}}})
