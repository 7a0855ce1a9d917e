"""Claims on turns, memory and energy: the ruling on each, and another on another subject."""

from dataclasses import replace

from torch import nn

from bench.claims import by_resources
from bench.claims.by_resources import cpu_energy, memory_and_energy, parallel
from bench.claims.claim import Claim, Ruling
from bench.machine.energy import EnergyReading, Idle
from bench.machine.nvml import Unavailable
from implementations.attention.matmul import IMPLEMENTATION as MATMUL
from implementations.attention.online_softmax import IMPLEMENTATION as ONLINE_SOFTMAX
from implementations.interface import UnsupportedCaseError
from implementations.layers.recurrent import IMPLEMENTATION as RNN

NO_COUNTER = Unavailable("no counter here")


class OneRowOnly(nn.Module):
    """Work that does not grow with the sequence."""

    def forward(self, x):
        return x[:, :1].mT @ x[:, :1]


def without_counter(core, seq_len):
    return NO_COUNTER


def refuses(query, key, value, **options):
    raise UnsupportedCaseError("not today")


def joules(power):
    """A counter by which a call takes seq_len to this power."""
    return lambda core, seq_len: EnergyReading(energy_j=seq_len**power, energy_resolution_j=0.01)


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
    decision = memory_and_energy(energy_of=joules(2))

    assert decision.ruling is Ruling.CONDITIONAL
    assert decision.condition == "memory: only for matmul; energy: for every core"
    # Two score matrices of float32.
    assert decision.values["workspace_bytes_matmul_n2048"] == 8 * 2048**2
    assert decision.values["energy_j_matmul_n1024"] == 1024**2
    assert "online_softmax 1.05e+06 and 4.19e+06 J" in decision.evidence


def test_the_ruling_follows_memory_and_energy():
    def ruling(core, power):
        return memory_and_energy(cores=(core,), energy_of=joules(power)).ruling

    assert ruling(MATMUL, 2) is Ruling.TRUE
    assert ruling(MATMUL, 1) is Ruling.FALSE
    assert ruling(ONLINE_SOFTMAX, 2) is Ruling.FALSE


def test_without_a_counter_energy_is_said_not_to_be_decided():
    decision = memory_and_energy(cores=(MATMUL,), energy_of=without_counter)

    assert decision.ruling is Ruling.CONDITIONAL
    assert decision.condition == "memory: for every core; energy: not decided"
    assert decision.values["energy_j_matmul_n2048"] is None
    assert "not decided: no counter here" in decision.evidence


def test_a_workspace_that_is_not_known_leaves_the_claim_undecided():
    hidden = replace(MATMUL, fn=refuses)
    claim = Claim(
        article="003",
        text="memory",
        how="counted",
        test=lambda: memory_and_energy(cores=(hidden,), energy_of=joules(2)),
    )

    decision = claim.decide()
    assert decision.ruling is Ruling.UNDECIDED
    assert "the workspace of matmul is not known: not today" in decision.evidence


def test_the_energy_is_that_of_a_call_at_the_length_asked(monkeypatch):
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

    assert cpu_energy(MATMUL, 131) == reading
    assert shapes == [(1, 1, 131, 64)]


def test_without_a_counter_or_an_idle_reading_no_energy_is_told(monkeypatch):
    monkeypatch.setattr(by_resources, "find_meter", lambda device: NO_COUNTER)
    assert cpu_energy(MATMUL, 131) == NO_COUNTER

    stuck = Unavailable("the counter stands still")
    monkeypatch.setattr(by_resources, "find_meter", lambda device: "a meter")
    monkeypatch.setattr(by_resources, "idle_power", lambda meter, **_: stuck)
    assert cpu_energy(MATMUL, 131) == stuck
