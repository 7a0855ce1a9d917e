import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from attnscale.__main__ import main
from bench.records import CorruptRecordWarning
from reports.tables import formats, read
from reports.tables.columns import TableError, TableWarning, measured_rows, numbers
from reports.tables.read import Table, read_table, read_tables

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


@pytest.mark.parametrize("name", ["table.txt", "table.json", "table.csv", "table"])
@pytest.mark.parametrize("kind", ["csv", "tabs", "lines", "list", "parquet"])
def test_foreign_tables_are_told_apart_by_content_and_keep_their_columns(
    tmp_path: Path, kind: str, name: str
) -> None:
    frame = pd.DataFrame({"length": [3, 5, 7], "elapsed": [0.5, 1.5, 2.5], "who": list("abc")})
    path = tmp_path / name
    write = {
        "csv": lambda: frame.to_csv(path, index=False),
        "tabs": lambda: frame.to_csv(path, index=False, sep="\t"),
        "lines": lambda: frame.to_json(path, orient="records", lines=True),
        "list": lambda: frame.to_json(path, orient="records"),
        "parquet": lambda: frame.to_parquet(path),
    }
    write[kind]()
    table = read_table(path)
    pd.testing.assert_frame_equal(table.frame, frame, check_dtype=False)
    assert (table.info, table.parameters) == ({}, ())


def test_a_journal_under_another_name_is_a_journal(tmp_path: Path, record: Make) -> None:
    path = tmp_path / "night.txt"
    path.write_text(json.dumps(record(colour="blue")) + '\n{"schema": 1, "torn')
    with pytest.warns(CorruptRecordWarning, match="line 2"):
        frame = read_table(path).frame
    assert list(frame["seq_len"]) == [128]
    assert "colour" not in frame.columns


@pytest.mark.parametrize("text", ["n,time_s\n3,0.5\n", '{"n": 3, "time_s": 0.5}\n'])
def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8-sig")
    assert list(read_table(path).frame.columns) == ["n", "time_s"]


def test_text_in_other_encodings_is_read(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes("n,time (µs)\n3,0.5\n".encode("utf-16"))
    assert list(read_table(path).frame.columns) == ["n", "time (µs)"]
    path.write_bytes("n,time (µs)\n3,0.5\n".encode("latin-1"))
    with pytest.warns(TableWarning, match=r"line 1 is not UTF-8 \(byte 0xb5\)"):
        assert list(read_table(path).frame.columns) == ["n", "time (µs)"]


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    path = tmp_path / "measurements.pkl"
    path.write_bytes(b"\x80\x04\x8c\x1ctorch.utils.benchmark.utils\x94")
    with pytest.raises(TableError, match=r"a pickle of torch.utils.benchmark, .* m.sub_label"):
        read_table(path)
    path.write_bytes(pickle.dumps([1.0]))
    with pytest.raises(TableError, match="a pickle or was saved by torch, and opening one runs"):
        read_table(path)


def test_of_a_file_that_is_too_large_no_more_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.csv"
    path.write_text("n,time_s\n3,0.5\n")
    monkeypatch.setattr(formats, "MOST_TEXT", 4)
    with pytest.raises(TableError, match="is a text of 0 MiB, and 0 are read at most"):
        read_table(path)
    monkeypatch.setattr(read, "MOST_BYTES", 4)
    with pytest.raises(TableError, match="has more than 0 MiB; keep one row"):
        read_table(path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="the system has no such device")
def test_a_device_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "MOST_BYTES", 2**20)
    with pytest.raises(TableError, match="/dev/zero has more than 1 MiB"):
        read_table("/dev/zero")


