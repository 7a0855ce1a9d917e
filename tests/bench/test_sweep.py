"""A sweep from plan to journal, its workers replaced by answers from this process."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import environment, gate
from bench.cases import Plan, PlanError, Series, read_plan
from bench.check_case import CheckCase
from bench.records import RECORDS_FILE, Journal, Record, RunError, read_info, read_run
from bench.run_directory import check_sources
from bench.situations import check_cases
from bench.supervisor import WorkerLost
from bench.sweep import Sweep
from implementations.case import Case

SERIES = Series(
    implementations=("matmul", "sdpa"), seq_lens=(5, 7, 11), d_models=(22, 33), head_dim=11
)
CELLS = 2 * 3 * 2
CHECKED = ("plain", "more_keys", "causal", "boolean_mask")

KERNELS = """
    from implementations.attention.matmul import matmul

    def right(query, key, value):
        return matmul(query, key, value)

    def wrong(query, key, value):
        return matmul(query, key, value, scale=1.0)

    def fragile(query, key, value):
        if query.shape[-2] == 6:
            raise ValueError("six queries are too many")
        return matmul(query, key, value)
"""


class Silent:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.seen: list[Record] = []
        self.started: tuple[int, int, int] | None = None

    def phase(self, text: str) -> None:
        self.phases.append(text)

    def visits(self, done: int, total: int, rounds: int) -> None:
        self.started = (done, total, rounds)

    def visit(self, cell: str, record: Record) -> None:
        self.seen.append(record)


class Interrupting(Silent):
    """Ctrl-C after so many visits."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._after = after

    def visit(self, cell: str, record: Record) -> None:
        super().visit(cell, record)
        if len(self.seen) == self._after:
            raise KeyboardInterrupt


def a_plan(*series: Series, **changes: Any) -> Plan:
    quick = {"rounds": 2, "visit_s": 1e-4, "min_samples": 2, "precision": 0.5, "threads": 1}
    return Plan(series=series or (SERIES,), **{**quick, **changes})


def law_value(law: str, case: Case) -> float:
    return float(case.seq_len**2 * case.d_model)


def sweep(plan: Plan, folder: Path, observer: Silent | None = None, resume: bool = False) -> Silent:
    shown = observer or Silent()
    Sweep(plan=plan, folder=folder, law_value=law_value, observer=shown, preset="tiny").run(
        resume=resume
    )
    return shown


def visits(records: tuple[Record, ...]) -> Counter[tuple[Any, ...]]:
    """How often each cell was visited in each round."""
    return Counter(
        (r.implementation, r.seq_len, r.d_model, r.is_causal, r.pass_, r.round) for r in records
    )


def statuses(records: tuple[Record, ...]) -> dict[tuple[str, int], set[str]]:
    found: dict[tuple[str, int], set[str]] = {}
    for record in records:
        found.setdefault((record.implementation, record.seq_len), set()).add(record.status)
    return found


@pytest.fixture(autouse=True)
def workers(direct_workers, monkeypatch):
    """Workers in this process, and a gate of four situations: these tests are not about it."""

    def few(*dtypes: Any, **options: Any) -> list[CheckCase]:
        return [one for one in check_cases(*dtypes, **options) if one.name in CHECKED]

    monkeypatch.setattr(gate, "check_cases", few)
    return direct_workers


def test_every_cell_is_visited_once_a_round_and_measured(tmp_path):
    shown = sweep(a_plan(), tmp_path / "run")

    records = read_run(tmp_path / "run").records
    assert set(visits(records).values()) == {1}
    assert len(records) == 2 * CELLS
    assert {record.round for record in records} == {0, 1}
    assert {record.status for record in records} == {"measured"}
    assert shown.started == (0, 2 * CELLS, 2)
    assert tuple(shown.seen) == records


def test_a_measured_record_has_everything_that_was_read(tmp_path):
    sweep(a_plan(), tmp_path)

    for record in read_run(tmp_path).records:
        assert record.samples_s is not None
        assert record.time_s is not None
        assert min(record.samples_s) == record.time_min_s <= record.time_s
        assert record.max_error is not None
        assert record.allowed_error is not None
        assert record.max_error <= record.allowed_error
        assert record.noisy == bool(record.noise_reasons)
        assert record.minor_faults is None or record.minor_faults >= 0
        assert (record.threads, record.claim) == (1, "n^2*d")
        assert record.flops == 4 * record.seq_len**2 * record.d_model
        assert record.canary_s is not None
        assert record.reason is None


