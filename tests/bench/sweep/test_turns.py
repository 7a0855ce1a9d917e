"""A turn on a simulated machine: first calls, passes, and one record a cell whatever happens."""

import json
import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from bench import records as records_module
from bench.checks.gate import Admission
from bench.plan.cells import cells_of
from bench.plan.plan import Plan, Series
from bench.process.supervisor import MOST_ENDINGS, ImportLost, WorkerEnded, WorkerLost
from bench.records import RECORDS_FILE, RunError, read_records
from bench.sweep.forecast import Forecast
from bench.sweep.history import History, visit_limit_s
from bench.sweep.journal import PART_FILE, Journal
from bench.sweep.turns import SHORTEST_LAST_LIMIT_S, Turns
from implementations.case import Case

SERIES = Series(
    implementations=("matmul", "sdpa"), seq_lens=(53, 71, 109), d_models=(13,), head_dim=13
)
LARGEST = replace(SERIES, seq_lens=(109,))
PLAN = Plan(series=(LARGEST, SERIES), seed=3, threads=1, call_limit_s=1.0)
NAMES = SERIES.implementations
PASSED = Admission(status="pass", max_error=0.25, allowed_error=1.0)
ONE_PASS, SOME_PASSES = 1e-9, 0.2


class Making:
    """Turns of one plan in one directory, made one after another by the same process."""

    def __init__(self, folder, machine, plan=PLAN, deadline=math.inf, **admissions) -> None:
        self.journal_file = folder / RECORDS_FILE
        self.part = folder / PART_FILE
        self.journal = Journal(folder)
        self.worker = machine()
        self.passes = 0
        self.interrupt_after = -1
        cells = cells_of(plan)
        self.turns = Turns(
            plan=plan,
            cells=cells,
            threads=1,
            journal=self.journal,
            history=History(Forecast(lambda law, case: float(case.seq_len**2 * case.d_model))),
            admissions={
                cell.key: admissions.get(cell.implementation.name, PASSED) for cell in cells
            },
            available_bytes=lambda case: 2.0**40,
            deadline=deadline,
            clock=machine.clock,
            on_pass=self._on_pass,
        )

    def _on_pass(self, number: int) -> None:
        self.passes += 1
        if self.passes == self.interrupt_after:
            raise KeyboardInterrupt

    def make(self, number=0, turn_s=SOME_PASSES):
        self.turns.make(number, self.worker, number % 3, turn_s)
        return [one for one in self.records() if one.round == number]

    def records(self):
        return list(read_records(self.journal_file))

    def kept_lines(self):
        return self.part.read_text().count("\n") if self.part.exists() else 0

    def recover(self):
        """What the next process of a run that was killed does first."""
        for record in self.records():
            self.turns.history.learn(record)
        self.turns.recover()

    def statuses(self):
        return {(one.implementation, one.seq_len): one.status for one in self.records()}


@pytest.fixture
def cheap(machine):
    return machine("cheap")


@pytest.fixture
def making(tmp_path, cheap):
    made = []

    def make(plan=PLAN, own=cheap, **options):
        for one in made:
            one.journal.close()  # as the end of a process does
        made.append(Making(tmp_path, own, plan, **options))
        return made[-1]

    yield make
    for one in made:
        one.journal.close()


def at(operation, spec="matmul", seq_len=71, *, times=math.inf, loss=None, answer=None):
    """A fault at one cell, so many times."""
    left = [times]

    def fault(asked, request):
        case = request.get("case", {})
        if (asked, request.get("spec"), case.get("seq_len")) != (operation, spec, seq_len):
            return None
        left[0] -= 1
        if left[0] < 0:
            return None
        if loss is not None:
            raise loss
        return answer

    return fault


def sizes(requests):
    return [(request["spec"], request["case"]["seq_len"]) for request in requests]


EVERY = Counter((name, n) for name in NAMES for n in SERIES.seq_lens)


def test_first_calls_come_once_a_run_those_with_least_work_first(making, cheap):
    made = making()
    for number in range(3):
        made.make(number, ONE_PASS)

    tried = sizes(cheap.operations("trial"))
    assert [n for _, n in tried] == [53, 53, 71, 71, 109, 109]
    assert Counter(tried) == EVERY
    operations = [operation for operation, _ in cheap.asked]
    assert operations[:8] == ["usage", *["trial"] * 6, "visit"]
    assert Counter(sizes(cheap.operations("visit"))) == dict.fromkeys(EVERY, 3)


