"""A sweep that was interrupted or killed goes on, and never mixes what does not belong together."""

from dataclasses import replace

import pytest

from bench.cases import PlanError
from bench.records import RECORDS_FILE, RunError, read_info, read_run, write_info
from bench.run_directory import check_sources
from bench.sweep.journal import Journal


def test_a_second_run_in_the_same_directory_is_refused(tmp_path, sweeps):
    sweeps.run(sweeps.plan(rounds=1), tmp_path)

    with pytest.raises(RunError, match="already holds a run; add --resume, or choose another"):
        sweeps.run(sweeps.plan(rounds=1), tmp_path)


@pytest.mark.parametrize("torn", [1, 40, 200])
def test_resuming_after_a_kill_measures_what_is_missing_and_each_cell_once(tmp_path, sweeps, torn):
    sweeps.run(sweeps.plan(), tmp_path)
    journal = tmp_path / RECORDS_FILE
    lines = journal.read_bytes().splitlines(keepends=True)
    kept = 7
    journal.write_bytes(b"".join(lines[:kept]) + lines[kept][:torn])
    sweeps.workers.asked.clear()

    shown = sweeps.run(sweeps.plan(), tmp_path, resume=True)

    records = read_run(tmp_path).records
    assert set(sweeps.visits(records).values()) == {1}
    assert len(records) == 3 * sweeps.cells
    assert shown.started == (kept, 3 * sweeps.cells)
    assert len(sweeps.workers.operations("measure")) == 3 * sweeps.cells - kept
    assert journal.read_bytes().startswith(b"".join(lines[:kept]))


def test_the_workers_of_a_round_that_is_resumed_have_numbers_of_their_own(tmp_path, sweeps):
    with pytest.raises(KeyboardInterrupt):
        sweeps.run(sweeps.plan(), tmp_path, sweeps.observer(interrupt_after=5))

    sweeps.run(sweeps.plan(), tmp_path, resume=True)

    first = [record.worker for record in read_run(tmp_path).records if record.round == 0]
    assert len(set(first[:5])) == len(set(first[5:])) == 1
    assert first[0] != first[-1]


def test_resuming_a_run_that_is_complete_measures_nothing(tmp_path, sweeps):
    sweeps.run(sweeps.plan(rounds=1), tmp_path)
    before = (tmp_path / RECORDS_FILE).read_bytes()
    sweeps.workers.asked.clear()

    shown = sweeps.run(sweeps.plan(rounds=1), tmp_path, resume=True)

    assert shown.phases[-1] == "nothing is left to measure: all rounds were made"
    assert sweeps.workers.operations("measure") == []
    assert sweeps.workers.operations("pilot") == []
    assert (tmp_path / RECORDS_FILE).read_bytes() == before


def test_resuming_knows_the_workspaces_that_were_measured(tmp_path, sweeps):
    plan = sweeps.plan(rounds=1)
    with pytest.raises(KeyboardInterrupt):
        sweeps.run(plan, tmp_path, sweeps.observer(interrupt_after=5))

    sweeps.run(plan, tmp_path, resume=True)

    known = [r for r in read_run(tmp_path).records if r.workspace_bytes is not None]
    assert len(known) == sweeps.cells


def test_resuming_with_another_plan_is_refused_and_names_what_differs(tmp_path, sweeps):
    sweeps.run(sweeps.plan(rounds=1), tmp_path)

    with pytest.raises(PlanError, match="made with other settings: rounds 1 there, 3 asked for; "):
        sweeps.run(sweeps.plan(rounds=3), tmp_path, resume=True)
    other = replace(sweeps.series, seq_lens=(5, 7))
    with pytest.raises(PlanError, match=r"series 1: seq_lens 5,7,11 there, 5,7 asked for; "):
        sweeps.run(sweeps.plan(other, rounds=1), tmp_path, resume=True)


@pytest.mark.parametrize(
    ("part", "name", "shown"),
    [
        ("machine", "cpu", "measured with cpu another, here it is "),
        ("machine", "gpu", "measured with gpu another, here it is "),
        ("versions", "torch", "measured with torch another, here it is "),
    ],
)
def test_resuming_on_another_machine_is_refused_and_names_both(tmp_path, sweeps, part, name, shown):
    sweeps.run(sweeps.plan(rounds=1), tmp_path)
    info = read_info(tmp_path)
    write_info(tmp_path, {**info, part: {**info[part], name: "another"}})
    before = (tmp_path / RECORDS_FILE).read_bytes()

    with pytest.raises(PlanError, match=shown) as refusal:
        sweeps.run(sweeps.plan(rounds=1), tmp_path, resume=True)

    assert "choose another --out" in str(refusal.value)
    assert (tmp_path / RECORDS_FILE).read_bytes() == before


def test_resuming_where_nothing_is_begins(tmp_path, sweeps):
    sweeps.run(sweeps.plan(rounds=1), tmp_path / "new", resume=True)

    assert len(read_run(tmp_path / "new").records) == sweeps.cells


def test_an_interrupt_keeps_everything_measured_so_far(tmp_path, sweeps):
    shown = sweeps.observer(interrupt_after=9)

    with pytest.raises(KeyboardInterrupt):
        sweeps.run(sweeps.plan(), tmp_path, shown)

    assert read_run(tmp_path).records == tuple(shown.seen)
    assert len(shown.seen) == 9
    sweeps.run(sweeps.plan(), tmp_path, resume=True)
    assert set(sweeps.visits(read_run(tmp_path).records).values()) == {1}


def test_a_run_that_another_process_writes_is_refused(tmp_path, sweeps):
    pytest.importorskip("fcntl")
    sweeps.run(sweeps.plan(rounds=1), tmp_path)

    with Journal(tmp_path), pytest.raises(RunError, match="is being written by another attnscale"):
        sweeps.run(sweeps.plan(rounds=1), tmp_path, resume=True)


def test_a_directory_that_is_removed_in_the_middle_ends_the_sweep_with_one_line(tmp_path, sweeps):
    class Removing(type(sweeps.observer())):
        def visit(self, cell, record, left_s):
            super().visit(cell, record, left_s)
            (tmp_path / RECORDS_FILE).unlink()

    with pytest.raises(RunError, match=r"records\.jsonl was removed while it was written") as end:
        sweeps.run(sweeps.plan(rounds=1), tmp_path, Removing())

    assert "\n" not in str(end.value)


def test_a_changed_kernel_is_not_mixed_into_a_run_of_the_old_one(tmp_path):
    info = {"implementations": {"mine": {"source_sha256": "old"}}}

    check_sources(info, {"mine": "old", "other": "new"}, tmp_path)
    with pytest.raises(PlanError, match="the file of mine has changed since"):
        check_sources(info, {"mine": "new"}, tmp_path)


def test_a_kernel_that_was_edited_is_not_measured_into_the_old_run(tmp_path, sweeps, write):
    kernel = "def mine(query, key, value):\n    return matmul(query, key, value)\n"
    text = "from implementations.attention.matmul import matmul\n" + kernel
    path = write("kernel_that_changes.py", text)
    series = replace(sweeps.series, implementations=("mine",), seq_lens=(5,))
    plan = sweeps.plan(series, rounds=1, specs=(f"{path}:mine",))
    sweeps.run(plan, tmp_path / "run")

    path.write_text(text + "# and now another one\n")

    with pytest.raises(PlanError, match="the file of mine has changed since"):
        sweeps.run(plan, tmp_path / "run", resume=True)