def test_workspace_is_measured_once_for_every_cell(tmp_path, workers):
    sweep(a_plan(rounds=3), tmp_path)

    known = [r for r in read_run(tmp_path).records if r.workspace_bytes is not None]
    assert len(known) == CELLS
    assert set(visits(tuple(known)).values()) == {1}
    assert sum(request["with_workspace"] for request in workers.operations("measure")) == CELLS


def test_rounds_go_through_the_cells_in_orders_of_their_own(tmp_path):
    sweep(a_plan(rounds=3), tmp_path)

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


def test_the_same_seed_gives_the_same_order_and_another_seed_another(tmp_path):
    def order(name: str, seed: int) -> list[tuple[str, int, int]]:
        sweep(a_plan(rounds=1, seed=seed), tmp_path / name)
        records = read_run(tmp_path / name).records
        return [(r.implementation, r.seq_len, r.d_model) for r in records]

    assert order("a", 0) == order("b", 0) != order("c", 1)


def test_every_round_has_a_worker_of_its_own(tmp_path, workers):
    sweep(a_plan(rounds=3), tmp_path)

    by_round = {r.round: r.worker for r in read_run(tmp_path).records}
    assert len(set(by_round.values())) == 3
    assert workers.opened == 4


def test_the_gate_comes_before_every_timing(tmp_path, workers):
    sweep(a_plan(), tmp_path)

    operations = [operation for operation, _ in workers.asked]
    assert operations[0] == "describe"
    assert operations.index("pilot") > max(
        index for index, name in enumerate(operations) if name == "check"
    )
    assert operations.index("compare") > operations.index("check")
    checked = [(r["spec"], r["case"]["name"]) for r in workers.operations("check")]
    assert checked == [(name, case) for name in SERIES.implementations for case in CHECKED[:2]]


def test_run_json_tells_how_the_run_was_made(tmp_path):
    plan = a_plan(seed=3)

    sweep(plan, tmp_path)

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
    assert set(info["ceilings"]) == {"cpu/float32"}
    assert info["ceilings"]["cpu/float32"]["matmul_flops_per_s"] > 0


def test_the_best_ceiling_of_all_rounds_is_kept(tmp_path, workers):
    rates = iter([(3.0, 5.0), (2.0, 7.0)])

    def fault(operation: str, request: dict[str, Any]) -> dict[str, Any] | None:
        if operation != "ceiling":
            return None
        flops, copied = next(rates)
        return {"status": "done", "matmul_flops_per_s": flops, "copy_bytes_per_s": copied}

    workers.fault = fault
    sweep(a_plan(), tmp_path)

    assert read_info(tmp_path)["ceilings"]["cpu/float32"] == {
        "matmul_flops_per_s": 3.0,
        "copy_bytes_per_s": 7.0,
    }


def test_a_second_run_in_the_same_directory_is_refused(tmp_path):
    sweep(a_plan(), tmp_path)

    with pytest.raises(RunError, match="already holds a run; add --resume, or choose another"):
        sweep(a_plan(), tmp_path)


def test_a_directory_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").touch()

    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(RunError, match="cannot write there: ") as refusal:
            sweep(a_plan(), folder)
        assert str(refusal.value).startswith(f"--out {folder}")
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("torn", [1, 40, 200])
def test_resuming_after_a_kill_measures_what_is_missing_and_each_cell_once(tmp_path, workers, torn):
    sweep(a_plan(), tmp_path)
    journal = tmp_path / RECORDS_FILE
    lines = journal.read_bytes().splitlines(keepends=True)
    kept = 7
    journal.write_bytes(b"".join(lines[:kept]) + lines[kept][:torn])
    workers.asked.clear()

    shown = sweep(a_plan(), tmp_path, resume=True)

    records = read_run(tmp_path).records
    assert set(visits(records).values()) == {1}
    assert len(records) == 2 * CELLS
    assert shown.started == (kept, 2 * CELLS, 2)
    assert len(workers.operations("measure")) == 2 * CELLS - kept
    assert journal.read_bytes().startswith(b"".join(lines[:kept]))


def test_resuming_a_run_that_is_complete_measures_nothing(tmp_path, workers):
    sweep(a_plan(), tmp_path)
    before = (tmp_path / RECORDS_FILE).read_bytes()
    workers.asked.clear()

    sweep(a_plan(), tmp_path, resume=True)

    assert workers.operations("measure") == []
    assert (tmp_path / RECORDS_FILE).read_bytes() == before


