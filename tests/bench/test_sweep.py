"""A sweep from plan to journal, its workers replaced by answers from this process."""

import json
from dataclasses import replace

import pytest

from bench.cases import PlanError, read_plan
from bench.records import RECORDS_FILE, RunError, read_info, read_run
from bench.supervisor import WorkerLost


def test_every_cell_is_visited_once_a_round_and_measured(tmp_path, sweeps):
    shown = sweeps.run(sweeps.plan(), tmp_path / "run")

    records = read_run(tmp_path / "run").records
    assert set(sweeps.visits(records).values()) == {1}
    assert len(records) == 3 * sweeps.cells
    assert {record.round for record in records} == {0, 1, 2}
    assert {record.status for record in records} == {"measured"}
    assert shown.started == (0, 3 * sweeps.cells)
    assert tuple(shown.seen) == records
    assert shown.left_s[-1] == 0


def test_a_measured_record_has_everything_that_was_read(tmp_path, sweeps):
    sweeps.run(sweeps.plan(), tmp_path)

    for record in read_run(tmp_path).records:
        assert record.samples_s is not None
        assert record.time_s is not None
        assert record.time_min_s in record.samples_s
        assert record.time_min_s <= record.time_s <= max(record.samples_s)
        assert record.max_error is not None
        assert record.allowed_error is not None
        assert record.max_error <= record.allowed_error
        assert record.noisy == bool(record.noise_reasons)
        assert record.minor_faults is None or record.minor_faults >= 0
        assert (record.threads, record.claim) == (1, "n^2*d")
        assert record.flops == 4 * record.seq_len**2 * record.d_model
        assert record.canary_s is not None
        assert record.reason is None
        assert record.calls_per_sample is not None
        assert record.calls_per_sample >= 1
        assert record.visit_s is not None
        assert record.visit_s >= sum(record.samples_s)
        assert record.retakes == 0
        # Machines tell of other load in ticks: over so short a span it would be a guess.
        assert (record.other_load, record.steal_share) == (None, None)


def test_workspace_is_measured_once_for_every_cell(tmp_path, sweeps):
    sweeps.run(sweeps.plan(), tmp_path)

    known = [r for r in read_run(tmp_path).records if r.workspace_bytes is not None]
    assert len(known) == sweeps.cells
    assert set(sweeps.visits(known).values()) == {1}
    asked = sweeps.workers.operations("measure")
    assert sum(request["with_workspace"] for request in asked) == sweeps.cells


def test_energy_is_asked_for_on_request_and_until_a_cell_has_it(tmp_path, sweeps):
    def fault(operation, request):
        if operation != "measure":
            return None
        usage = {"cpu_time_s": 0.1, "minor_faults": 0, "involuntary_switches": 0}
        return {
            "status": "measured",
            "samples_s": [0.1, 0.1],
            "calls_per_sample": 1,
            "time_s": 0.1,
            "cpu_time_s": 0.1,
            "minor_faults": 0.0,
            "usage": {"wall_s": 0.2, **usage},
            "undisturbed_s": [0.1, 0.1],
            "is_parallel": False,
            "beyond_cache": False,
            "canaries": [[1e-3]] * 3,
            "workspace_bytes": 0,
            "energy_j": 2.5 if request["with_energy"] else None,
        }

    sweeps.workers.fault = fault
    for name, energy in (("without", False), ("with", True)):
        sweeps.run(sweeps.plan(energy=energy), tmp_path / name)

    known = [r.energy_j for r in read_run(tmp_path / "without").records]
    assert known == [None] * 3 * sweeps.cells
    known = [r for r in read_run(tmp_path / "with").records if r.energy_j is not None]
    assert len(known) == sweeps.cells
    assert set(sweeps.visits(known).values()) == {1}
    asked = [request["with_energy"] for request in sweeps.workers.operations("measure")]
    assert sum(asked) == sweeps.cells


