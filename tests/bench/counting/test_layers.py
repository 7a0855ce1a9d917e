"""Layers are counted in n, h and d_model, whatever operators they are made of."""

import json
from dataclasses import replace

import pytest
from torch import Tensor, nn

from bench.counting.counter import Counter
from bench.counting.direct import count
from bench.counting.document import document
from bench.counting.polynomials import Point, Polynomial
from bench.counting.sizes import sizes_of
from bench.counting.table import table
from implementations.case import Case
from implementations.catalogue import suite
from tests.bench.counting.test_document import printed
from tests.bench.some_layers import ATTENTION, CROSS, RECURRENCE


class FirstOf(nn.Module):
    """The output of a recurrence without its last state."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.module(x)[0]
        return output


class Convolution(nn.Module):
    def __init__(self, case: Case) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(case.d_model, case.d_model, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.convolution(x.mT)
        return output.mT


class MultiheadAttention(nn.Module):
    def __init__(self, case: Case) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(case.d_model, case.num_heads, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.attention(x, x, x, need_weights=False)[0]
        return output


def recurrent(kind):
    def build(case):
        return FirstOf(kind(case.d_model, case.d_model, batch_first=True))

    return replace(RECURRENCE, name=kind.__name__, build=build)


CONVOLUTION = replace(RECURRENCE, name="convolution", build=Convolution)
TORCH = replace(ATTENTION, name="torch", build=MultiheadAttention)


def products(layer, pass_="forward"):
    search = Counter(layer).search(Case(seq_len=1, pass_=pass_))
    return str(search.formula("matmul_flops").fitted.polynomial)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (ATTENTION, "4·b·n²·d + 8·b·n·d²"),
        (CROSS, "4·b·n²·d + 8·b·n·d²"),
        (RECURRENCE, "4·b·n·d²"),  # torch's RNN
        pytest.param(recurrent(nn.GRU), "12·b·n·d²", marks=pytest.mark.slow, id="GRU"),
        pytest.param(recurrent(nn.LSTM), "16·b·n·d²", marks=pytest.mark.slow, id="LSTM"),
        (CONVOLUTION, "6·b·n·d²"),
        (TORCH, "4·b·n²·d + 8·b·n·d²"),
    ],
    ids=lambda one: getattr(one, "name", None),
)
def test_the_products_of_a_layer_are_a_polynomial_in_d_model(layer, expected):
    assert products(layer) == expected


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (ATTENTION, "12·b·n²·d + 24·b·n·d²"),
        # The first state is zero, and has no gradient.
        pytest.param(RECURRENCE, "12·b·n·d² − 2·b·d²", marks=pytest.mark.slow, id="RNN"),
        (CONVOLUTION, "18·b·n·d²"),
        # The fused backward pass computes the scores again.
        (TORCH, "14·b·n²·d + 24·b·n·d²"),
    ],
    ids=lambda one: getattr(one, "name", None),
)
def test_a_backward_pass_has_the_gradients_of_all_parameters(layer, expected):
    assert products(layer, "forward_backward") == expected


def test_attention_inside_torchs_own_layer_stays_fused():
    counts = count(TORCH, Case(seq_len=512, num_heads=2, head_dim=16))
    scores_bytes = 2 * 512 * 512 * 4

    assert counts.workspace_bytes is not None
    assert counts.workspace_bytes < scores_bytes


@pytest.mark.parametrize("layer", [ATTENTION, RECURRENCE], ids=lambda one: one.name)
def test_a_polynomial_of_one_item_or_of_several_is_what_a_call_gives(layer):
    counter = Counter(layer)
    search = counter.search(Case(seq_len=1))
    for batch in (1, 3):
        case = Case(batch=batch, seq_len=37, num_heads=3, head_dim=11)
        followed = count(layer, case)
        for quantity in ("matmul_flops", "executed_flops", "bytes_read", "workspace_bytes"):
            told = search.formula(quantity).value(Point(b=batch, h=3, n=37, head_dim=11))
            assert told in (None, followed.value(quantity))
            assert told is not None or batch == 3


def test_a_layer_declares_no_useful_operations():
    counts = count(RECURRENCE, Case(seq_len=5, head_dim=7))

    assert counts.useful_flops is None
    assert counts.matmul_flops == 4 * 5 * 49


def test_a_document_of_a_layer_speaks_of_d_model():
    found = json.loads(json.dumps(document([ATTENTION], sizes=sizes_of({"n": 64}))))
    (entry,) = found["counts"]
    counted = entry["quantities"]["matmul_flops"]

    assert entry["sizes"] == {"b": 1, "h": 8, "n": 64, "d": 512, "head_dim": 64}
    assert (
        Polynomial.from_plain(counted["terms"])(Point(b=1, h=8, n=64, head_dim=64))
        == counted["value"]
    )
    assert counted["value"] == 4 * 64**2 * 512 + 8 * 64 * 512**2
    assert entry["quantities"]["useful_flops"]["value"] is None
    assert "not declared" in entry["quantities"]["useful_flops"]["reason"]


def test_a_table_of_both_kinds_tells_the_sizes():
    found = document([suite()["matmul"], RECURRENCE], sizes=sizes_of({"n": 64}))

    shown = " ".join(printed(found).split())
    assert "values at b = 1, h = 8, n = 64, d = 512, head_dim = 64" in shown
    assert table(found).title == "Counts of one call: float32 forward"