def test_a_turn_lasts_so_long_and_ends_with_a_whole_pass(making, cheap):
    made = making()
    made.make(0, ONE_PASS)
    began = cheap.now

    made.make(1, 1.0)

    assert 1.0 <= cheap.now - began < 1.1
    assert made.passes > 10
    assert set(Counter(sizes(cheap.operations("visit"))).values()) == {made.passes}


def test_a_round_gives_one_record_a_cell_with_all_readings_in_order(making, cheap):
    made = making(replace(PLAN, energy=True))
    made.turns.records.fields = {
        cell.key: {"flops_executed": 19 * 2**40} for cell in made.turns.cells
    }

    first, second = made.make(0), made.make(1)

    for found in (first, second):
        assert Counter((one.implementation, one.seq_len) for one in found) == EVERY
    for one, other in zip(first, second, strict=True):
        assert (one.status, one.threads, one.worker, other.worker) == ("measured", 1, 0, 1)
        assert (one.max_error, one.allowed_error, one.flops_executed) == (0.25, 1.0, 19 * 2**40)
        # The machine tells each reading a little longer than the last.
        both = (*one.samples_s, *other.samples_s)
        assert len(both) == made.passes + 1
        assert all(earlier < later for earlier, later in pairwise(both))
        # The first call's alone.
        assert (one.workspace_bytes, one.energy_j) == (8 * one.seq_len, 2.5)
        assert (other.workspace_bytes, other.energy_j) == (None, None)
    assert not made.part.exists()


def test_energy_is_asked_for_where_the_plan_does_and_the_workspace_goes_with_each_visit(
    making, cheap
):
    making().make(0, ONE_PASS)

    assert not any(request["with_energy"] for request in cheap.operations("trial"))
    for request in cheap.operations("visit"):
        assert request["workspace_bytes"] == 8 * request["case"]["seq_len"]
        assert request["seed"] == 3


def test_the_last_pass_of_a_turn_is_checked_throughout_and_some_readings_before_it(making, cheap):
    made = making()
    made.make(0, 1.0)

    checked = [request["check"] for request in cheap.operations("visit")]
    before, last = checked[: -len(EVERY)], checked[-len(EVERY) :]
    assert all(last)
    assert 0.02 < sum(before) / len(before) < 0.3


@pytest.mark.parametrize("status", ["incorrect", "implausible"])
def test_a_cell_that_is_found_wrong_while_it_is_timed_loses_the_times_it_had(making, cheap, status):
    made = making()
    made.make(0)
    cheap.fault = at("visit", answer={"status": status, "reason": "row 3 is off"})
    made.make(1)
    cheap.fault = lambda *_: None
    made.make(2)

    wrong = [one for one in read_records(made.journal_file) if one.status == status]
    assert {(one.implementation, one.seq_len) for one in wrong} == {("matmul", 71)}
    assert {one.round for one in wrong} == {0, 1}  # it was not asked again
    assert {(one.time_s, one.samples_s, one.reason) for one in wrong} == {
        (None, None, "row 3 is off")
    }


def test_readings_that_beat_the_machine_are_implausible_and_not_taken_again(making, cheap):
    made = making()
    made.turns.records.ceilings = {"cpu/float32": {"matmul_flops_per_s": 1.0}}

    found = made.make(0)

    assert {one.status for one in found} == {"implausible"}
    assert all("this machine's products reach" in one.reason for one in found)
    assert made.turns.admitted() == []


def test_why_an_instrument_gave_nothing_is_kept_once(making, cheap):
    made = making()
    cheap.fault = at(
        "visit",
        answer={"status": "measured", "time_s": 1.0, "calls": 1}
        | {"graph_reason": "it waits for the GPU"},
    )

    made.make()

    assert made.turns.missing == {"graph_time_s": "matmul: it waits for the GPU"}