def test_counts_stand_in_every_record_and_are_asked_for_once(tmp_path, sweeps):
    sweeps.run(sweeps.plan(), tmp_path)

    for record in read_run(tmp_path).records:
        for name, value in sweeps.workers.COUNTED.items():
            assert getattr(record, name) == value
    assert [r["spec"] for r in sweeps.workers.operations("count")] == ["matmul", "sdpa"]


@pytest.mark.parametrize("how", ["lost", "refused"])
def test_what_cannot_be_counted_is_null_and_measured_all_the_same(tmp_path, sweeps, how):
    def fault(operation, request):
        if operation == "count" and how == "lost":
            raise WorkerLost("timeout", "no answer within 60 s")
        return {"status": "crashed", "reason": "no"} if operation == "count" else None

    sweeps.workers.fault = fault
    sweeps.run(sweeps.plan(rounds=1), tmp_path)

    for record in read_run(tmp_path).records:
        assert (record.status, record.operator_launches) == ("measured", None)


def test_the_resident_set_is_read_in_one_round_for_the_largest_cell_of_each_series(
    tmp_path, sweeps
):
    sweeps.run(sweeps.plan(resident=True), tmp_path)

    read = [r for r in read_run(tmp_path).records if r.resident_bytes is not None]
    assert {(r.implementation, r.round, r.resident_bytes) for r in read} == {
        ("matmul", 1, 29),
        ("sdpa", 1, 29),
    }
    workspaces = {
        (r.implementation, r.seq_len, r.d_model): r.workspace_bytes
        for r in read_run(tmp_path).records
        if r.workspace_bytes is not None
    }
    for record in read:
        own = [size for (name, *_), size in workspaces.items() if name == record.implementation]
        chosen = workspaces[record.implementation, record.seq_len, record.d_model]
        assert chosen == max(own)
    # Each in a process that did nothing else: the first one, three rounds, and these two.
    assert sweeps.workers.opened == 4 + 2


def test_a_resident_set_that_cannot_be_read_is_null(tmp_path, sweeps):
    def fault(operation, request):
        if operation == "resident":
            raise WorkerLost("out_of_memory", "the kernel killed the worker for its memory")

    sweeps.workers.fault = fault
    sweeps.run(sweeps.plan(resident=True), tmp_path)

    records = read_run(tmp_path).records
    assert {(r.status, r.resident_bytes) for r in records} == {("measured", None)}


def test_rounds_go_through_the_cells_in_orders_of_their_own(tmp_path, sweeps):
    sweeps.run(sweeps.plan(), tmp_path)

    orders = [
        [
            (r.implementation, r.seq_len, r.d_model)
            for r in read_run(tmp_path).records
            if r.round == n
        ]
        for n in range(3)
    ]
    assert len({tuple(order) for order in orders}) == 3
    assert len({tuple(sorted(order)) for order in orders}) == 1


def test_the_same_seed_gives_the_same_order_and_another_seed_another(tmp_path, sweeps):
    def order(name: str, seed: int) -> list[tuple[str, int, int]]:
        sweeps.run(sweeps.plan(rounds=1, seed=seed), tmp_path / name)
        records = read_run(tmp_path / name).records
        return [(r.implementation, r.seq_len, r.d_model) for r in records]

    assert order("a", 0) == order("b", 0) != order("c", 1)


