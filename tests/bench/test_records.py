"""The row of a run: what is written comes back, and what is broken is named and left out."""

import errno
import json
import math
import os
import re
import warnings
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import records
from bench.records import (
    RECORDS_FILE,
    RUN_FILE,
    SCHEMA,
    CorruptRecordWarning,
    Record,
    RunError,
    read_info,
    read_records,
    read_run,
    write_info,
)

REQUIRED, OPTIONAL = (
    set(re.findall(r"\w+", names))
    for names in (
        """
        schema implementation kind pass device dtype batch num_heads seq_len key_len head_dim
        d_model is_causal mask status
        """,
        """
        threads worker round reason time_s time_min_s samples_s cpu_time_s workspace_bytes flops
        bytes_moved minor_faults energy_j energy_resolution_j max_error allowed_error noisy
        noise_reasons calls_per_sample waiting_share other_load steal_share frequency_hz
        flops_executed transcendentals operator_launches graph_time_s gpu_clock_hz
        gpu_temperature_c gpu_power_w throttle_reasons growth claim workspace_claim
        query_len num_kv_heads kv_heads window
        compile_s attention_kernel expected_kernel
        """,
    )
)

RECORD = Record(
    implementation="matmul",
    kind="core",
    pass_="forward",
    device="cpu",
    dtype="float32",
    batch=2,
    num_heads=3,
    seq_len=5,
    key_len=7,
    head_dim=11,
    d_model=33,
    is_causal=False,
    mask="none",
    status="measured",
)

times = st.none() | st.floats(0, 1e3)


@pytest.fixture
def journal_file(tmp_path):
    return tmp_path / RECORDS_FILE


def lines(*records: Record) -> str:
    return "".join(json.dumps(record.to_dict()) + "\n" for record in records)


def test_the_file_has_the_fields_of_the_contract_and_leaves_out_what_is_null():
    zeros = replace(RECORD, time_s=0.0, workspace_bytes=0, samples_s=())

    assert {one.name.rstrip("_") for one in fields(Record)} == REQUIRED | OPTIONAL
    assert set(RECORD.to_dict()) == REQUIRED
    assert set(zeros.to_dict()) == REQUIRED | {"time_s", "workspace_bytes", "samples_s"}


@given(
    time_s=times,
    samples_s=st.none() | st.lists(st.floats(0, 1e3)).map(tuple),
    noise_reasons=st.none() | st.lists(st.text()).map(tuple),
    throttle_reasons=st.none() | st.lists(st.text()).map(tuple),
    workspace_bytes=st.none() | st.integers(0, 2**60),
    reason=st.none() | st.text(),
)
def test_a_record_survives_being_written_and_read(**values):
    record = replace(RECORD, **values)

    text = json.dumps(record.to_dict(), allow_nan=False)

    assert Record.from_dict(json.loads(text)) == record


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_have_are_left_out_or_null_in_a_list(value):
    row = replace(RECORD, time_s=value, samples_s=(1.0, value)).to_dict()

    assert "time_s" not in row
    assert row["samples_s"] == [1.0, None]
    json.dumps(row, allow_nan=False)


def test_a_record_of_the_first_schema_keeps_its_marks_and_loses_fields_that_are_gone():
    row = {**RECORD.to_dict(), "noisy": True, "noise_reasons": ["load"], "time_s": None}
    row |= {"retakes": 2, "canaries_s": [1e-3]}
    del row["schema"]

    found = Record.from_dict(row)

    assert found == replace(RECORD, schema=1, noisy=True, noise_reasons=("load",))


@pytest.mark.parametrize("schema", [SCHEMA + 1, str(SCHEMA), None])
def test_a_newer_schema_is_refused_with_the_next_step(schema):
    with pytest.raises(RunError, match=f"is newer than {SCHEMA}; update attnscale"):
        Record.from_dict({**RECORD.to_dict(), "schema": schema})


def test_a_record_that_lacks_a_field_names_it():
    row = RECORD.to_dict()
    del row["seq_len"]

    with pytest.raises(RunError, match=r"not a record: .*seq_len"):
        Record.from_dict(row)


