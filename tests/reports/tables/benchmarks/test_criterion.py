import json
from pathlib import Path
from typing import Any

import pytest

from reports.tables.benchmarks.criterion import critcmp_contents, is_critcmp
from reports.tables.columns import TableError
from reports.tables.read import read_table


def estimates(nanoseconds: float) -> dict[str, Any]:
    one = {"point_estimate": nanoseconds}
    return {"mean": {"point_estimate": 3 * nanoseconds}, "median": one, "std_dev": one}


def benchmark(function: str, value: object = None, **changes: Any) -> dict[str, Any]:
    return {"group_id": "sort", "function_id": function, "value_str": value} | changes


def export(*benchmarks: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "base",
        "benchmarks": {
            str(place): {"criterion_benchmark_v1": one, "criterion_estimates_v1": estimates(250)}
            for place, one in enumerate(benchmarks)
        },
    }


def test_the_median_of_a_benchmark_is_its_one_row_in_seconds() -> None:
    document = export(benchmark("merge", "64", throughput={"Elements": 64}))
    assert is_critcmp(document)
    contents = critcmp_contents(document)
    (row,) = contents.frame.to_dict("records")
    assert row["time_s"] == pytest.approx(250e-9)
    assert (row["implementation"], row["input"], row["elements"]) == ("sort/merge", 64, 64)
    assert contents.parameters == ("input", "elements")


def test_inputs_that_are_words_tell_groups_apart() -> None:
    contents = critcmp_contents(export(benchmark("merge", "sorted"), benchmark("merge", "random")))
    assert list(contents.frame["implementation"]) == ["sort/merge[sorted]", "sort/merge[random]"]
    assert contents.parameters == ()


def test_sizes_that_stand_in_the_names_alone_are_found_there() -> None:
    contents = critcmp_contents(export(benchmark("merge 64"), benchmark("merge 128")))
    assert list(contents.frame["arg0"]) == [64, 128]


def write_tree(folder: Path) -> Path:
    for n in (64, 128):
        new = folder / "target" / "criterion" / "sort" / "merge" / str(n) / "new"
        new.mkdir(parents=True)
        (new / "benchmark.json").write_text(json.dumps(benchmark("merge", str(n))))
        (new / "estimates.json").write_text(json.dumps(estimates(n)))
    report = folder / "target" / "criterion" / "sort" / "merge" / "report"
    report.mkdir()
    return folder / "target"


@pytest.mark.parametrize("inside", ["", "criterion", "criterion/sort", "criterion/sort/merge"])
def test_the_tree_of_criterion_is_read_from_any_of_its_folders(tmp_path: Path, inside: str) -> None:
    frame = read_table(write_tree(tmp_path) / inside).frame
    assert sorted(frame["input"]) == [64, 128]
    assert sorted(frame["time_s"]) == pytest.approx([64e-9, 128e-9])


def test_one_folder_alone_is_one_benchmark_and_a_broken_file_is_named(tmp_path: Path) -> None:
    new = write_tree(tmp_path) / "criterion" / "sort" / "merge" / "64" / "new"
    assert list(read_table(new).frame["input"]) == [64]
    (new / "estimates.json").write_text('{"mean": ')
    with pytest.raises(TableError, match=r"estimates.json, which is not JSON"):
        read_table(new)
