"""Claims on turns, memory and energy: the ruling on each, and another on another subject."""

from torch import nn

from bench.claims.by_resources import memory_and_energy, parallel
from bench.claims.claim import Ruling
from bench.machine.energy import EnergyReading
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
