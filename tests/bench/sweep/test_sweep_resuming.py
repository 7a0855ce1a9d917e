"""A sweep that was interrupted or killed goes on, and never mixes what does not belong together."""

from collections import Counter
from dataclasses import replace

import pytest

from bench.plan.plan import PlanError
from bench.plan.run_directory import check_sources
from bench.records import RECORDS_FILE, RunError, read_info, read_run
from bench.sweep.journal import Journal


def test_a_second_run_in_the_same_directory_is_refused(tmp_path, sweeps):
    sweeps.run(sweeps.plan(rounds=1), tmp_path)

    with pytest.raises(RunError, match="already holds a run; add --resume, or choose another"):
        sweeps.run(sweeps.plan(rounds=1), tmp_path)


def test_resuming_where_nothing_is_is_refused_and_begins_nothing(tmp_path, sweeps):
    with pytest.raises(RunError, match=r"holds no run to resume, since there is no such directory"):
        sweeps.run(sweeps.plan(rounds=1), tmp_path / "new", resume=True)

    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("open_ended", [False, True])
def test_resuming_a_run_that_is_complete_measures_nothing_and_writes_nothing(
    tmp_path, sweeps, open_ended
):
    series = replace(sweeps.series, seq_lens=(5, 2**20), d_models=(22,), open_ended=open_ended)
    plan = sweeps.plan(series, rounds=1, call_limit_s=1.0)
    sweeps.run(plan, tmp_path)
    before = (tmp_path / RECORDS_FILE).read_bytes()
    assert before.count(b"\n") == (2 if open_ended else 4)
    sweeps.workers.asked.clear()

    shown = sweeps.run(plan, tmp_path, resume=True)

    assert shown.phases[-1] == "nothing is left to measure: all rounds were made"
    assert not {operation for operation, _ in sweeps.workers.asked} & {"trial", "visit", "count"}
    assert (tmp_path / RECORDS_FILE).read_bytes() == before


def test_what_was_counted_before_is_kept_where_no_time_is_left_to_count_again(tmp_path, sweeps):
    texts = {"matmul": "first", "sdpa": "first"}

    def fault(operation, request):
        if operation != "workspace_law":
            return None
        text = texts[request["spec"]]
        law = {"text": text, "terms": [], "valid": {}} if text else None
        return {"status": "done", "law": law}

    sweeps.workers.fault = fault
    with pytest.raises(KeyboardInterrupt):
        sweeps.run(sweeps.plan(), tmp_path, interrupt_at=3)
    texts |= {"matmul": "", "sdpa": "second"}
    sweeps.run(sweeps.plan(), tmp_path, resume=True)

    laws = read_info(tmp_path)["workspace_laws"]
    assert {law["implementation"]: law["text"] for law in laws} == {
        "matmul": "first",
        "sdpa": "second",
    }


# Of the calls of an observer: one before each turn, one after each of its passes.
@pytest.mark.parametrize(("at", "kept", "torn"), [(1, 0, 0), (2, 1, 1), (3, 1, 200), (6, 3, 40)])
def test_an_interrupted_sweep_keeps_what_it_read_and_makes_as_many_whole_rounds_as_were_asked_for(
    tmp_path, sweeps, at, kept, torn
):
    with pytest.raises(KeyboardInterrupt):
        sweeps.run(sweeps.plan(), tmp_path, interrupt_at=at)
    journal = tmp_path / RECORDS_FILE
    before = journal.read_bytes()
    assert before.count(b"\n") == kept * sweeps.cells
    assert read_info(tmp_path)["schedule"]["rounds"] == (at - 1) // 2
    journal.write_bytes(before + before[:torn].rstrip(b"\n"))

    sweeps.run(sweeps.plan(), tmp_path, resume=True)

    records = read_run(tmp_path).records
    assert journal.read_bytes().startswith(before)
    assert sweeps.once_a_round(records)
    assert {r.status for r in records} == {"measured"}
    cut_short = at % 2 == 0  # in the middle of a turn
    rounds = Counter(r.round for r in records)
    assert rounds == dict.fromkeys(range(3 + cut_short), sweeps.cells)
    schedule = read_info(tmp_path)["schedule"]
    assert (schedule["rounds"], schedule["ended"]) == (3, "all rounds were made")
    # First calls are made once a run.
    known = [r for r in records if r.workspace_bytes is not None]
    assert len(known) == len(sweeps.workers.operations("trial")) == sweeps.cells


def test_what_a_kill_left_of_a_round_is_written_before_measuring_goes_on(
    tmp_path, sweeps, kept_readings, monkeypatch
):
    def killed(*_, **__):
        raise RunError("killed before anything was written")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", killed)
        with pytest.raises(RunError, match="killed before"):
            sweeps.run(sweeps.plan(rounds=1), tmp_path)
    kept = kept_readings(tmp_path)
    assert {len(times) for times in kept.values()} == {2}

    sweeps.run(sweeps.plan(rounds=1), tmp_path, resume=True)

    records = read_run(tmp_path).records
    assert Counter(r.round for r in records) == {0: sweeps.cells, 1: sweeps.cells}
    found = {(r.implementation, r.seq_len, r.d_model, r.round): r.samples_s for r in records}
    assert kept.items() <= found.items()
    assert len(sweeps.workers.operations("trial")) == sweeps.cells


def test_a_changed_kernel_is_not_mixed_into_a_run_of_the_old_one(tmp_path, sweeps, write):
    info = {"implementations": {"mine": {"source_sha256": "old"}}}
    other = {"other": {"source_sha256": "new"}, "builtin": {"source_sha256": None}}
    check_sources(info, {**info["implementations"], **other}, tmp_path)
    with pytest.raises(PlanError, match="the file of mine has changed since"):
        check_sources(info, {"mine": {"source_sha256": "new"}}, tmp_path)

    kernel = "def mine(query, key, value):\n    return matmul(query, key, value)\n"
    text = "from implementations.attention.matmul import matmul\n" + kernel
    path = write("kernel_that_changes.py", text)
    series = replace(sweeps.series, implementations=("mine",), seq_lens=(5,))
    plan = sweeps.plan(series, rounds=1, specs=(f"{path}:mine",))
    sweeps.run(plan, tmp_path / "run")

    path.write_text(text + "# and now another one\n")

    with pytest.raises(PlanError, match="the file of mine has changed since"):
        sweeps.run(plan, tmp_path / "run", resume=True)
