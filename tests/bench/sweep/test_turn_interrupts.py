"""Interrupts and kills in a turn: what was read is kept, once."""

import json
from collections import Counter

import pytest

from bench import records as records_module
from bench.process.supervisor import WorkerLost
from bench.records import RunError
from bench.sweep.journal import Journal
from bench.sweep.ledger import Ledger
from tests.bench.sweep.making import EVERY, ONE_PASS, at, sizes


@pytest.mark.parametrize("passes", [1, 3])
def test_an_interrupt_passes_through_once_all_that_was_read_is_written(making, cheap, passes):
    made = making()
    made.interrupt_after = passes

    with pytest.raises(KeyboardInterrupt):
        made.make()

    assert {len(one.samples_s) for one in made.records()} == {passes + 1}
    assert set(made.statuses()) == set(EVERY)
    assert not made.part.exists()


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


def test_a_disk_that_is_full_when_a_cell_is_lost_is_what_ends_the_turn(making, cheap, monkeypatch):
    made = making()
    cheap.fault = at("visit", loss=WorkerLost("crashed", "gone"))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records_module.os, "fsync", full)
    with pytest.raises(RunError, match="No space left on device; what was measured before is kept"):
        made.make()
    assert made.records() == []
    assert made.kept_lines() > 0


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
            key = made.ledger.cells[place].key
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
        cell.key: list(one.samples_s) for cell, one in zip(resumed.ledger.cells, found, strict=True)
    } == kept
    assert {(one.status, one.worker) for one in found} == {("measured", 1)}
    assert resumed.ledger.history.newest_round == 1
    assert resumed.turns.ready() == resumed.ledger.cells


def test_a_loss_in_the_middle_of_a_round_leaves_what_was_kept_of_it(making, cheap, monkeypatch):
    made = making()
    made.make(0, ONE_PASS)
    made.interrupt_after = made.passes + 3
    once = at("visit", times=1, loss=WorkerLost("crashed", "gone"))
    cheap.fault = lambda *asked: once(*asked) if made.passes == 2 else None
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "end_round", never)
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