def test_resuming_knows_the_workspaces_that_were_measured(tmp_path, workers):
    plan = a_plan(rounds=1)
    with pytest.raises(KeyboardInterrupt):
        sweep(plan, tmp_path, Interrupting(after=5))

    sweep(plan, tmp_path, resume=True)

    known = [r for r in read_run(tmp_path).records if r.workspace_bytes is not None]
    assert len(known) == CELLS


def test_resuming_with_another_plan_is_refused_and_names_what_differs(tmp_path):
    sweep(a_plan(), tmp_path)

    with pytest.raises(PlanError, match=r"made with other settings \(rounds, seed\)"):
        sweep(a_plan(rounds=3, seed=1), tmp_path, resume=True)
    other = replace(SERIES, seq_lens=(5, 7))
    with pytest.raises(PlanError, match=r"made with other settings \(series\)"):
        sweep(a_plan(other), tmp_path, resume=True)


def test_resuming_where_nothing_is_begins(tmp_path):
    sweep(a_plan(), tmp_path / "new", resume=True)

    assert len(read_run(tmp_path / "new").records) == 2 * CELLS


def test_an_interrupt_keeps_everything_measured_so_far(tmp_path):
    shown = Interrupting(after=9)

    with pytest.raises(KeyboardInterrupt):
        sweep(a_plan(), tmp_path, shown)

    assert read_run(tmp_path).records == tuple(shown.seen)
    assert len(shown.seen) == 9
    sweep(a_plan(), tmp_path, resume=True)
    assert set(visits(read_run(tmp_path).records).values()) == {1}


def test_a_run_that_another_process_writes_is_refused(tmp_path):
    pytest.importorskip("fcntl")
    sweep(a_plan(), tmp_path)

    with Journal(tmp_path), pytest.raises(RunError, match="is being written by another attnscale"):
        sweep(a_plan(), tmp_path, resume=True)


def test_a_wrong_kernel_is_incorrect_everywhere_and_never_timed(tmp_path, write, workers):
    path = write("kernels_wrong.py", KERNELS)
    series = replace(SERIES, implementations=("wrong", "matmul"))

    sweep(a_plan(series, specs=(f"{path}:wrong",)), tmp_path)

    records = read_run(tmp_path).records
    wrong = [r for r in records if r.implementation == "wrong"]
    assert {r.status for r in wrong} == {"incorrect"}
    for record in wrong:
        assert (record.time_s, record.samples_s, record.worker) == (None, None, None)
        assert record.reason is not None
        assert record.reason.startswith("wrong: output in case ")
        assert record.max_error is not None
        assert record.allowed_error is not None
        assert record.max_error > record.allowed_error
    assert {r.status for r in records if r.implementation == "matmul"} == {"measured"}
    timed = [r["spec"] for op, r in workers.asked if op in ("pilot", "measure")]
    assert set(timed) == {"matmul"}
    assert read_info(tmp_path)["verification"]["failures"][0].startswith("wrong: output in case")


def test_a_kernel_that_raises_at_one_size_crashes_there_and_nowhere_else(tmp_path, write):
    path = write("kernels_fragile.py", KERNELS)
    series = replace(SERIES, implementations=("fragile",), seq_lens=(4, 6, 8))

    sweep(a_plan(series, specs=(f"{path}:fragile",)), tmp_path)

    records = read_run(tmp_path).records
    assert statuses(records) == {
        ("fragile", 4): {"measured"},
        ("fragile", 6): {"crashed"},
        ("fragile", 8): {"measured"},
    }
    crashed = [r for r in records if r.status == "crashed"]
    assert {r.reason for r in crashed} == {"ValueError: six queries are too many"}
    assert set(visits(records).values()) == {1}


def test_a_cell_that_was_given_up_is_not_tried_again_but_stands_in_every_round(
    tmp_path, write, workers
):
    path = write("kernels_again.py", KERNELS)
    series = replace(SERIES, implementations=("fragile",), seq_lens=(4, 6), d_models=(22,))

    sweep(a_plan(series, rounds=3, specs=(f"{path}:fragile",)), tmp_path)

    tried = [r["case"]["seq_len"] for r in workers.operations("measure")]
    assert Counter(tried) == {4: 3, 6: 1}
    assert [r.round for r in read_run(tmp_path).records if r.status == "crashed"] == [0, 1, 2]


def test_what_an_implementation_does_not_support_is_recorded_with_the_reason(tmp_path, workers):
    series = [
        replace(SERIES, implementations=("loop",), pass_="forward_backward"),
        replace(SERIES, implementations=("sdpa_efficient",)),
    ]

    sweep(a_plan(*series, rounds=1), tmp_path)

    reasons = {r.implementation: (r.status, r.reason) for r in read_run(tmp_path).records}
    assert reasons == {
        "loop": ("unsupported", "loop does not support backward"),
        "sdpa_efficient": ("unsupported", "sdpa_efficient runs on cuda only"),
    }
    assert workers.operations("measure") == []


