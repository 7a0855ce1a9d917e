"""A sweep from plan to journal, its workers replaced by answers from this process."""

import json
from dataclasses import replace

import pytest

from bench.plan.plan import read_plan
from bench.process.supervisor import WorkerLost
from bench.records import RECORDS_FILE, RunError, read_info, read_run

USUAL = []


@pytest.fixture
def usual(sweeps, tmp_path_factory):
    """The folder of a sweep that several tests look at, and the workers that it asked."""
    if not USUAL:
        folder = tmp_path_factory.mktemp("usual")
        sweeps.run(sweeps.plan(), folder)
        USUAL.extend((folder, sweeps.workers))
    return USUAL


def test_every_cell_has_a_record_a_round_of_a_process_of_its_own(tmp_path, sweeps):
    shown = sweeps.run(sweeps.plan(rounds=4), tmp_path / "run")

    records = read_run(tmp_path / "run").records
    assert len(records) == 4 * sweeps.cells
    assert sweeps.once_a_round(records)
    assert {(r.round, r.worker) for r in records} == {(0, 0), (1, 1), (2, 2), (3, 0)}
    assert {record.status for record in records} == {"measured"}
    assert sweeps.workers.opened == 3 + 1  # one more for checks and counts
    assert {number for number, *_ in shown.told} == {0, 1, 2, 3}
    assert all(0 < spent_s < at_most_s == 240.0 for _, spent_s, at_most_s in shown.told)


def test_a_measured_record_has_everything_that_was_read(usual):
    folder, workers = usual

    for record in read_run(folder).records:
        assert len(record.samples_s) == (2 if record.round == 0 else 1)
        assert 0 < record.time_min_s == min(record.samples_s)
        assert record.time_min_s <= record.time_s <= max(record.samples_s)
        assert record.calls_per_sample >= 1
        assert record.max_error <= record.allowed_error
        assert record.minor_faults is None or record.minor_faults >= 0
        assert (record.threads, record.claim, record.reason) == (1, "n^2*d", None)
        assert record.flops == 4 * record.seq_len**2 * record.d_model
        for name, value in workers.COUNTED.items():
            assert getattr(record, name) == value


def test_workspaces_and_counts_are_asked_for_once(usual, sweeps):
    folder, workers = usual

    known = [r for r in read_run(folder).records if r.workspace_bytes is not None]
    assert (len(known), {r.round for r in known}) == (sweeps.cells, {0})
    assert len(workers.operations("trial")) == sweeps.cells
    assert [r["spec"] for r in workers.operations("count")] == ["matmul", "sdpa"]


def test_workspace_laws_stand_in_run_json_and_a_lost_worker_loses_only_its_own(tmp_path, sweeps):
    law = {"text": "8·n²", "terms": [{"coefficient": 8, "powers": {"n": 2}}], "valid": {}}

    def fault(operation, request):
        if operation != "workspace_law":
            return None
        if request["spec"] == "matmul":
            raise WorkerLost("crashed", "gone")
        return {"status": "done", "law": law}

    sweeps.workers.fault = fault
    sweeps.run(sweeps.plan(), tmp_path)

    (found,) = read_info(tmp_path)["workspace_laws"]
    assert found["implementation"] == "sdpa"
    assert {name: found[name] for name in law} == law
    records = read_run(tmp_path).records
    assert len(records) == sweeps.cells * 3
    assert {record.status for record in records} == {"measured"}


def test_a_run_without_any_polynomial_has_no_laws(usual):
    folder, workers = usual

    assert read_info(folder)["workspace_laws"] == []
    assert len(workers.operations("workspace_law")) == 2


def test_the_gate_comes_before_every_timing(usual, sweeps):
    _, workers = usual

    operations = [operation for operation, _ in workers.asked]
    assert operations[0] == "describe"
    assert operations.index("check") < operations.index("compare") < operations.index("trial")
    assert "check" not in operations[operations.index("trial") :]
    checked = [(r["spec"], r["case"]["name"]) for r in workers.operations("check")]
    assert checked == [
        (name, case) for name in sweeps.series.implementations for case in sweeps.checked[:2]
    ]


def test_the_same_seed_gives_the_same_order_and_every_round_one_of_its_own(tmp_path, sweeps):
    def order(name: str, seed: int) -> list[list[object]]:
        sweeps.workers.asked.clear()
        sweeps.run(sweeps.plan(seed=seed, rounds=2), tmp_path / name)
        visits = [(r["spec"], *r["case"].values()) for r in sweeps.workers.operations("visit")]
        return [
            visits[start : start + sweeps.cells] for start in range(0, len(visits), sweeps.cells)
        ]

    first = order("a", 0)
    assert first == order("b", 0) != order("c", 1)
    assert len(first) == 2
    assert first[0] != first[1]