@pytest.mark.parametrize(
    "broken",
    [
        b'{"implementation": "matm\n',
        b"[1, 2]\n",
        b"7\n",
        b"null\n",
        b"{}\n",
        b"\xff\xfe\x00\n",
        json.dumps({**RECORD.to_dict(), "samples_s": 5}).encode() + b"\n",
        json.dumps({**RECORD.to_dict(), "schema": 99}).encode() + b"\n",
    ],
)
def test_a_broken_line_is_left_out_with_a_warning_that_names_it(journal_file, broken):
    journal_file.write_bytes(lines(RECORD).encode() + broken + lines(RECORD).encode())

    with pytest.warns(CorruptRecordWarning, match=r"records\.jsonl line 2 left out: ") as caught:
        found = list(read_records(journal_file))

    assert found == [RECORD, RECORD]
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)


def test_many_broken_lines_are_one_warning_that_counts_them(journal_file):
    journal_file.write_text(f"[1]\n{lines(RECORD)}7\nnull\n")

    with pytest.warns(CorruptRecordWarning, match=r"line 1 left out: .* \(and 2 more\)") as caught:
        assert list(read_records(journal_file)) == [RECORD]
    assert len(caught) == 1


def test_empty_lines_are_nothing_to_warn_about(journal_file):
    journal_file.write_text("\n" + lines(RECORD) + "\n  \n")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(read_records(journal_file)) == [RECORD]


def test_a_run_is_read_whole(tmp_path, journal_file):
    write_info(tmp_path, {"schema": 1, "seed": 3})
    journal_file.write_text(lines(RECORD))

    run = read_run(tmp_path)

    assert (run.path, run.info["seed"], run.records) == (tmp_path, 3, (RECORD,))


def test_a_directory_without_a_run_says_what_to_do(tmp_path):
    with pytest.raises(RunError, match=r'is not a run directory; run "attnscale sweep --out'):
        read_run(tmp_path / "missing")
    with pytest.raises(RunError, match=r'has no records\.jsonl; run "attnscale sweep --out'):
        read_run(tmp_path)
    (tmp_path / RECORDS_FILE).touch()
    with pytest.raises(RunError, match=r"has no run\.json; it is not a run"):
        read_run(tmp_path)


@pytest.mark.parametrize("content", ["{", "[1]", "7"])
def test_a_run_json_that_is_no_object_is_refused(tmp_path, content):
    (tmp_path / RUN_FILE).write_text(content)

    with pytest.raises(RunError, match=r"run\.json (cannot be read|must hold one JSON object)"):
        read_info(tmp_path)


def test_a_run_json_that_cannot_be_written_is_one_line_and_the_old_one_stays(tmp_path, monkeypatch):
    write_info(tmp_path, {"seed": 1})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(records.os, "fsync", full)
        with pytest.raises(RunError, match=r"cannot write .*run\.json: No space left") as refusal:
            write_info(tmp_path, {"seed": 2})

    assert "\n" not in str(refusal.value)
    assert read_info(tmp_path) == {"seed": 1}


def test_a_run_json_in_a_directory_that_was_removed_is_one_line(tmp_path):
    with pytest.raises(RunError, match=r"cannot write .*run\.json: No such file or directory"):
        write_info(tmp_path / "removed", {"seed": 1})


def test_run_json_is_replaced_in_one_step(tmp_path):
    write_info(tmp_path, {"seed": 1})

    with pytest.raises(ValueError, match="not JSON compliant"):
        write_info(tmp_path, {"seed": math.nan})

    assert read_info(tmp_path) == {"seed": 1}
    write_info(tmp_path, {"seed": 2})
    assert read_info(tmp_path) == {"seed": 2}
    assert [path.name for path in tmp_path.iterdir()] == [RUN_FILE]


def test_a_cell_that_was_found_wrong_in_any_round_tells_no_time_of_any(journal_file):
    read = replace(RECORD, status="measured", time_s=0.5, samples_s=(0.5,), workspace_bytes=7)
    other = replace(read, seq_len=RECORD.seq_len + 1)
    wrong = replace(RECORD, status="implausible", reason="too fast", worker=1)
    # What the checks before timing refused, in an earlier part of the run, withdraws nothing.
    refused = replace(other, status="incorrect", time_s=None, samples_s=None, worker=None)
    rows = [replace(read, round=0), other, replace(wrong, round=1), replace(read, round=2), refused]
    journal_file.write_text(lines(*rows))

    found = read_records(journal_file)

    assert [one.status == "implausible" for one in found] == [True, False, True, True, False]
    assert [one.time_s for one in found] == [None, 0.5, None, None, None]
    assert [one.workspace_bytes for one in found][:4] == [None, 7, None, None]
    assert {one.reason for one in found if one.status == "implausible"} == {"too fast"}
    assert [one.round for one in found] == [0, None, 1, 2, None]