def test_an_unmeasurable_workspace_is_null_with_the_reason(tmp_path, workers):
    series = replace(SERIES, implementations=("loop",), seq_lens=(3, 5), d_models=(2,), num_heads=1)

    sweep(a_plan(series), tmp_path)

    for record in read_run(tmp_path).records:
        assert (record.status, record.workspace_bytes) == ("measured", None)
        assert "tensor allocator does not see" in str(record.reason)
    asked = [request["with_workspace"] for request in workers.operations("measure")]
    assert asked == [True, True, False, False]


@pytest.mark.parametrize("status", ["timeout", "out_of_memory"])
def test_a_loss_takes_larger_cells_with_it_and_the_sweep_goes_on(tmp_path, workers, status):
    def fault(operation: str, request: dict[str, Any]) -> None:
        case = request.get("case", {})
        if operation == "measure" and (request["spec"], case["seq_len"]) == ("matmul", 7):
            raise WorkerLost(status, "it was too much")

    workers.fault = fault
    sweep(a_plan(rounds=3), tmp_path)

    records = read_run(tmp_path).records
    found = statuses(records)
    assert found["matmul", 5] == {"measured"}
    assert status in found["matmul", 7] <= {status, "skipped"}
    assert found["matmul", 11] <= {"measured", "skipped"}
    assert {key: value for key, value in found.items() if key[0] == "sdpa"} == {
        ("sdpa", n): {"measured"} for n in (5, 7, 11)
    }
    for record in records:
        if record.status == "skipped":
            assert f"ended with {status}" in str(record.reason)
    # What had been measured before the loss goes on; what had not is not tried.
    for record in records:
        if (record.implementation, record.seq_len, record.round) == ("matmul", 11, 2):
            before = {
                r.status
                for r in records
                if (r.implementation, r.seq_len, r.d_model) == ("matmul", 11, record.d_model)
            }
            assert record.status == ("measured" if "measured" in before else "skipped")
    assert set(visits(records).values()) == {1}


def test_a_worker_that_is_replaced_has_a_number_of_its_own(tmp_path, workers):
    def fault(operation: str, request: dict[str, Any]) -> None:
        if operation == "measure" and len(workers.operations("measure")) == CELLS + 5:
            raise WorkerLost("crashed", "the worker exited with 3")

    workers.fault = fault
    sweep(a_plan(), tmp_path)

    first, second = ([r for r in read_run(tmp_path).records if r.round == n] for n in (0, 1))
    assert [r.status for r in second].index("crashed") == 4
    spans = [{r.worker for r in span} for span in (first, second[:5], second[5:])]
    assert [len(numbers) for numbers in spans] == [1, 1, 1]
    assert len(set.union(*spans)) == 3


def test_a_cell_predicted_to_take_too_long_is_skipped_and_says_so(tmp_path, workers):
    def fault(operation: str, request: dict[str, Any]) -> dict[str, Any] | None:
        if operation != "pilot":
            return None
        return {"status": "measured", "time_s": 0.1, "workspace_bytes": 0}

    workers.fault = fault
    series = replace(SERIES, seq_lens=(5, 500), d_models=(22,))
    sweep(a_plan(series, rounds=1, call_limit_s=0.2), tmp_path)

    skipped = [r for r in read_run(tmp_path).records if r.status == "skipped"]
    assert {r.seq_len for r in skipped} == {500}
    reasons = {str(r.reason) for r in skipped}
    assert "predicted 1e+03 s a call, over the limit of 0.2 s" in reasons
    # A smaller cell may have been measured by then, in a time of its own.
    assert all(re.fullmatch(r"predicted \S+ s a call, over the limit of 0.2 s", r) for r in reasons)
    assert {r["case"]["seq_len"] for r in workers.operations("pilot")} == {5}


def test_cells_that_do_not_fit_into_memory_are_skipped_and_say_so(tmp_path, monkeypatch, workers):
    monkeypatch.setattr(environment, "available_bytes", lambda: 2**20)
    series = replace(SERIES, seq_lens=(16, 4096), d_models=(22,))

    sweep(a_plan(series, rounds=1), tmp_path)

    found = read_run(tmp_path).records
    assert {r.seq_len for r in found if r.status == "measured"} == {16}
    reasons = {str(r.reason) for r in found if r.status == "skipped"}
    assert all("more than 80% of the 0.00098 GiB available" in reason for reason in reasons)
    assert {r["case"]["seq_len"] for r in workers.operations("measure")} == {16}