@pytest.mark.parametrize("operation", ["trial", "visit"])
@pytest.mark.parametrize(
    ("fault", "status", "reason", "processes"),
    [
        ({"loss": WorkerLost("crashed", "died of SIGSEGV")}, "crashed", "died of SIGSEGV", 2),
        ({"loss": WorkerLost("timeout", "no answer")}, "timeout", "no answer", 2),
        (
            {"answer": {"status": "crashed", "reason": "ValueError: x"}},
            "crashed",
            "ValueError: x",
            1,
        ),
        ({"answer": {"status": "incorrect", "reason": "not finite"}}, "incorrect", "not finite", 1),
        ({"answer": {"status": "unsupported", "reason": "no"}}, "unsupported", "no", 1),
    ],
)
def test_a_loss_costs_its_own_cell_and_the_others_go_on_in_a_new_process(
    making, cheap, operation, fault, status, reason, processes
):
    made = making()
    cheap.fault = at(operation, seq_len=109, times=1, **fault)

    found = made.make(0, ONE_PASS)

    (lost,) = (one for one in found if one.status != "measured")
    assert (lost.implementation, lost.seq_len) == ("matmul", 109)
    assert (lost.status, lost.reason, lost.time_s, lost.worker) == (status, reason, None, 0)
    assert made.worker.started == processes
    others = {cell: 1 for cell in EVERY if cell != ("matmul", 109)}
    assert Counter(sizes(cheap.operations("visit"))) - Counter({("matmul", 109): 9}) == others
    assert {len(one.samples_s) for one in found if one is not lost} - {1} == {2}


def test_a_cell_that_was_never_read_is_given_up_and_one_that_was_with_its_second_loss(
    making, cheap
):
    made = making()
    cheap.fault = at("trial", loss=WorkerLost("crashed", "gone"))
    made.make(0, ONE_PASS)
    cheap.fault = at("visit", spec="sdpa", loss=WorkerLost("crashed", "gone"))
    for number in (1, 2, 3):
        made.make(number, ONE_PASS)

    lost = [(r.implementation, r.round) for r in made.records() if r.status == "crashed"]
    assert lost == [("matmul", 0), ("sdpa", 1), ("sdpa", 2)]
    assert sizes(cheap.operations("trial")).count(("matmul", 71)) == 1
    assert sizes(cheap.operations("visit")).count(("sdpa", 71)) == 3
    assert len(made.turns.ready()) == len(EVERY) - 2


def test_a_cell_that_runs_out_of_memory_leaves_its_heap_to_nobody(making, cheap):
    made = making()
    made.make(0, ONE_PASS)
    cheap.fault = at("visit", times=1, answer={"status": "out_of_memory", "reason": "no more"})

    found = made.make(1, ONE_PASS)

    assert Counter(one.status for one in found) == {"measured": 5, "out_of_memory": 1}
    assert made.worker.started == 2


@pytest.mark.parametrize("status", ["timeout", "out_of_memory"])
def test_what_a_first_call_ran_out_of_larger_cells_of_its_kind_are_not_tried_for(
    making, cheap, status
):
    made = making()
    cheap.fault = at("trial", answer={"status": status, "reason": "it was too much"})
    for number in range(2):
        made.make(number, ONE_PASS)

    made.turns.leave_out("the sweep took 7 s")
    made.turns.leave_out("the sweep took 9 s")

    assert made.statuses() == {
        ("matmul", 53): "measured",
        ("matmul", 71): status,
        ("matmul", 109): "skipped",
        **{("sdpa", n): "measured" for n in SERIES.seq_lens},
    }
    (skipped,) = (one for one in made.records() if one.status == "skipped")
    assert (
        f"a smaller cell, {Case(seq_len=71, num_heads=1, head_dim=13)}, ended with {status}"
        == skipped.reason
    )
    # After an allocation that failed what is left of the heap is nobody's measure.
    assert made.worker.started == (2 if status == "out_of_memory" else 1)


def test_what_the_gate_refuses_is_never_called_and_has_one_record(making, cheap):
    refused = Admission(status="incorrect", reason="output", max_error=7.0, allowed_error=1.0)
    made = making(matmul=refused)
    made.make()

    for _ in range(2):
        made.turns.leave_out("the sweep took 7 s")

    assert {request["spec"] for request in cheap.operations("trial", "visit")} == {"sdpa"}
    found = [one for one in made.records() if one.implementation == "matmul"]
    assert sorted(one.seq_len for one in found) == [53, 71, 109]
    assert {(one.status, one.reason, one.max_error, one.worker) for one in found} == {
        ("incorrect", "output", 7.0, None)
    }


