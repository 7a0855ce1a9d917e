"""Claims on turns, memory and energy: the ruling on each, and another on another subject."""

from torch import nn

from bench.claims import by_resources
from bench.claims.by_resources import cpu_energy, memory_and_energy, parallel
from bench.claims.claim import Ruling
from bench.machine.energy import EnergyReading, Idle
from bench.machine.nvml import Unavailable
from implementations.attention.matmul import IMPLEMENTATION as MATMUL
from implementations.attention.online_softmax import IMPLEMENTATION as ONLINE_SOFTMAX
from implementations.layers.recurrent import IMPLEMENTATION as RNN

NO_COUNTER = Unavailable("no counter here")


class OneRowOnly(nn.Module):
    """Work that does not grow with the sequence."""

    def forward(self, x):
        return x[:, :1].mT @ x[:, :1]


def without_counter(core):
    return NO_COUNTER


def test_self_attention_waits_no_longer_and_works_more():
    decision = parallel()

    assert decision.ruling is Ruling.CONDITIONAL
    assert decision.values["depth_layer_n5"] == decision.values["depth_layer_n20"]
    assert decision.values["depth_rnn_n20"] > 3 * decision.values["depth_rnn_n5"]
    # (2n²d + 3nd²) at n = 2048 over that at 1024, d = 64.
    assert decision.values["work_ratio"] == 2 * (2 * 2048 + 3 * 64) / (2 * 1024 + 3 * 64)


def test_what_waits_longer_with_every_row_is_not_parallel():
    assert parallel(layer=RNN.build).ruling is Ruling.FALSE


def test_what_does_not_work_more_takes_the_same_time():
    assert parallel(layer=lambda _: OneRowOnly()).ruling is Ruling.TRUE


def test_memory_is_a_problem_of_cores_that_hold_all_scores():
    decision = memory_and_energy(energy_of=without_counter)

    assert decision.ruling is Ruling.CONDITIONAL
    assert decision.condition == "memory: only for a core that holds all scores (matmul)"
    # Two score matrices of float32.
    assert decision.values["workspace_bytes_matmul_n2048"] == 8 * 2048**2
    assert decision.values["energy_j_matmul"] is None
    assert "no counter here" in decision.evidence


def test_memory_is_open_where_every_core_holds_all_scores_and_closed_where_none_does():
    every = memory_and_energy(cores=(MATMUL,), energy_of=without_counter)
    none = memory_and_energy(cores=(ONLINE_SOFTMAX,), energy_of=without_counter)

    assert (every.ruling, none.ruling) == (Ruling.TRUE, Ruling.FALSE)


def test_energy_is_told_where_there_is_a_counter():
    reading = EnergyReading(energy_j=0.25, energy_resolution_j=0.01)

    decision = memory_and_energy(cores=(MATMUL,), energy_of=lambda core: reading)

    assert decision.values["energy_j_matmul"] == 0.25
    assert "matmul 0.25 J" in decision.evidence


def test_the_energy_is_that_of_a_call_at_the_larger_length(monkeypatch):
    reading = EnergyReading(energy_j=0.5, energy_resolution_j=0.01)
    shapes = []

    def energy_per_call(call, meter, *, idle, synchronize):
        assert (meter, idle.power_w) == ("a meter", 7.0)
        shapes.append(tuple(call().shape))
        return reading

    idle = Idle(power_w=7.0, step_s=0.001)
    monkeypatch.setattr(by_resources, "find_meter", lambda device: "a meter")
    monkeypatch.setattr(by_resources, "idle_power", lambda meter, **_: idle)
    monkeypatch.setattr(by_resources, "energy_per_call", energy_per_call)

    assert cpu_energy(MATMUL) == reading
    assert shapes == [(1, 1, 2048, 64)]


def test_without_a_counter_or_an_idle_reading_no_energy_is_told(monkeypatch):
    monkeypatch.setattr(by_resources, "find_meter", lambda device: NO_COUNTER)
    assert cpu_energy(MATMUL) == NO_COUNTER

    stuck = Unavailable("the counter stands still")
    monkeypatch.setattr(by_resources, "find_meter", lambda device: "a meter")
    monkeypatch.setattr(by_resources, "idle_power", lambda meter, **_: stuck)
    assert cpu_energy(MATMUL) == stuck
