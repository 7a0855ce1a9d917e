"""The worked examples have the right numbers, and nothing but agreement lets them out."""

import pytest
import torch

from bench.claims.examples import EXAMPLES, ExampleError, chosen
from bench.claims.worked_examples import document, worked
from implementations.attention.matmul import matmul
from implementations.attention.online_softmax import online_softmax


def shown(matrix: torch.Tensor) -> list[list[float]]:
    return [[round(one, 4) for one in row] for row in matrix.tolist()]


def test_three_words_that_fit_have_the_published_right_weights_and_outputs():
    found = worked(EXAMPLES["three"])

    assert shown(found.weights) == [
        [0.2228, 0.0702, 0.7070],
        [0.2992, 0.1679, 0.5329],
        [0.1464, 0.0259, 0.8277],
    ]
    assert shown(found.output) == [
        [0.9298, 0.7772, 0.9298],
        [0.8321, 0.7008, 0.8321],
        [0.9741, 0.8536, 0.9741],
    ]


def test_the_literal_inputs_give_every_word_the_same_scores_and_output():
    found = worked(EXAMPLES["literal"])

    assert shown(found.scores) == [[23.3345, 53.0330, 82.7315]] * 3
    assert shown(found.output) == [[5.0, 6.0]] * 3


def test_five_words_run_from_the_first_published_row_to_the_last():
    found = worked(EXAMPLES["five"])

    assert len(EXAMPLES["five"].words) == 5
    assert shown(found.output[:1]) == [[4.8639, 5.8639]]
    assert shown(found.output[-1:]) == [[4.9996, 5.9996]]


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("is_causal", [False, True])
def test_scores_weights_and_output_of_an_example_follow_from_each_other(name, is_causal):
    found = worked(EXAMPLES[name], is_causal=is_causal)

    torch.testing.assert_close(found.scores.softmax(-1), found.weights)
    torch.testing.assert_close(found.weights @ found.value, found.output)
    assert found.difference <= found.allowed


def test_under_a_causal_mask_no_word_has_a_weight_on_a_later_one():
    found = worked(EXAMPLES["five"], is_causal=True)

    assert torch.equal(found.weights.triu(1), torch.zeros(5, 5, dtype=torch.float64))
    assert bool((found.scores.triu(1) == -torch.inf)[0, 1:].all())
    assert found.output[0].tolist() == [1.0, 2.0]


def test_another_right_core_gives_the_same_example():
    plain, blockwise = worked(EXAMPLES["five"]), worked(EXAMPLES["five"], core=online_softmax)

    torch.testing.assert_close(plain.output, blockwise.output)


def test_a_core_that_disagrees_with_the_oracle_gives_no_example():
    def without_root(query, key, value, **options):
        return matmul(query, key, value, scale=1.0, **options)

    with pytest.raises(ArithmeticError, match=r"^five: the core and the oracle differ by 0\.\d+"):
        worked(EXAMPLES["five"], core=without_root)


def test_the_document_names_every_matrix_and_has_null_for_hidden_scores():
    (entry,) = document(chosen(["three"]), is_causal=True)["examples"]

    assert list(entry) == [
        *("name", "title", "source", "rule", "words", "is_causal", "head_dim"),
        *("query", "key", "value", "scores", "weights", "output", "difference", "allowed"),
    ]
    assert entry["scores"][0][1:] == [None, None]
    assert entry["head_dim"] == 3


def test_without_a_name_every_example_is_chosen_once():
    assert [one.name for one in chosen([])] == ["three", "literal", "five"]
    assert [one.name for one in chosen(["five", "five"])] == ["five"]


def test_an_unknown_example_is_refused_with_those_there_are():
    with pytest.raises(ExampleError, match=r"^examples are three, literal, five; got 'six'$"):
        chosen(["six"])