def test_a_cell_that_takes_too_long_is_skipped_with_the_prediction_as_reason(making, machine):
    made = making(replace(PLAN, call_limit_s=0.2), machine(1e-5))
    made.make(0, ONE_PASS)

    made.turns.leave_out("the sweep took 7 s")

    reasons = {one.seq_len: one.reason for one in made.records() if one.status == "skipped"}
    assert reasons == {
        n: f"predicted {s} s a call, over the limit of 0.2 s" for n, s in ((71, 0.66), (109, 1.5))
    }


@pytest.mark.parametrize("recovered", [False, True])
def test_cells_of_an_open_series_that_are_too_large_leave_no_record_and_are_looked_at_again(
    making, cheap, recovered
):
    plan = replace(PLAN, series=(replace(SERIES, open_ended=True),), call_limit_s=1e-2)
    made = making(plan)
    cheap.slowed = lambda spec, case: 1e4 if spec == "matmul" else 1.0  # by something else
    made.make(0, ONE_PASS)
    made.turns.leave_out("the sweep took 7 s")
    assert set(made.turns.left_out) == {
        cell.key for cell in made.turns.cells if cell.key[0] == "matmul" and cell.case.seq_len > 53
    }
    assert all("over the limit" in reason for reason in made.turns.left_out.values())
    assert ("matmul", 71) not in made.statuses()
    if recovered:  # a run that is resumed when nothing is left to measure makes no turn
        made = making(plan)
        made.recover()
        made.turns.leave_out("the sweep took 9 s")
        assert ("matmul", 71) not in made.statuses()

    cheap.slowed = lambda spec, case: 1.0
    for number in (1, 2):
        made.make(number, ONE_PASS)

    assert made.turns.left_out == {}
    assert set(made.statuses()) == set(EVERY)


def test_a_process_that_was_ended_from_outside_is_not_blamed_on_its_cell(making, cheap):
    made = making()
    ended = WorkerEnded("crashed", "SIGKILL ended the worker 3 times")
    cheap.fault = at("visit", times=MOST_ENDINGS - 1, loss=ended)

    found = made.make(0, 10.0)

    assert {one.status for one in found} == {"measured"}
    assert made.worker.started == MOST_ENDINGS
    read = {(one.implementation, one.seq_len): len(one.samples_s) for one in found}
    assert read.pop(("matmul", 71)) == made.passes + 1 - (MOST_ENDINGS - 1)
    assert set(read.values()) == {made.passes + 1}


def test_a_process_that_is_ended_again_and_again_is_in_the_end_blamed_on_its_cell(making, cheap):
    made = making()
    cheap.fault = at("trial", loss=WorkerEnded("crashed", "SIGKILL ended the worker 3 times"))

    for number in range(MOST_ENDINGS):
        assert made.turns.admitted() == made.turns.cells
        made.make(number, ONE_PASS)

    (lost,) = (one for one in made.records() if one.status != "measured")
    assert (lost.seq_len, lost.round, lost.status) == (71, MOST_ENDINGS - 1, "crashed")


@pytest.mark.parametrize("operation", ["trial", "visit"])
def test_a_timeout_at_the_deadline_blames_nobody_and_nobody_is_waited_for_beyond(
    making, cheap, operation
):
    deadline = cheap.now + 20.0
    made = making(deadline=deadline)
    if operation == "visit":
        made.make(0, ONE_PASS)
    cheap.slowed = lambda spec, case: math.inf

    made.make(1, 60.0)

    assert {one.status for one in made.records()} <= {"measured"}
    assert made.turns.admitted() == made.turns.cells
    # A last process may have been started, to tell of the load.
    assert deadline <= cheap.now < deadline + SHORTEST_LAST_LIMIT_S + 1.1 * cheap.START_S


def test_a_kernel_that_hangs_is_given_up_after_a_while_and_near_the_deadline_sooner(making, cheap):
    made = making(deadline=cheap.now + 500.0)
    made.make(0, ONE_PASS)
    cheap.now += 470.0
    made.make(1, ONE_PASS)
    cheap.now = 1499.9
    made.make(2, ONE_PASS)

    limits = [limit for limit in made.worker.limits if limit != 30.0]
    assert limits[0] == visit_limit_s(PLAN) == 100.0
    assert any(20.0 < limit < 30.0 for limit in limits)
    assert limits[-1] == SHORTEST_LAST_LIMIT_S


