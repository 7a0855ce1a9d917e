"""Claims on cost: the ruling on each, and another ruling on another subject."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from bench.claims.by_counting import (
    additive_attention,
    complexity,
    heads_cost,
    parameter_law,
    parameters,
)
from bench.claims.claim import Ruling
from bench.claims.counted import UncountableError, coefficient, followed, law
from implementations.attention.matmul import matmul
from implementations.case import Case
from implementations.layers.multi_head import IMPLEMENTATION as MULTI_HEAD
from implementations.layers.recurrent import IMPLEMENTATION as RNN


class CoreAlone(nn.Module):
    def forward(self, x):
        return matmul(x, x, x)


class EveryHeadAsWideAsTheModel(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(d_model, d_model) for _ in range(num_heads))

    def forward(self, x):
        return sum(matmul(head(x), head(x), head(x)) for head in self.heads)


def linear_in_n(query, key, value):
    return query @ (key.mT @ value)


def test_a_law_is_recovered_with_its_coefficients():
    found = law(lambda n, d: 3 * n * d**2 + 2 * n**2 * d + 7)

    assert str(found) == "2·n²·d + 3·n·d² + 7"
    assert (coefficient(found, n=2, d=1), coefficient(found, n=2, d=2)) == (2, 0)


def test_a_count_that_is_no_polynomial_of_degree_2_has_no_law():
    with pytest.raises(UncountableError, match="degree 2"):
        law(lambda n, d: n**3 * d)


def test_an_operator_without_a_rule_is_not_counted_as_nothing():
    with pytest.raises(UncountableError, match=r"^no rule for aten\."):
        followed(lambda: torch.linalg.svdvals(torch.eye(3)))


def test_the_complexity_is_right_for_the_core_and_above_one_and_a_half_d_for_the_layer():
    decision = complexity()

    assert decision.ruling is Ruling.CONDITIONAL
    assert decision.values == {"core": "2·n²·d", "layer": "2·n²·d + 3·n·d²", "n_over_d": 1.5}
    assert "n > 1.5·d" in decision.condition


def test_the_complexity_is_true_of_a_layer_without_projections():
    assert complexity(layer=lambda _: CoreAlone()).ruling is Ruling.TRUE


def test_the_complexity_is_false_of_a_core_that_is_linear_in_n():
    assert complexity(core=linear_in_n).ruling is Ruling.FALSE


def test_additive_attention_is_its_formula_with_n_squared_d_tanhs():
    decision = additive_attention()

    assert decision.ruling is Ruling.TRUE
    assert decision.values["evaluations"] == "n²·d + n²"


def test_a_dot_product_is_not_additive_attention():
    decision = additive_attention(core=matmul)

    assert decision.ruling is Ruling.FALSE
    assert decision.values["evaluations"] == "n²"


def test_heads_cost_scores_and_no_products():
    decision = heads_cost()

    assert decision.ruling is Ruling.CONDITIONAL
    assert {decision.values[f"multiply_adds_h{h}"] for h in (1, 2, 4, 8)} == {18480}
    # An exponential for each pair and head.
    assert [decision.values[f"exponentials_h{h}"] for h in (1, 2, 4, 8)] == [49, 98, 196, 392]


def test_heads_as_wide_as_the_model_cost_products():
    decision = heads_cost(lambda case: EveryHeadAsWideAsTheModel(case.d_model, case.num_heads))

    assert decision.ruling is Ruling.TRUE


def test_heads_that_change_nothing_cost_nothing():
    assert heads_cost(lambda _: CoreAlone()).ruling is Ruling.FALSE


def test_self_attention_has_more_parameters_than_an_rnn_and_fewer_than_gru_and_lstm():
    decision = parameters()

    assert decision.ruling is Ruling.CONDITIONAL
    assert decision.condition == "more than rnn; fewer than gru, lstm"
    assert decision.values == {
        "attention": "4·d² + 4·d",
        "rnn": "2·d² + 2·d",
        "gru": "6·d² + 6·d",
        "lstm": "8·d² + 8·d",
    }
    assert "with 1, 2, 4, 8 heads" in decision.evidence


def test_a_layer_with_more_parameters_than_all_others_needs_more():
    wide = replace(MULTI_HEAD, build=lambda case: nn.Linear(case.d_model, 9 * case.d_model))

    assert parameters(wide).ruling is Ruling.TRUE
    assert parameters(RNN, (MULTI_HEAD,)).ruling is Ruling.FALSE


def test_parameters_that_change_with_the_heads_are_told_for_one():
    by_heads = replace(MULTI_HEAD, build=lambda case: nn.Linear(case.head_dim, case.d_model))

    assert "with one head" in parameters(by_heads).evidence
    assert str(parameter_law(by_heads)) == "d² + d"
    assert by_heads.build(Case(seq_len=1, num_heads=3, head_dim=7)).in_features == 7
