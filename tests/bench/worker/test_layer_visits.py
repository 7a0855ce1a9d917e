"""Visits to layers: a reading, their workspace, and what a wrong answer at the timed size costs."""

from dataclasses import replace

import pytest
import torch

from bench.worker import visit as visiting
from bench.worker.operations import count
from bench.worker.visit import first_visit, visit
from implementations.case import Case
from tests.bench.some_layers import ATTENTION, CROSS, LAYERS, RECURRENCE, Attention, Recurrence

SMALL = Case(batch=2, seq_len=7, num_heads=3, head_dim=5)
TRAINED = replace(SMALL, pass_="forward_backward")
LONG = Case(seq_len=1031, head_dim=5)


def first(build, case=SMALL, layer=ATTENTION):
    return first_visit(replace(layer, build=build, spec=build.__name__), case, 0)


@pytest.mark.parametrize("case", [SMALL, TRAINED, LONG], ids=str)
@pytest.mark.parametrize("layer", LAYERS, ids=lambda one: one.name)
def test_a_right_layer_is_measured_at_any_size(layer, case):
    first_answer = first_visit(layer, case, 0)
    later = visit(layer, case, 0, check=True)

    assert (first_answer["status"], later["status"]) == ("measured", "measured")
    assert first_answer["workspace_bytes"] > 0


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_a_right_layer_is_measured_in_any_dtype(dtype):
    case = replace(TRAINED, dtype=dtype)

    assert first_visit(CROSS, replace(case, key_len=11), 0)["status"] == "measured"


def test_layers_share_inputs_and_no_parameters():
    cells = visiting.ready_cells("cpu")
    one, other = (cells.get(layer, TRAINED, 0) for layer in (ATTENTION, RECURRENCE))

    assert one.changing is other.changing
    assert set(one.prepared.parameters).isdisjoint(other.prepared.parameters)


def test_every_process_draws_the_same_parameters():
    def weights():
        visiting.ready_cells.cache_clear()
        torch.manual_seed(len(drawn))
        return visiting.ready_cells("cpu").get(ATTENTION, SMALL, 0).prepared.parameters

    drawn = []
    drawn += [weights()]
    drawn += [weights()]

    assert all(torch.equal(drawn[0][name], drawn[1][name]) for name in drawn[0])


class Larger(Attention):
    def mixed(self, query, key, value, mask):
        return super().mixed(query, key, value, mask) * 1.05


class LostGradient(Attention):
    def mixed(self, query, key, value, mask):
        return super().mixed(query, key.detach(), value, mask)


class LastState(Recurrence):
    def forward(self, x):
        return self.rnn(x)[0][:, -1:]


class Parameter(Attention):
    def forward(self, *args, **keywords):
        return torch.nn.Parameter(super().forward(*args, **keywords))


class OfInput(Attention):
    def forward(self, x, **keywords):
        return x.detach()


class NotANumber(Attention):
    def mixed(self, query, key, value, mask):
        return super().mixed(query, key, value, mask) * torch.nan


class LastAnswer(Attention):
    answer = None

    def forward(self, x, **keywords):
        if self.answer is None:
            self.answer = super().forward(x, **keywords)
        return self.answer.clone()


@pytest.mark.parametrize(
    ("build", "case", "status", "reason"),
    [
        (Larger, SMALL, "incorrect", "the timed call's output is off by"),
        (LostGradient, TRAINED, "incorrect", "gave no gradient for one of x, query.weight"),
        (LastState, SMALL, "incorrect", "expected (2, 7, 15)"),
        (Parameter, SMALL, "implausible", "gave a Parameter"),
        (OfInput, LONG, "incorrect", "in the memory of its inputs"),
        (NotANumber, LONG, "incorrect", "not finite"),
        (LastAnswer, SMALL, "incorrect", "gave the answer to other inputs again"),
        (LastAnswer, LONG, "incorrect", "gave the answer to other inputs again"),
    ],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_a_wrong_timed_answer_has_no_time(build, case, status, reason):
    layer = RECURRENCE if issubclass(build, Recurrence) else ATTENTION

    answer = first(build, case, layer)

    assert answer["status"] == status
    assert reason in answer["reason"]
    assert "time_s" not in answer


def test_an_answer_that_stays_is_found_in_a_later_visit_where_it_is_compared():
    kept = replace(ATTENTION, build=LastAnswer, spec="kept")
    visit(kept, SMALL, 0)

    answer = visit(kept, SMALL, 0, check=True)

    assert "the timed call's output is off by" in answer["reason"]


def test_the_operations_of_a_layers_record_are_its_counted_products(monkeypatch):
    monkeypatch.setattr("bench.worker.operations._implementation", lambda spec: RECURRENCE)

    (counted,) = count("recurrence", [vars(SMALL)])["counts"]

    assert counted["flops"] == 2 * 7 * 4 * 15**2
    assert counted["flops_executed"] > counted["flops"]