def test_first_calls_that_do_not_fit_into_the_time_left_are_not_made(making, machine):
    own = machine(1e-6)
    made = making(own=own, deadline=own.now + 3.5)

    made.make(0, 60.0)
    made.turns.leave_out("the sweep took 3 s; give it more")

    assert own.now <= 1003.5
    reasons = {one.reason for one in made.records() if one.status == "skipped"}
    assert reasons == {"no time was left for it: the sweep took 3 s; give it more"}
    assert [one.seq_len for one in made.records() if one.status == "measured"]


@pytest.mark.parametrize("passes", [1, 3])
def test_an_interrupt_passes_through_once_all_that_was_read_is_written(making, cheap, passes):
    made = making()
    made.interrupt_after = passes

    with pytest.raises(KeyboardInterrupt):
        made.make()

    assert {len(one.samples_s) for one in made.records()} == {passes + 1}
    assert set(made.statuses()) == set(EVERY)
    assert not made.part.exists()


def test_of_a_long_pass_some_seconds_are_asked_for_and_kept_at_a_time(making, machine):
    own = machine(1e-5)  # 0.4, 0.7 and 1.5 s a call
    made = making(replace(PLAN, call_limit_s=10.0), own)
    made.make(0, ONE_PASS)
    kept = []
    own.slowed = lambda spec, case: kept.append(made.kept_lines()) or 1.0

    made.make(1, ONE_PASS)

    assert len(kept) == len(EVERY)
    assert sorted(set(kept)) in ([0, 1], [0, 1, 2])


def test_an_interrupt_in_the_middle_of_a_pass_keeps_the_readings_of_that_pass(making, cheap):
    made = making()
    made.make(0, ONE_PASS)
    cheap.fault = at("visit", loss=KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt):
        made.make(1, ONE_PASS)

    read = sizes(cheap.operations("visit"))[len(EVERY) : -1]
    assert sorted(read) == sorted(
        (one.implementation, one.seq_len) for one in made.records() if one.round == 1
    )


def test_a_disk_that_is_full_does_not_hide_the_interrupt(making, monkeypatch):
    made = making()
    made.interrupt_after = 1

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records_module.os, "fsync", full)
    with pytest.raises(KeyboardInterrupt):
        made.make()


def never(*_, **__):
    raise RunError("killed before")


@pytest.fixture
def killed(making, cheap, monkeypatch):
    """Turns of a process that was killed in its second round; what the journal kept of that."""
    made = making()
    made.make(0, ONE_PASS)
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", never)
        with pytest.raises(RunError):
            made.make(1)
    return made


def kept_readings(made):
    """Readings by cell, in order, as records keep them."""
    found = {}
    for line in made.part.read_text().splitlines():
        with_places = json.loads(line)["answers"]
        for place, answer in with_places:
            key = made.turns.cells[place].key
            found.setdefault(key, []).append(float(f"{answer['time_s']:.5g}"))
    return found


def test_what_was_kept_of_a_round_that_was_cut_off_becomes_its_records_once(killed, making):
    kept, before = kept_readings(killed), killed.journal_file.read_bytes()
    assert {len(one) for one in kept.values()} == {killed.passes - 1}

    for _ in range(2):
        resumed = making()
        resumed.recover()

    assert not resumed.part.exists()
    assert resumed.journal_file.read_bytes().startswith(before)
    found = [one for one in resumed.records() if one.round == 1]
    assert {
        cell.key: list(one.samples_s) for cell, one in zip(resumed.turns.cells, found, strict=True)
    } == kept
    assert {(one.status, one.worker) for one in found} == {("measured", 1)}
    assert resumed.turns.history.newest_round == 1
    assert resumed.turns.ready() == resumed.turns.cells