def test_run_json_tells_how_the_run_was_made(tmp_path, sweeps):
    plan = sweeps.plan(seed=3)

    sweeps.run(plan, tmp_path)

    info = read_info(tmp_path)
    assert read_plan(info["config"], "run.json") == plan
    assert (info["preset"], info["seed"], info["schema"]) == ("tiny", 3, 2)
    assert (info["allocator"], info["threads"]) == ("pinned", 1)
    assert info["machine"]["memory_bytes"] > 0
    assert "gpu" in info["machine"]
    assert info["versions"]["python"]
    assert "git" in info
    assert info["verification"]["fail"] == info["verification"]["error"] == 0
    assert info["verification"]["pass"] > 0
    assert info["verification"]["failures"] == []
    assert set(info["implementations"]) == {"matmul", "sdpa"}
    assert info["implementations"]["matmul"]["time_law"] == "n^2*d"
    assert info["ceilings"] == {"cpu/float32": dict(sweeps.workers.CEILINGS)}
    assert info["harness"]["loop_cost_s"] >= 0
    schedule = info["schedule"]
    assert 0 < schedule.pop("spent_s") < schedule.pop("time_budget_s") == 240.0
    assert 0 < schedule.pop("checking_s") < 240.0
    assert schedule == {
        "precision": None,
        "rounds": 3,
        "processes": 3,
        "fewest_readings": 4,
        "cells_left_out": 0,
        "ended": "all rounds were made",
    }


def test_every_process_measures_ceilings_once_and_the_best_are_kept(tmp_path, sweeps):
    measured = iter([(3e15, 5.0, 0.2), (2e15, 7.0, 0.1), (1e15, 1.0, None)])

    def fault(operation, request):
        if operation != "ceiling":
            return None
        names = ("matmul_flops_per_s", "copy_bytes_per_s", "launch_s")
        return {"status": "done", **dict(zip(names, next(measured), strict=True))}

    sweeps.workers.fault = fault
    sweeps.run(sweeps.plan(rounds=5), tmp_path)

    best = {"matmul_flops_per_s": 3e15, "copy_bytes_per_s": 7.0, "launch_s": 0.1}
    assert read_info(tmp_path)["ceilings"] == {"cpu/float32": best}


def test_what_an_instrument_could_not_tell_stands_in_run_json(tmp_path, sweeps):
    def fault(operation, request):
        if operation != "trial":
            return None
        answer = {"status": "measured", "time_s": 0.1, "calls": 1, "workspace_bytes": 7}
        return {**answer, "energy_reason": "the counter stood still"}

    sweeps.workers.fault = fault
    sweeps.run(sweeps.plan(rounds=1, energy=True), tmp_path)

    assert read_info(tmp_path)["instruments"]["energy_j"] == "matmul: the counter stood still"


def test_masks_and_passes_are_measured_as_they_are_asked_for(tmp_path, sweeps):
    series = [
        replace(sweeps.series, is_causal=True, pass_="forward_backward"),
        replace(sweeps.series, mask="boolean", dtype="bfloat16"),
    ]

    sweeps.run(sweeps.plan(*series, rounds=1), tmp_path)

    records = read_run(tmp_path).records
    assert {(r.is_causal, r.pass_, r.mask, r.dtype, r.status) for r in records} == {
        (True, "forward_backward", "none", "float32", "measured"),
        (False, "forward", "boolean", "bfloat16", "measured"),
    }
    assert set(read_info(tmp_path)["ceilings"]) == {"cpu/float32", "cpu/bfloat16"}


def test_a_journal_is_plain_json_lines_without_nan_or_null(usual):
    folder, _ = usual

    for line in (folder / RECORDS_FILE).read_text().splitlines():
        row = json.loads(line, parse_constant=lambda name: pytest.fail(name))
        assert row["pass"] == "forward"
        assert not any(isinstance(value, dict) or value is None for value in row.values())
    assert sorted(one.name for one in folder.iterdir()) == [RECORDS_FILE, "run.json"]


def test_a_worker_that_does_not_start_is_one_line(tmp_path, sweeps):
    def fault(operation, request):
        raise WorkerLost("crashed", "the worker exited with 1: no module named torch")

    sweeps.workers.fault = fault

    with pytest.raises(RunError, match="the measuring process did not start: the worker exited"):
        sweeps.run(sweeps.plan(), tmp_path)