def test_a_lost_pilot_costs_larger_cells_only(tmp_path, workers):
    def fault(operation: str, request: dict[str, Any]) -> None:
        if operation == "pilot" and request["case"]["seq_len"] == 7:
            raise WorkerLost("timeout", "no answer within 30 s")

    workers.fault = fault
    sweep(a_plan(rounds=1), tmp_path)

    by_size = {
        (r.seq_len, r.d_model): r.status
        for r in read_run(tmp_path).records
        if r.implementation == "matmul"
    }
    # The pilots ran at (5, 22), (7, 33) and (11, 33).
    assert by_size.pop((11, 33)) == "skipped"
    assert set(by_size.values()) == {"measured"}


def test_a_pilot_that_runs_out_of_memory_by_itself_costs_larger_cells_too(tmp_path, workers):
    def fault(operation: str, request: dict[str, Any]) -> dict[str, Any] | None:
        if operation == "pilot" and request["case"]["seq_len"] == 7:
            return {"status": "out_of_memory", "reason": "no more"}
        return None

    workers.fault = fault
    sweep(a_plan(rounds=1), tmp_path)

    skipped = {(r.seq_len, r.d_model) for r in read_run(tmp_path).records if r.status == "skipped"}
    assert skipped == {(11, 33)}


def test_a_pilot_that_crashes_costs_no_other_cell(tmp_path, workers):
    def fault(operation: str, request: dict[str, Any]) -> None:
        if operation == "pilot" and request["case"]["seq_len"] == 7:
            raise WorkerLost("crashed", "the worker exited with 3")

    workers.fault = fault
    sweep(a_plan(rounds=1), tmp_path)

    assert {r.status for r in read_run(tmp_path).records} == {"measured"}


def test_a_worker_that_does_not_start_is_one_line(tmp_path, workers):
    def fault(operation: str, request: dict[str, Any]) -> None:
        raise WorkerLost("crashed", "the worker exited with 1: no module named torch")

    workers.fault = fault

    with pytest.raises(RunError, match="the measuring process did not start: the worker exited"):
        sweep(a_plan(), tmp_path)


def test_a_ceiling_that_cannot_be_measured_is_left_out(tmp_path, workers):
    def fault(operation: str, request: dict[str, Any]) -> None:
        if operation == "ceiling":
            raise WorkerLost("timeout", "no answer within 120 s")

    workers.fault = fault
    sweep(a_plan(), tmp_path)

    assert read_info(tmp_path)["ceilings"] == {}
    assert {r.status for r in read_run(tmp_path).records} == {"measured"}


def test_cuda_where_the_worker_sees_none_is_refused(tmp_path, workers):
    workers.fault = lambda operation, request: {"status": "done", "gpu": None, "threads": 1}

    with pytest.raises(PlanError, match="torch sees no CUDA device here"):
        sweep(a_plan(replace(SERIES, device="cuda")), tmp_path)


def test_masks_and_passes_are_measured_as_they_are_asked_for(tmp_path):
    series = [
        replace(SERIES, is_causal=True, pass_="forward_backward"),
        replace(SERIES, mask="boolean", dtype="bfloat16"),
    ]

    sweep(a_plan(*series, rounds=1), tmp_path)

    found = {(r.is_causal, r.pass_, r.mask, r.dtype) for r in read_run(tmp_path).records}
    assert found == {
        (True, "forward_backward", "none", "float32"),
        (False, "forward", "boolean", "bfloat16"),
    }
    assert set(read_info(tmp_path)["ceilings"]) == {"cpu/float32", "cpu/bfloat16"}


def test_a_journal_is_plain_json_lines_without_nan(tmp_path):
    sweep(a_plan(), tmp_path)

    for line in (tmp_path / RECORDS_FILE).read_text().splitlines():
        row = json.loads(line, parse_constant=lambda name: pytest.fail(name))
        assert row["pass"] == "forward"
        assert not any(isinstance(value, dict) for value in row.values())


def test_a_changed_kernel_is_not_mixed_into_a_run_of_the_old_one(tmp_path):
    info = {"implementations": {"mine": {"source_sha256": "old"}}}

    check_sources(info, {"mine": "old", "other": "new"}, tmp_path)
    with pytest.raises(PlanError, match="the file of mine has changed since"):
        check_sources(info, {"mine": "new"}, tmp_path)
