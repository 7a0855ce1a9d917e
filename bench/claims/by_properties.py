"""Claims on what a layer does, decided by properties: who sees whom, shapes, refusals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from bench.claims.articles.token_heads import TokenHeads, TokenHeadsMended
from bench.claims.articles.weights_per_head import WeightsPerHead
from bench.claims.articles.wrapped_multi_head import WrappedMultiHead, WrappedMultiHeadMended
from bench.claims.by_counting import parameter_law
from bench.claims.claim import Decision, all_hold
from bench.claims.counted import build_of, coefficient, in_float64, layer_at, layer_law
from bench.claims.reach import ROUNDING, items_seen, normal, reached, refusal, tokens_seen
from implementations.case import Case
from implementations.interface import Implementation
from implementations.layers import convolution, cross_attention, recurrent, single_head
from implementations.masking import causal_mask
from implementations.oracle import largest_error
from implementations.parameters import Build, seeded

CASE = Case(batch=2, seq_len=5, num_heads=3, head_dim=7)
ONE_HEAD = Case(batch=2, seq_len=5, head_dim=7)
CROSS = Case(batch=2, seq_len=5, key_len=11, num_heads=3, head_dim=7)


def _input(case: Case) -> Tensor:
    return normal(case.batch, case.seq_len, case.d_model)


def _error(
    layer: Implementation, module: nn.Module, x: Tensor, case: Case, *memory: Tensor
) -> float:
    """How far the layer is from its plain formula."""
    parameters = dict(module.named_parameters())
    assert layer.layer_oracle is not None
    expected = layer.layer_oracle(parameters, x, memory[0] if memory else None, None, case)
    return largest_error(module(x, *memory), expected.detach())


SINGLE_HEAD = replace(
    single_head.IMPLEMENTATION,
    build=seeded(lambda case: single_head.SingleHead(case.d_model)),  # with its dropout
)


def single_head_layer(layer: Implementation = SINGLE_HEAD) -> Decision:
    """Does the layer compute attention of its projections, and drop weights in training only?"""
    module, x = in_float64(build_of(layer), ONE_HEAD).eval(), _input(ONE_HEAD)
    error = _error(layer, module, x, ONE_HEAD)
    projections = str(parameter_law(layer))
    module.train()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        is_random = not torch.equal(module(x), module(x))
        # Values of 1: an output is the sum of its weights, the same in every feature.
        module.get_parameter("value.weight").zero_()
        module.get_parameter("value.bias").fill_(1.0)
        sums = module(x)
    drops = bool(((sums - 1.0).abs() > ROUNDING).any())
    on_weights = drops and bool((sums - sums[..., :1]).abs().max() <= ROUNDING)
    return all_hold(
        [
            (error <= ROUNDING, f"differs from the formula by {error:.2g}"),
            (projections == "3·d² + 3·d", f"parameters {projections}"),
            (is_random, f"two calls in training {'differ' if is_random else 'are equal'}"),
            (on_weights, f"{'weights' if on_weights else 'no weights'} are dropped"),
        ],
        error=error,
        parameters=projections,
    )


def multi_head_code(
    as_published: Build = lambda case: TokenHeads(case.d_model, case.num_heads),
    mended: Build = lambda case: TokenHeadsMended(case.d_model, case.num_heads),
) -> Decision:
    """Is the code multi-head attention?"""
    raised = refusal(lambda: in_float64(as_published, CASE)(_input(CASE)))
    tokens = tokens_seen(reached(in_float64(mended, CASE), _input(CASE)))
    work = layer_law(mended, num_heads=2)
    n = CASE.seq_len
    return all_hold(
        [
            (raised is None, f"as published: {raised or 'runs'}"),
            (tokens == n, f"with the root computed an output depends on {tokens} of {n} tokens"),
            (
                coefficient(work, n=2, d=1) > 0,
                f"multiply-adds with 2 heads of d: {work}",
            ),
        ],
        raised=raised,
        tokens_seen=tokens,
        multiply_adds=str(work),
    )


def encoder_decoder(layer: Implementation = cross_attention.IMPLEMENTATION) -> Decision:
    """Do the queries of a decoder see every row of an encoder, of another length, and no other?"""
    module, x = in_float64(build_of(layer), CROSS), _input(CROSS)
    memory = normal(CROSS.batch, CROSS.key_len, CROSS.d_model, seed=1)
    shape = tuple(module(x, memory).shape)
    error = _error(layer, module, x, CROSS, memory)
    rows = tokens_seen(reached(lambda seen: module(x, seen), memory))
    queries = tokens_seen(reached(lambda seen: module(seen, memory), x))
    return all_hold(
        [
            (
                shape == tuple(x.shape),
                f"output {shape} of {CROSS.seq_len} queries and {CROSS.key_len} keys",
            ),
            (error <= ROUNDING, f"differs from the formula by {error:.2g}"),
            (rows == CROSS.key_len, f"an output depends on {rows} rows of the encoder"),
            (queries == 1, f"and on {queries} of the decoder"),
        ],
        error=error,
        encoder_rows_seen=rows,
        decoder_rows_seen=queries,
    )


def masked_layer(
    as_published: Build = lambda case: WrappedMultiHead(
        case.d_model, case.num_heads, case.head_dim
    ),
    mended: Build = lambda case: WrappedMultiHeadMended(
        case.d_model, case.num_heads, case.head_dim
    ),
    wide: Build = lambda case: WrappedMultiHeadMended(
        case.d_model, case.num_heads, 2 * case.head_dim
    ),
) -> Decision:
    """Does the layer around torch's own compute masked multi-head attention, of any head_dim?"""
    x, mask = _input(CASE), causal_mask(CASE.seq_len, CASE.seq_len, device=torch.device("cpu"))
    module = in_float64(mended, CASE)
    seen = reached(module, x)
    tokens, items = tokens_seen(seen), items_seen(seen)
    raised = refusal(lambda: in_float64(as_published, CASE)(x))
    masked = refusal(lambda: module(x, attn_mask=mask))
    widened = refusal(lambda: in_float64(wide, CASE)(x))
    maps = coefficient(layer_law(mended), n=1, d=2)
    n = CASE.seq_len
    return all_hold(
        [
            (raised is None, f"as published: {raised or 'runs'}"),
            (
                (tokens, items) == (n, 1),
                f"with two values unpacked an output depends on {tokens} of {n} tokens, "
                f"on {items} of {CASE.batch} items",
            ),
            (masked is None, f"a mask (n, n): {masked or 'is taken'}"),
            (maps == 4, f"{maps}·n·d² multiply-adds in projections, 4·n·d² are needed"),
            (widened is None, f"num_heads·head_dim ≠ d_model: {widened or 'runs'}"),
        ],
        raised=raised,
        tokens_seen=tokens,
        items_seen=items,
        mask=masked,
        projections=float(maps),
        wide=widened,
    )


