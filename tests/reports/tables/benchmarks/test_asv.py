import json
from pathlib import Path
from typing import Any

import pytest

from reports.tables.benchmarks.asv import asv_contents, is_asv
from reports.tables.columns import TableError, TableWarning
from reports.tables.read import read_table

SIZES = ["64", "128"]
HOW = ["'merge'", "'quick'"]


def results(entries: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "commit_hash": "abc",
        "env_name": "py3.12",
        "date": 1,
        "params": {"machine": "lab", "cpu": "A CPU"},
        "results": entries,
    } | changes


def rows(entries: dict[str, Any], **changes: Any) -> list[dict[str, Any]]:
    return asv_contents([results(entries, **changes)], {}).frame.to_dict("records")


def layouts() -> list[tuple[object, dict[str, Any]]]:
    values, params = [1.0, 2.0, 3.0, None], [SIZES, HOW]
    columns = {"result_columns": ["params", "version", "result"]}
    return [
        ({"result": values, "params": params}, {}),
        ([values, params], {}),
        ([params, "v1", values], columns),
    ]


@pytest.mark.parametrize(("entry", "document"), layouts())
def test_results_of_every_layout_are_a_row_for_each_combination(
    entry: object, document: dict[str, Any]
) -> None:
    found = rows({"a.Sort.time_run": entry}, **document)
    assert [(row["arg0"], row["arg1"], row["status"]) for row in found] == [
        (64, "merge", "measured"),
        (64, "quick", "measured"),
        (128, "merge", "measured"),
        (128, "quick", "crashed"),
    ]
    assert [row["time_s"] for row in found[:3]] == [1.0, 2.0, 3.0]
    assert found[0]["implementation"] == "a.Sort.time_run[merge]"


def test_a_benchmark_without_parameters_that_failed_or_was_skipped_says_which() -> None:
    found = rows({"a.time_x": None, "a.time_y": float("nan"), "a.time_z": 0.5})
    assert [row["status"] for row in found] == ["crashed", "skipped", "measured"]
    assert found[2]["time_s"] == 0.5


def test_what_is_no_time_has_a_column_of_its_own() -> None:
    (memory, tracked) = rows({"a.peakmem_x": 4096, "a.track_error": 0.0})
    assert memory["memory_bytes"] == 4096
    assert (tracked["value"], tracked["status"]) == (0.0, "measured")


def test_a_folder_names_its_parameters_and_its_latest_commit_counts(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    index = {"a.time_x": {"param_names": ["n"]}, "version": 2}
    (tmp_path / "benchmarks.json").write_text(json.dumps(index))
    for name, date, time in (("old", 1, 9.0), ("new", 2, 0.5)):
        entry = {"a.time_x": [[time], [["64"]]]}
        (tmp_path / "lab" / f"{name}.json").write_text(json.dumps(results(entry, date=date)))
    for folder in (tmp_path, tmp_path / "lab"):
        with pytest.warns(TableWarning, match="the results of 1 other commits left out"):
            table = read_table(folder)
        assert table.frame[["n", "time_s"]].to_numpy().tolist() == [[64, 0.5]]
        assert table.parameters == ("n",)
    (tmp_path / "lab" / "new.json").write_text("{")
    with pytest.raises(TableError, match=r"has .*new.json, which is not JSON"):
        read_table(tmp_path)


def test_other_documents_with_results_are_not_taken_for_asv() -> None:
    assert is_asv(results({}))
    assert not is_asv({"results": {"a": 1}})