def test_line_ends_inside_of_json_strings_end_no_line(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    path.write_text('{"n": 3, "who": "a\u2028b"}\n\n{"n": 5, "who": "c"}\n', encoding="utf-8")
    assert list(read_table(path).frame["who"]) == ["a\u2028b", "c"]


def test_the_index_of_a_parquet_file_is_columns_if_it_has_names(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    index = pd.MultiIndex.from_tuples([(3, 5), (7, 11)], names=["n", "d"])
    pd.DataFrame({"time_s": [0.5, 2.5]}, index=index).to_parquet(path)
    assert read_table(path).frame.to_dict("list") == {
        "n": [3, 7],
        "d": [5, 11],
        "time_s": [0.5, 2.5],
    }


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
    path = tmp_path / "bench.csv"
    path.write_text(json.dumps({"benchmarks": [benchmark(), benchmark(stats={})]}))
    table = read_table(path)
    frame = table.frame
    assert list(frame["n"]) == [128, 128]
    assert frame["implementation"][0] == "test_core"
    assert json.loads(frame["params"][0])["n"] == 128
    assert list(frame["status"]) == ["measured", "crashed"]
    assert table.parameters == ("n",)


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


BAD_FILES: dict[str, tuple[str | bytes, str]] = {
    "empty.csv": ("", "is empty"),
    "blank.csv": (" \n\n", "is empty"),
    "mark.csv": (b"\xef\xbb\xbf", "is empty"),
    "header.csv": ("seq_len,time_s\n", "has no rows"),
    "fields.csv": ("seq_len,time_s\n1,024,1\n", "line 2 has 3 fields, expected 2"),
    "twice.csv": ("n,n\n1,2\n", 'two columns called "n"'),
    "wide.csv": (b"\xff\xfen", "broken text in UTF-16; save it as UTF-8"),
    "noise.csv": (b"n,t\n\x01\xf6", "is a binary file"),
    "report.html": ("<html><table>", "XML or HTML; of a page with a table, in Python: import pa"),
    "night.db": (b"SQLite format 3\x00", "an SQLite database, as Nsight Systems exports; in Pyt"),
    "perf.data": (b"PERFILE2", "data of Linux perf; run"),
    "hyperfine.json": ('{"results": []}', "has no rows"),
    "jmh.json": ('[{"benchmark": "A", "primaryMetric": {"score": 1, "scoreUnit": "#"}}]', "unit"),
    "estimates.json": (
        '{"mean": {}, "median": {"point_estimate": 1.0}, "std_dev": {}}',
        "is one of the two files that criterion has for a benchmark; give the directory",
    ),
    "extra_p.txt": ("PARAMETER n\nPOINTS 64\nDATA 1\nDATA 2\n", "line 4 is DATA number 2 of"),
    "compare.txt": ("[--- a ---]\n | x\n", "without its last line, which states the unit"),
    "two.md": ("|n|t|\n|-|-|\n|1|2|\n\n|n|t|\n|-|-|\n|1|2|\n", "holds 2 tables, in lines 1, 5"),
    "skipped.csv": ("status,time_s\nskipped,\n", "has no measured row, only 1 skipped"),
    "broken.json": ('{\n "a": }', "is not JSON: Expecting value at line 2 column 7"),
    "deep.json": ("[" * 100_000, "JSON nested too deeply"),
    "broken.jsonl": ('{"a": 1}\n{', "line 2 is not JSON"),
    "list.jsonl": ("[1]\n[2]\n", "line 1 must hold one JSON object, got [1]"),
    "items.json": ('[{"a": 1}, 2]', "item 2 is no object, but 2"),
    "none.json": ("[]", "has no rows"),
    "other.json": ('{"a": {}}', 'has no list "benchmarks"'),
    "foreign.json": ('{"benchmarks": [{"mean": 3}]}', "neither of pytest-benchmark nor of google/"),
    "unmeasured.json": ('{"benchmarks": [], "machine_info": {}}', "has no rows"),
    "run.json": ('{"schema": 1, "machine": {}}', "give its directory"),
    "fake.parquet": (b"PAR1 and no more", "is not Parquet"),
    "book.csv": (b"PK\x03\x04 and more", "Excel workbook"),
    "packed.csv": (b"\x1f\x8b and more", "compressed with gzip"),
    "notes.txt": ("hello", "no comma, semicolon or tab in its header 'hello'"),
    "binary.csv": ("\x00\x00", "is a binary file"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_every_bad_file_is_one_clear_line(tmp_path: Path, name: str) -> None:
    content, expected = BAD_FILES[name]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(TableError) as refused:
        read_table(path)
    message = str(refused.value)
    assert expected in message
    assert "\n" not in message
    assert message.startswith(str(path))


def test_a_missing_path_and_a_directory_that_is_no_run_say_so(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"nowhere does not exist; give a run directory"):
        read_table(tmp_path / "nowhere")
    with pytest.raises(TableError, match=r"no run: it has no records.jsonl; run \"attnscale sweep"):
        read_table(tmp_path)


def test_no_path_at_all_says_what_to_give() -> None:
    with pytest.raises(TableError, match="expected at least one file"):
        read_tables([])


def test_what_is_known_of_one_run_is_not_said_of_several(tmp_path: Path, record: Make) -> None:
    runs = [write_run(tmp_path / name, [record()], {"seed": 1}) for name in ("one", "two")]
    assert read_tables(runs[:1]).shared_info == {"seed": 1}
    assert read_tables(runs).shared_info == {}


def test_rows_that_are_wrong_are_found_in_their_own_file(tmp_path: Path) -> None:
    for name, value in (("one", "0.5"), ("two", "late")):
        (tmp_path / name).write_text(f"n,elapsed\n3,0.25\n5,{value}\n")
    frame = read_tables([tmp_path / "one", tmp_path / "two"]).frame
    with pytest.raises(TableError, match=r"two: column .* got 'late' in row 2"):
        numbers(frame[frame["n"] > 3], "elapsed")


@pytest.mark.parametrize("form", ["lines", "list"])
def test_objects_in_rows_are_columns_also_without_their_own_name(tmp_path: Path, form: str) -> None:
    rows = [
        {"params": {"n": 3, "who": {"name": "a"}}, "who.name": "b", "time_s": 0.5},
        {"params": {"n": 5}, "time_s": 2.5},
        {"params": None, "time_s": 3.5},
    ]
    path = tmp_path / "table.json"
    lines = "\n".join(map(json.dumps, rows))
    path.write_text(lines if form == "lines" else json.dumps(rows))
    frame = read_table(path).frame
    for name in ("params.n", "n"):
        assert frame[name].tolist()[:2] == [3, 5]
        assert pd.isna(frame[name][2])
    assert frame["params.who.name"][0] == "a"
    assert frame["who.name"][0] == "b"


def test_more_names_in_objects_than_people_write_stay_text(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text(json.dumps([{"params": {f"p{i}": i for i in range(1000)}, "time_s": 0.5}]))
    assert list(read_table(path).frame.columns) == ["params", "time_s"]


def test_objects_that_are_nested_deeply_are_text_at_some_depth(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text('[{"n": 3, "a": ' + '{"b": ' * 400 + "7" + "}" * 401 + "]")
    frame = read_table(path).frame
    assert frame["n"].tolist() == [3]
    assert max(name.count(".") for name in frame.columns) == 5


def test_a_status_of_somebody_else_leaves_no_row_out(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("n,elapsed,status\n3,0.5,ok\n5,2.5,late\n")
    assert measured_rows(read_table(path).frame).all()


def test_any_names_of_columns_can_be_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "table.csv"
    lengths = [2**k for k in range(4, 14)]
    lines = [f"{n};{1e-3 * n**2 + 0.5}" for n in lengths]
    path.write_text("\n".join(["length;elapsed (ms)", *lines]))
    arguments = ["--size", "n=length", "--value", "elapsed (ms)", "--claim", "n^2", "--json"]
    with pytest.raises(SystemExit) as ended:
        main(["fit", str(path), *arguments])
    assert ended.value.code == 0
    (found,) = json.loads(capsys.readouterr().out)["fits"]
    assert found["verdict"] == "confirmed"
    assert found["cells"] == len(lengths)
    assert found["exponents"]["n"]["low"] > 1.9


def test_a_run_that_is_broken_or_empty_says_so(tmp_path: Path, record: Make) -> None:
    run = write_run(tmp_path / "run", [])
    with pytest.raises(TableError, match=r"run has no rows; measure something first"):
        read_table(run)
    (run / "records.jsonl").write_text(json.dumps(record()))
    (run / "run.json").unlink()
    with pytest.warns(TableWarning, match=r"run has no run.json, so that nothing is known of its"):
        table = read_table(run)
    assert (len(table.frame), table.info) == (1, {})


def test_a_file_that_may_not_be_read_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, mode: str) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "table.csv").write_text("n,time_s\n3,0.5\n")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(TableError, match=r"table.csv cannot be read: Permission denied"):
        read_table(tmp_path / "table.csv")