@pytest.mark.parametrize(("rounds", "workers"), [(1, 3), (2, 4), (3, 3), (5, 5)])
def test_a_sweep_has_a_worker_a_round_and_three_at_least(tmp_path, sweeps, rounds, workers):
    sweeps.run(sweeps.plan(rounds=rounds), tmp_path)

    records = read_run(tmp_path).records
    assert len({record.worker for record in records}) == workers
    assert all(
        {r.round for r in records if r.worker == number} == {number // 100}
        for number in {record.worker for record in records}
    )
    assert sweeps.workers.opened == 1 + workers
    assert set(sweeps.visits(records).values()) == {1}
    assert len(records) == rounds * sweeps.cells


def test_the_gate_comes_before_every_timing(tmp_path, sweeps):
    sweeps.run(sweeps.plan(), tmp_path)

    operations = [operation for operation, _ in sweeps.workers.asked]
    assert operations[0] == "describe"
    assert operations.index("pilot") > max(
        index for index, name in enumerate(operations) if name == "check"
    )
    assert operations.index("compare") > operations.index("check")
    checked = [(r["spec"], r["case"]["name"]) for r in sweeps.workers.operations("check")]
    assert checked == [
        (name, case) for name in sweeps.series.implementations for case in sweeps.checked[:2]
    ]


def test_run_json_tells_how_the_run_was_made(tmp_path, sweeps):
    plan = sweeps.plan(seed=3)

    sweeps.run(plan, tmp_path)

    info = read_info(tmp_path)
    assert read_plan(info["config"], "run.json") == plan
    assert (info["preset"], info["seed"], info["schema"]) == ("tiny", 3, 1)
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
    assert (schedule["rounds"], schedule["ended"]) == (3, "all rounds were made")
    assert schedule["spent_s"] > 0


def test_the_best_ceiling_of_all_rounds_is_kept(tmp_path, sweeps):
    measured = iter([(3.0, 5.0, 0.2), (2.0, 7.0, 0.1), (1.0, 1.0, None)])

    def fault(operation, request):
        if operation != "ceiling":
            return None
        names = ("matmul_flops_per_s", "copy_bytes_per_s", "launch_s")
        return {"status": "done", **dict(zip(names, next(measured), strict=True))}

    sweeps.workers.fault = fault
    sweeps.run(sweeps.plan(), tmp_path)

    assert read_info(tmp_path)["ceilings"]["cpu/float32"] == {
        "matmul_flops_per_s": 3.0,
        "copy_bytes_per_s": 7.0,
        "launch_s": 0.1,
    }


def test_a_ceiling_that_cannot_be_measured_is_left_out(tmp_path, sweeps):
    def fault(operation, request):
        if operation == "ceiling":
            raise WorkerLost("timeout", "no answer within 120 s")

    sweeps.workers.fault = fault
    sweeps.run(sweeps.plan(), tmp_path)

    assert read_info(tmp_path)["ceilings"] == {}
    assert {r.status for r in read_run(tmp_path).records} == {"measured"}


def test_a_directory_that_cannot_be_is_refused(tmp_path, sweeps):
    (tmp_path / "file").touch()

    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(RunError, match="cannot write there: ") as refusal:
            sweeps.run(sweeps.plan(), folder)
        assert str(refusal.value).startswith(f"--out {folder}")
        assert "\n" not in str(refusal.value)


def test_cuda_where_the_worker_sees_none_is_refused(tmp_path, sweeps):
    sweeps.workers.fault = lambda operation, request: {"status": "done", "gpu": None, "threads": 1}

    with pytest.raises(PlanError, match="torch sees no CUDA device here"):
        sweeps.run(sweeps.plan(replace(sweeps.series, device="cuda")), tmp_path)


def test_masks_and_passes_are_measured_as_they_are_asked_for(tmp_path, sweeps):
    series = [
        replace(sweeps.series, is_causal=True, pass_="forward_backward"),
        replace(sweeps.series, mask="boolean", dtype="bfloat16"),
    ]

    sweeps.run(sweeps.plan(*series, rounds=1), tmp_path)

    found = {(r.is_causal, r.pass_, r.mask, r.dtype) for r in read_run(tmp_path).records}
    assert found == {
        (True, "forward_backward", "none", "float32"),
        (False, "forward", "boolean", "bfloat16"),
    }
    assert set(read_info(tmp_path)["ceilings"]) == {"cpu/float32", "cpu/bfloat16"}


def test_a_journal_is_plain_json_lines_without_nan(tmp_path, sweeps):
    sweeps.run(sweeps.plan(), tmp_path)

    for line in (tmp_path / RECORDS_FILE).read_text().splitlines():
        row = json.loads(line, parse_constant=lambda name: pytest.fail(name))
        assert row["pass"] == "forward"
        assert not any(isinstance(value, dict) for value in row.values())