def test_a_loss_in_the_middle_of_a_round_leaves_what_was_kept_of_it(making, cheap, monkeypatch):
    made = making()
    made.make(0, ONE_PASS)
    made.interrupt_after = made.passes + 3
    once = at("visit", times=1, loss=WorkerLost("crashed", "gone"))
    cheap.fault = lambda *asked: once(*asked) if made.passes == 2 else None
    with monkeypatch.context() as patch:
        patch.setattr(Turns, "_write", never)
        with pytest.raises(KeyboardInterrupt):
            made.make(1, 10.0)

    resumed = making()
    resumed.recover()

    lost, *found = (one for one in resumed.records() if one.round == 1)
    assert (lost.status, lost.implementation, lost.seq_len) == ("crashed", "matmul", 71)
    assert {(one.implementation, one.seq_len): len(one.samples_s) for one in found} == {
        cell: 2 if cell == ("matmul", 71) else 3 for cell in EVERY
    }


def test_a_kill_between_the_records_and_the_end_of_the_round_doubles_nothing(killed, making):
    part = killed.part.read_bytes()
    making().recover()
    killed.part.write_bytes(part)
    before = killed.journal_file.read_bytes()

    making().recover()

    assert killed.journal_file.read_bytes() == before
    assert not killed.part.exists()


def test_first_calls_that_a_kill_cut_off_are_known_with_their_workspace(making, cheap, monkeypatch):
    made = making()
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", never)
        cheap.fault = at("trial", seq_len=109, loss=KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            made.make()
    cheap.fault = lambda *_: None
    tried = len(cheap.operations("trial")) - 1

    resumed = making()
    resumed.recover()
    resumed.make(1, ONE_PASS)

    first = [one for one in resumed.records() if one.round == 0]
    assert [one.workspace_bytes for one in first] == [8 * one.seq_len for one in first]
    assert len(first) == tried >= 4
    assert Counter(sizes(cheap.operations("trial"))) == EVERY | Counter({("matmul", 109): 2})


def test_the_load_of_a_round_is_that_of_one_process_or_nobodys(making, cheap):
    made = making()
    (loaded, *_) = made.make(0)
    cheap.fault = at("visit", times=1, loss=WorkerLost("crashed", "gone"))
    replaced = made.make(1)[-1]

    assert (loaded.waiting_share, replaced.waiting_share) == (0.0, None)


def test_a_worker_that_tells_nothing_of_itself_is_measured_with_all_the_same(making, cheap):
    def fault(operation, request):
        if operation in ("usage", "rest"):
            raise WorkerLost("timeout", "no answer")

    cheap.fault = fault
    found = making().make()

    assert {(one.status, one.waiting_share) for one in found} == {("measured", None)}


def test_after_a_turn_a_gpu_may_rest_and_a_processor_needs_no_rest(making, cheap):
    making().make(0, ONE_PASS)
    assert cheap.operations("rest") == []

    both = (SERIES, replace(SERIES, device="cuda"))
    making(replace(PLAN, series=both)).make(0, ONE_PASS)
    assert cheap.operations("rest") == [{"device": "cuda"}]


def test_a_sweep_can_ask_whether_it_is_worth_while_to_go_on(making, cheap):
    made = making()
    assert (made.turns.may_still_be_tried(), made.turns.fits(1.0)) == (True, False)
    assert made.turns.fewest_readings() == 0
    cheap.fault = at("visit", times=1, answer={"status": "crashed", "reason": "once"})
    made.make(0, ONE_PASS)

    assert not made.turns.may_still_be_tried()
    assert [made.turns.fits(left_s) for left_s in (1e-3, 1e-2)] == [False, True]
    assert made.turns.fewest_readings() == 1


@pytest.mark.parametrize("operation", ["trial", "visit"])
def test_a_kernel_that_one_process_cannot_import_is_lost_there_once_and_measured_by_others(
    making, cheap, operation
):
    turns = making()
    if operation == "visit":
        turns.make(0)
    bad = 0 if operation == "trial" else 1

    def fault(asked, request):
        if request.get("spec") == "matmul" and cheap.number == bad:
            raise ImportLost("timeout", "importing it did not end")

    cheap.fault = fault
    for number in range(bad, bad + 3):
        cheap.number = number
        turns.make(number)

    found = Counter(
        (one.status, one.reason, one.round)
        for one in turns.records()
        if one.implementation == "matmul"
    )
    measured = {("measured", None, number): 3 for number in range(bad + 3) if number != bad}
    assert found == {("timeout", "importing it did not end", bad): 3, **measured}
    others = Counter(one.round for one in turns.records() if one.implementation == "sdpa")
    assert others == dict.fromkeys(range(bad + 3), 3)