def shaped_weights(
    layer: Build = lambda case: WeightsPerHead(case.num_heads, case.head_dim),
) -> Decision:
    """Do weights of shape (num_heads, head_dim) give a multi-head layer of the promised shape?"""
    raised = refusal(lambda: in_float64(layer, CASE)(_input(CASE)))
    # Where d_model is num_heads by accident: heads of one feature.
    fitting = Case(batch=2, seq_len=5, num_heads=3, head_dim=1)
    counts = layer_at(layer, fitting)
    scores = fitting.batch * fitting.num_heads * fitting.seq_len**2
    shape = tuple(in_float64(layer, fitting)(_input(fitting)).shape)
    promised = (fitting.batch, fitting.seq_len, fitting.d_model)
    return all_hold(
        [
            (raised is None, f"d_model = {CASE.d_model}: {raised or 'runs'}"),
            (shape == promised, f"d_model = num_heads = 3: output {shape}, promised {promised}"),
            (
                counts.transcendentals == scores,
                f"{counts.transcendentals} scores, {scores} in {fitting.num_heads} heads",
            ),
        ],
        raised=raised,
        scores=counts.transcendentals,
        scores_of_heads=scores,
    )


def _two_convolutions(case: Case) -> nn.Module:
    build = build_of(convolution.IMPLEMENTATION)
    return nn.Sequential(build(case), build(case))


RECEPTIVE: Mapping[str, Build] = {
    **{one.name: build_of(one) for one in (recurrent.IMPLEMENTATION, *recurrent.VARIANTS)},
    **{one.name: build_of(one) for one in (convolution.IMPLEMENTATION, *convolution.VARIANTS)},
    "two convolutions": _two_convolutions,
}


def receptive_fields(layers: Mapping[str, Build] = RECEPTIVE) -> Decision:
    """Does an output see no input but its own and the one before?"""
    case = Case(seq_len=13, head_dim=3)
    middle = case.seq_len // 2
    seen: dict[str, list[int]] = {}
    for name, build in layers.items():
        row = reached(in_float64(build, case), _input(case))[0, middle, 0]
        seen[name] = (row.nonzero().flatten() - middle).tolist()
    told = {name: _offsets(offsets) for name, offsets in seen.items()}
    return all_hold(
        [({-1, 0} >= set(offsets), f"{name}: {told[name]}") for name, offsets in seen.items()],
        **told,
    )


def _offsets(seen: Sequence[int]) -> str:
    """Positions beside an output: all of them, or the first and the last if none is left out."""
    first, last = min(seen), max(seen)
    if len(seen) == last - first + 1 > 2:
        return f"{first} to {last}"
    return ", ".join(map(str, seen))
