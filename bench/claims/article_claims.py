"""The claims of the articles that this project started from, in their order."""

from __future__ import annotations

from typing import Any

from bench.claims import by_counting, by_properties, by_resources, by_worked_values
from bench.claims.claim import Claim

CLAIMS = (
    Claim(
        article="000",
        text="Self-attention with one head: Q, K and V projections, dropout on the weights",
        how="the layer against its formula, its parameters, two calls in training",
        test=by_properties.single_head_layer,
    ),
    Claim(
        article="000",
        text="The formula without √d and the code with √d are the same attention",
        how="the entropy of the weights of random words as d grows, unscaled and scaled",
        test=by_worked_values.formula_and_code,
    ),
    Claim(
        article="000",
        text="The complexity of self-attention is O(n²d)",
        how="multiply-adds of the core and of the layer, counted as polynomials in n and d",
        test=by_counting.complexity,
    ),
    Claim(
        article="001",
        text="Dot-product and scaled dot-product attention have one formula",
        how="the weights of both for the same queries and keys",
        test=by_worked_values.one_formula,
    ),
    Claim(
        article="001",
        text="Additive attention scores vᵀtanh(W₁q + W₂k)",
        how="the core against the formula, and its evaluations of tanh counted",
        test=by_counting.additive_attention,
    ),
    Claim(
        article="001",
        text="The code with view(-1, heads, head_dim) is multi-head attention",
        how="the code in our own words: does it run, which tokens does an output depend on, "
        "multiply-adds",
        test=by_properties.multi_head_code,
    ),
    Claim(
        article="001",
        text="In encoder-decoder attention the queries of a decoder attend to an encoder",
        how="the layer with another key_len than query_len: formula, shape, gradients",
        test=by_properties.encoder_decoder,
    ),
    Claim(
        article="002",
        text="The layer with a mask around nn.MultiheadAttention is multi-head attention",
        how="the code in our own words: does it run, which tokens and items does an output "
        "depend on, projections counted",
        test=by_properties.masked_layer,
    ),
    Claim(
        article="003",
        text="Weights of shape (heads, head_dim) make a multi-head layer",
        how="the code in our own words: does it run, shape of the output, scores counted",
        test=by_properties.shaped_weights,
    ),
    Claim(
        article="003",
        text="The worked example of three words shows attention: each word has weights of its own",
        how="the inputs as they stand and inputs that fit each other, worked out",
        test=by_worked_values.three_words,
    ),
    Claim(
        article="003",
        text="Multi-head attention costs more than self-attention with one head",
        how="operations and traffic at a fixed d_model, counted against the number of heads",
        test=by_counting.heads_cost,
    ),
    Claim(
        article="003",
        text="Self-attention needs more parameters than recurrent layers",
        how="parameters of the layers, counted as polynomials in d_model",
        test=by_counting.parameters,
    ),
    Claim(
        article="003, 004",
        text="An RNN and a CNN see only the previous element",
        how="receptive fields by gradients: which positions, counted from its own, an output sees",
        test=by_properties.receptive_fields,
    ),
    Claim(
        article="003",
        text="Self-attention is parallel, so longer sequences take the same time",
        how="the longest chain of operations that wait for one another, and the work, counted",
        test=by_resources.parallel,
    ),
    Claim(
        article="003",
        text="Memory and energy are open problems of self-attention",
        how="workspace of cores with and without all scores, counted; energy read from a counter",
        test=by_resources.memory_and_energy,
    ),
    Claim(
        article="004",
        text="Softmax makes columns sum to 1, and scores · softmax is the output",
        how="the code in our own words on its five embeddings, and the right output",
        test=by_worked_values.columns_sum_to_one,
    ),
)


def decided(claim: Claim) -> dict[str, Any]:
    """The entry of `attnscale claims --json`: the claim, and what its test decides."""
    decision = claim.decide()
    return {
        "article": claim.article,
        "claim": claim.text,
        "test": claim.how,
        "ruling": str(decision.ruling),
        "condition": decision.condition,
        "evidence": decision.evidence,
        "values": dict(decision.values),
    }
