"""Claims on numbers: the ruling on each, and another ruling on another subject."""

from dataclasses import replace

import pytest

from bench.claims.by_worked_values import (
    columns_sum_to_one,
    formula_and_code,
    one_formula,
    three_words,
)
from bench.claims.claim import Ruling
from bench.claims.examples import EXAMPLES
from implementations.attention.matmul import matmul


def test_without_the_root_the_entropy_of_the_weights_collapses():
    decision = formula_and_code()

    assert decision.ruling is Ruling.FALSE
    unscaled = [decision.values[f"entropy_formula_d{d}"] for d in (4, 16, 64, 256)]
    scaled = [decision.values[f"entropy_code_d{d}"] for d in (4, 16, 64, 256, 1024)]
    assert unscaled == sorted(unscaled, reverse=True)
    assert unscaled[-1] < 0.1
    assert min(scaled) > 0.8


def test_code_that_is_its_formula_makes_the_claim_true():
    assert formula_and_code(formula=matmul).ruling is Ruling.TRUE


def test_the_two_dot_products_agree_at_one_feature_only():
    decision = one_formula()

    assert decision.ruling is Ruling.FALSE
    assert decision.values["difference_d1"] == 0.0
    assert decision.values["difference_d64"] > 0.5


def test_a_dot_product_that_is_scaled_has_the_formula_of_the_scaled_one():
    assert one_formula(dot_product=matmul).ruling is Ruling.TRUE


def test_the_example_as_it_stands_gives_every_word_the_same_weights():
    decision = three_words()

    assert decision.ruling is Ruling.FALSE
    assert "scores (23.3345, 53.0330, 82.7315) in every row" in decision.evidence


def test_the_example_with_inputs_that_fit_gives_each_word_its_own():
    decision = three_words(EXAMPLES["three"])

    assert decision.ruling is Ruling.TRUE
    assert decision.values["spread_of_weights"] == pytest.approx(0.8277 - 0.5329, abs=1e-4)


def test_embeddings_that_are_all_alike_make_the_example_false_again():
    alike = replace(EXAMPLES["three"], embeddings=((1, 0, 1),) * 3)

    assert three_words(alike).ruling is Ruling.FALSE


def test_rows_sum_to_one_and_the_product_is_no_output():
    decision = columns_sum_to_one()

    assert decision.ruling is Ruling.FALSE
    assert decision.values["rows_min"] == pytest.approx(1.0)
    assert decision.values["rows_max"] == pytest.approx(1.0)
    assert decision.values["columns_max"] > 4.0
    assert decision.values["product_min"] == pytest.approx(55.0)
    assert decision.values["product_max"] == pytest.approx(195.0)


def attention_by_columns(embeddings):
    scores = embeddings @ embeddings.mT / embeddings.shape[1] ** 0.5
    weights = scores.softmax(0)
    return weights, weights.mT @ embeddings


def test_attention_written_by_columns_makes_the_claim_true():
    assert columns_sum_to_one(attention_by_columns).ruling is Ruling.TRUE


def test_columns_that_sum_to_one_do_not_save_a_wrong_output():
    def wrong(embeddings):
        weights, output = attention_by_columns(embeddings)
        return weights, 2 * output

    assert columns_sum_to_one(wrong).ruling is Ruling.FALSE
