"""Claims on what layers do: the faults of the articles' code show, and right layers pass."""

from dataclasses import replace

import torch
from torch import nn

from bench.claims.articles.token_heads import TokenHeads
from bench.claims.by_properties import (
    encoder_decoder,
    masked_layer,
    multi_head_code,
    receptive_fields,
    shaped_weights,
    single_head_layer,
)
from bench.claims.claim import Ruling
from bench.claims.reach import items_seen, normal, reached, refusal, tokens_seen
from implementations.attention.matmul import matmul
from implementations.layers.cross_attention import IMPLEMENTATION as CROSS
from implementations.layers.multi_head import around
from implementations.layers.multi_head_wide import build as wide
from implementations.layers.single_head import IMPLEMENTATION as SINGLE
from implementations.layers.single_head import SingleHead

RIGHT = around(matmul)


class DropsOutputs(SingleHead):
    def forward(self, x, **options):
        self.dropout_p = 0.0
        return nn.functional.dropout(super().forward(x, **options), 0.5, self.training)


class IgnoresTheEncoder(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x, memory):
        return self.inner(x, x) + 0.0 * memory.sum()

    def named_parameters(self, *args, **keywords):
        return self.inner.named_parameters(*args, **keywords)


class CausalPair(nn.Module):
    def forward(self, x):
        return x + nn.functional.pad(x, (0, 0, 1, -1))


def test_reach_is_read_off_gradients():
    x = normal(2, 5, 3)

    def sees_itself_and_the_first(x):
        return x + x[:, :1]

    seen = reached(sees_itself_and_the_first, x)

    assert seen.shape == (2, 5, 2, 5)
    assert seen[1, 4, 1].tolist() == [True, False, False, False, True]
    assert (tokens_seen(seen), items_seen(seen)) == (1, 1)
    assert items_seen(reached(lambda x: x + x.sum(0), x)) == 2


def test_a_refusal_is_one_line_and_none_where_there_is_none():
    assert refusal(lambda: torch.ones(2) @ torch.ones(3)).startswith("RuntimeError: ")
    assert refusal(lambda: None) is None


def test_the_layer_with_one_head_is_its_formula_and_drops_weights():
    decision = single_head_layer()

    assert decision.ruling is Ruling.TRUE
    assert decision.values["parameters"] == "3·d² + 3·d"


def test_a_layer_that_drops_outputs_or_nothing_is_not_the_one_claimed():
    def of(kind, **options):
        return replace(SINGLE, build=lambda case: kind(case.d_model, **options))

    assert single_head_layer(of(SingleHead, dropout_p=0.5)).ruling is Ruling.TRUE
    nothing = single_head_layer(of(SingleHead, dropout_p=0.0))
    assert nothing.ruling is Ruling.FALSE
    assert "two calls in training are equal" in nothing.evidence
    outputs = single_head_layer(of(DropsOutputs))
    assert outputs.ruling is Ruling.FALSE
    assert "two calls in training differ; no weights are dropped" in outputs.evidence


def test_heads_viewed_from_tokens_never_mix_tokens():
    decision = multi_head_code()

    assert decision.ruling is Ruling.FALSE
    assert decision.values == {
        "raised": "NameError: name 'math' is not defined",
        "tokens_seen": 1,
        # 4 projections of 2d by 2d, and two products of (2, d) by (d, 2) for each token.
        "multiply_adds": "16·n·d² + 8·n·d",
    }


def test_multi_head_attention_of_ours_is_what_the_code_should_have_been():
    decision = multi_head_code(as_published=RIGHT, mended=RIGHT)

    assert decision.ruling is Ruling.TRUE
    assert decision.values["multiply_adds"] == "4·n²·d + 16·n·d²"


def test_the_missing_import_alone_makes_the_claim_false():
    def published(case):
        return TokenHeads(case.d_model, case.num_heads)

    assert multi_head_code(as_published=published, mended=RIGHT).ruling is Ruling.FALSE


def test_a_decoder_sees_every_row_of_an_encoder_of_another_length():
    decision = encoder_decoder()

    assert decision.ruling is Ruling.TRUE
    assert decision.values["encoder_rows_seen"] == 11
    assert decision.values["decoder_rows_seen"] == 1


def test_a_layer_that_attends_to_its_own_rows_is_no_encoder_decoder_attention():
    own = replace(CROSS, build=lambda case: IgnoresTheEncoder(CROSS.build(case)))

    decision = encoder_decoder(own)

    assert decision.ruling is Ruling.FALSE
    assert decision.values["encoder_rows_seen"] == 0
    assert decision.values["decoder_rows_seen"] == 5


def test_the_layer_around_torchs_own_has_every_fault_that_is_told_of_it():
    decision = masked_layer()

    assert decision.ruling is Ruling.FALSE
    assert decision.values["raised"].startswith("ValueError: not enough values to unpack")
    assert (decision.values["tokens_seen"], decision.values["items_seen"]) == (1, 2)
    assert "should be (2, 2)" in decision.values["mask"]
    assert decision.values["projections"] == 8.0
    assert decision.values["wide"] is not None


def test_multi_head_attention_of_ours_has_none_of_these_faults():
    decision = masked_layer(as_published=RIGHT, mended=RIGHT, wide=wide)

    assert decision.ruling is Ruling.TRUE, decision.evidence
    assert decision.values["projections"] == 4.0


def test_weights_of_heads_by_features_fit_no_model_and_split_no_heads():
    decision = shaped_weights()

    assert decision.ruling is Ruling.FALSE
    assert "cannot be multiplied" in decision.values["raised"]
    assert (decision.values["scores"], decision.values["scores_of_heads"]) == (50, 150)


def test_multi_head_attention_of_ours_has_the_promised_shape():
    assert shaped_weights(RIGHT).ruling is Ruling.TRUE


def test_recurrent_and_convolutional_layers_see_more_than_the_previous_element():
    decision = receptive_fields()

    assert decision.ruling is Ruling.FALSE
    assert {decision.values[name] for name in ("rnn", "gru", "lstm")} == {"-6 to 0"}
    assert decision.values["convolution"] == "-1 to 1"
    assert decision.values["two convolutions"] == "-2 to 2"
    assert decision.values["convolution_dilated"] == "-4, 0, 4"


def test_a_layer_that_sees_the_previous_element_only_makes_the_claim_true():
    decision = receptive_fields({"pair": lambda _: CausalPair()})

    assert (decision.ruling, decision.values) == (Ruling.TRUE, {"pair": "-1, 0"})
