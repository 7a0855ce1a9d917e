import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench.records import CorruptRecordWarning
from reports.tables import Table, TableError, read_table, read_tables

Make = Callable[..., dict[str, Any]]


def write_run(folder: Path, rows: list[dict[str, Any]], info: dict[str, Any] | None = None) -> Path:
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(info or {"schema": 1}))
    (folder / "records.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def benchmark(**changes: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": "test_core[sdpa-128]",
        "fullname": "bench/test_core.py::test_core[sdpa-128]",
        "params": {"n": 128, "fn": {"odd": 1}},
        "extra_info": {},
        "stats": {"median": 0.25, "min": 0.125},
    }
    return entry | changes


def test_a_run_is_read_from_its_directory_or_its_journal(tmp_path: Path, record: Make) -> None:
    run = write_run(tmp_path / "night", [record(), record(seq_len=256)], {"preset": "quick"})
    for path in (run, run / "records.jsonl"):
        table = read_table(path)
        assert table.info == {"preset": "quick"}
        assert list(table.frame["seq_len"]) == [128, 256]
        assert {"pass", "time_s", "workspace_bytes"} <= set(table.frame.columns)
        assert list(table.runs) == ["night"]


def test_a_torn_last_line_is_a_warning_and_the_rest_is_used(tmp_path: Path, record: Make) -> None:
    run = write_run(tmp_path / "run", [record()])
    with (run / "records.jsonl").open("a") as journal:
        journal.write('{"schema": 1, "implem')
    with pytest.warns(CorruptRecordWarning, match="line 2"):
        assert len(read_table(run).frame) == 1


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet", ".json"])
def test_foreign_tables_keep_their_columns(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame({"length": [3, 5, 7], "elapsed": [0.5, 1.5, 2.5], "who": list("abc")})
    path = tmp_path / f"table{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    elif suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_json(path, orient="records", lines=suffix == ".jsonl")
    table = read_table(path)
    pd.testing.assert_frame_equal(table.frame, frame, check_dtype=False)
    assert table.info == {}


def test_a_benchmark_json_gives_the_case_the_median_and_the_machine(tmp_path: Path) -> None:
    case = {"implementation": "sdpa", "seq_len": 128, "d_model": 64, "pass": "forward"}
    document = {
        "machine_info": {
            "python_version": "3.11.7",
            "cpu": {"brand_raw": "A CPU", "count": 3},
            "system": "Linux",
            "release": "6",
            "machine": "x86_64",
        },
        "commit_info": {"id": "abc", "dirty": False},
        "benchmarks": [benchmark(extra_info=case)],
        "datetime": "2026-01-01T00:00:00",
        "version": "5.1",
    }
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(document))
    table = read_table(path)
    row = table.frame.iloc[0]
    assert (row["implementation"], row["seq_len"], row["pass"]) == ("sdpa", 128, "forward")
    assert (row["time_s"], row["time_min_s"], row["status"]) == (0.25, 0.125, "measured")
    assert table.info["machine"] == {"cpu": "A CPU", "cores_logical": 3, "os": "Linux-6-x86_64"}
    assert table.info["git"] == {"commit": "abc", "dirty": False}


def test_a_foreign_benchmark_keeps_its_parameters_and_name(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text(json.dumps({"benchmarks": [benchmark(), benchmark(stats={})]}))
    frame = read_table(path).frame
    assert list(frame["n"]) == [128, 128]
    assert frame["implementation"][0] == "test_core"
    assert json.loads(frame["params"][0])["n"] == 128
    assert list(frame["status"]) == ["measured", "crashed"]


def test_several_runs_are_told_apart_by_name_even_if_equal(tmp_path: Path, record: Make) -> None:
    first = write_run(tmp_path / "a" / "run", [record()], {"seed": 1})
    second = write_run(tmp_path / "b" / "run", [record(), record(round=1)], {"seed": 2})
    table = read_tables([first, second])
    assert list(table.frame["run"]) == ["run", "run (2)", "run (2)"]
    assert table.info == {"seed": 1}
    assert table.runs["run (2)"] == {"seed": 2}


def test_one_file_makes_no_run_column(tmp_path: Path, record: Make) -> None:
    table = read_tables([write_run(tmp_path / "run", [record()])])
    assert isinstance(table, Table)
    assert "run" not in table.frame.columns


BAD_FILES = {
    "empty.csv": ("", "is empty"),
    "header.csv": ("seq_len,time_s\n", "has no rows"),
    "text.csv": ("seq_len,time_s\n128,fast\n", 'column "time_s" must hold numbers, got'),
    "zero.csv": ("seq_len,time_s\n128,0\n", "time_s must be positive and finite, got 0"),
    "minus.csv": ("seq_len,time_s\n128,-1\n", "time_s must be positive and finite, got -1"),
    "inf.csv": ("seq_len,time_s\n128,inf\n", "time_s must be positive and finite, got inf"),
    "skipped.csv": ("status,time_s\nskipped,\n", "has no measured row, only 1 skipped"),
    "broken.json": ("{", "is not json"),
    "broken.jsonl": ('{"a": 1}\n{', "line 2 is not JSON"),
    "list.jsonl": ("[1]\n", "line 1 must hold one JSON object"),
    "other.json": ('{"a": 1}', 'no "benchmarks"'),
    "run.json": ("{}", "give its directory"),
    "fake.parquet": ("no", "is not parquet"),
    "notes.txt": ("hello", 'has the suffix ".txt"'),
    "binary.csv": ("\x00\x00", "has no rows"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_every_bad_file_is_one_clear_line(tmp_path: Path, name: str) -> None:
    text, expected = BAD_FILES[name]
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(TableError) as refused:
        read_table(path)
    message = str(refused.value)
    assert expected in message
    assert "\n" not in message
    assert str(path) in message


def test_a_missing_path_and_a_directory_that_is_no_run_say_so(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"nowhere does not exist; give a run directory"):
        read_table(tmp_path / "nowhere")
    with pytest.raises(TableError, match=r"has no records.jsonl; run \"attnscale sweep"):
        read_table(tmp_path)


def test_no_path_at_all_says_what_to_give() -> None:
    with pytest.raises(TableError, match="expected at least one file"):
        read_tables([])


def test_what_is_known_of_one_run_is_not_said_of_several(tmp_path: Path, record: Make) -> None:
    runs = [write_run(tmp_path / name, [record()], {"seed": 1}) for name in ("one", "two")]
    assert read_tables(runs[:1]).shared_info == {"seed": 1}
    assert read_tables(runs).shared_info == {}
