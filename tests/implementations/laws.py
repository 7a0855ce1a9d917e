"""What is true of attention whatever its inputs are: each law calls a kernel and asserts."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from implementations.oracle import (
    QUANTITIES,
)
from tests.implementations.situations import (
    GRID,
    HUGE,
    NOTHING,
    Call,
    Draws,
    Kernel,
    Situation,
    allowed_error,
    assert_near,
    judge,
)


def outputs_are_those_of_the_oracle(kernel: Kernel, situation: Situation) -> None:
    call, _ = situation.start()
    output = call.output(kernel)
    exact, allowed = judge(call)

    assert output.dtype == call.query.dtype
    assert_near(output, exact["output"], allowed["output"])


def gradients_are_those_of_the_oracle(kernel: Kernel, situation: Situation) -> None:
    call, draws = situation.start()
    upstream = draws.normal(*call.output_shape)
    exact, allowed = judge(call, upstream)

    for name, actual in call.quantities(kernel, upstream).items():
        assert_near(actual, exact[name], allowed[name])


def permuting_queries_permutes_outputs(kernel: Kernel, situation: Situation) -> None:
    call, draws = situation.start()
    order = draws.permutation(situation.query_len)
    mask = None if call.attn_mask is None else call.attn_mask[..., order, :]
    permuted = replace(call, query=call.query[..., order, :], attn_mask=mask)

    expected = call.output(kernel)[..., order, :]
    assert_near(permuted.output(kernel), expected, allowed_error(call, permuted))


def permuting_keys_with_their_values_changes_nothing(kernel: Kernel, situation: Situation) -> None:
    call, draws = situation.start()
    order = draws.permutation(situation.key_len)
    key, value = call.key[..., order, :], call.value[..., order, :]
    mask = None if call.attn_mask is None else call.attn_mask[..., order]
    permuted = replace(call, key=key, value=value, attn_mask=mask)

    assert_near(permuted.output(kernel), call.output(kernel), allowed_error(call, permuted))


def outputs_lie_in_the_convex_hull_of_the_values(kernel: Kernel, situation: Situation) -> None:
    """Along every axis and some random directions, between the least and greatest value seen."""
    call, draws = situation.start()
    random = draws.normal(situation.value_dim, 7).double()
    # With absolute coefficients that sum to 1 an error along a direction is no larger than that of
    # the worst coordinate.
    directions = torch.cat([torch.eye(situation.value_dim), random / random.abs().sum(0)], dim=1)
    seen = call.seen()
    along = (call.value.double() @ directions)[..., None, :, :]
    lowest = along.masked_fill(~seen[..., None], math.inf).amin(-2)
    highest = along.masked_fill(~seen[..., None], -math.inf).amax(-2)

    output = call.output(kernel).double() @ directions

    outside = torch.maximum(lowest - output, output - highest)[seen.any(-1)]
    assert_near(outside.clamp_min(0.0), torch.zeros_like(outside), allowed_error(call))


def outputs_are_linear_in_the_values(kernel: Kernel, situation: Situation) -> None:
    call, draws = situation.start()
    shape = call.value.shape
    # Factors up to 3 keep the combination on the grid, and exact.
    first = replace(call, value=draws.on_grid(*shape))
    second = replace(call, value=draws.on_grid(*shape))
    a, b = draws.index(7) - 3, draws.index(7) - 3
    combined = replace(call, value=a * first.value + b * second.value)

    expected = a * first.output(kernel).double() + b * second.output(kernel).double()
    allowed = (
        allowed_error(combined) + abs(a) * allowed_error(first) + abs(b) * allowed_error(second)
    )
    assert_near(combined.output(kernel), expected, allowed)


def powers_of_two_pass_through_the_values_exactly(kernel: Kernel, situation: Situation) -> None:
    call, draws = situation.start()
    factor = 2.0 ** (draws.index(41) - 20)

    scaled = replace(call, value=factor * call.value)

    assert torch.equal(scaled.output(kernel), factor * call.output(kernel))


def a_constant_on_a_row_of_scores_changes_nothing(kernel: Kernel, situation: Situation) -> None:
    call, draws = situation.start()
    # Whole numbers up to 93: exact in every dtype, and exp of a score like that overflows float32.
    constants = 3 * GRID * draws.on_grid(*situation.leading, situation.query_len, 1)
    shifted = replace(
        call, attn_mask=torch.where(call.seen(), constants, -math.inf), is_causal=False
    )

    assert_near(shifted.output(kernel), call.output(kernel), allowed_error(call, shifted))


def one_vector_added_to_all_keys_changes_nothing(kernel: Kernel, situation: Situation) -> None:
    call, draws = situation.start()
    call = replace(call, key=draws.on_grid(*call.key.shape))
    vector = 3 * draws.on_grid(*situation.leading, 1, situation.head_dim)
    shifted = replace(call, key=call.key + vector)

    assert_near(shifted.output(kernel), call.output(kernel), allowed_error(call, shifted))


def unseen_keys_have_no_influence(kernel: Kernel, situation: Situation) -> None:
    call, draws = situation.start()
    hidden, untouched = hidden_from_a_row(call, draws)
    before = call.output(kernel)

    for size in (1.0, HUGE):
        after = with_other_keys(call, hidden, draws, size).output(kernel)
        assert torch.equal(after[untouched], before[untouched])


def unseen_keys_neither_get_nor_change_gradients(kernel: Kernel, situation: Situation) -> None:
    call, draws = situation.start()
    hidden, untouched = hidden_from_a_row(call, draws)
    upstream = draws.normal(*call.output_shape).masked_fill(~untouched[..., None], 0.0)

    before = call.quantities(kernel, upstream)
    after = with_other_keys(call, hidden, draws, 1.0).quantities(kernel, upstream)

    assert torch.equal(after["grad_query"][untouched], before["grad_query"][untouched])
    for name in ("grad_key", "grad_value"):
        assert torch.equal(after[name][~hidden], before[name][~hidden])
        for gradient in (before[name][hidden], after[name][hidden]):
            assert torch.equal(gradient, torch.zeros_like(gradient))


def hidden_from_a_row(call: Call, draws: Draws) -> tuple[Tensor, Tensor]:
    """The keys that a random row does not see (..., key_len), and all rows that see none of them.

    Under the causal mask these are the future of the row, and the rows up to it.
    """
    seen = call.seen()
    hidden = ~seen[..., draws.index(seen.shape[-2]), :]
    return hidden, ~(seen & hidden[..., None, :]).any(-1)


def with_other_keys(call: Call, which: Tensor, draws: Draws, size: float) -> Call:
    key, value = size * draws.normal(*call.key.shape), size * draws.normal(*call.value.shape)
    return replace(
        call,
        key=torch.where(which[..., None], key, call.key),
        value=torch.where(which[..., None], value, call.value),
    )


def batch_items_and_heads_do_not_touch_each_other(kernel: Kernel, situation: Situation) -> None:
    call, draws = situation.start()
    which, others = one_item(situation, draws)

    after = with_another_item(call, which, draws).output(kernel)

    assert torch.equal(after[others], call.output(kernel)[others])


def gradients_stay_within_their_batch_item_and_head(kernel: Kernel, situation: Situation) -> None:
    call, draws = situation.start()
    which, others = one_item(situation, draws)
    upstream = draws.normal(*call.output_shape)
    other_upstream = torch.where(which, draws.normal(*upstream.shape), upstream)

    before = call.quantities(kernel, upstream)
    after = with_another_item(call, which, draws).quantities(kernel, other_upstream)

    for name in QUANTITIES:
        assert torch.equal(after[name][others], before[name][others])


def one_item(situation: Situation, draws: Draws) -> tuple[Tensor, Tensor]:
    """A mask (..., 1, 1) that chooses one head of one batch item, and (...) of all others."""
    chosen = torch.zeros(math.prod(situation.leading), dtype=torch.bool)
    chosen[draws.index(len(chosen))] = True
    chosen = chosen.reshape(situation.leading)
    return chosen[..., None, None], ~chosen


def with_another_item(call: Call, which: Tensor, draws: Draws) -> Call:
    # Eightfold, so that whatever is shared between items, such as a maximum, is taken from this.
    query, key, value = (
        torch.where(which, 8 * draws.normal(*tensor.shape), tensor)
        for tensor in (call.query, call.key, call.value)
    )
    return replace(call, query=query, key=key, value=value)


def nothing_in_gives_zeros_of_the_right_shape(kernel: Kernel, situation: Situation) -> None:
    for nothing in NOTHING:
        call, _ = replace(situation, **nothing).start()

        output = call.output(kernel)

        assert output.shape == call.output_shape
        assert output.dtype == call.query.dtype
        assert torch.equal(output, torch.zeros_like(output))


def nothing_in_gives_gradients_of_zero(kernel: Kernel, situation: Situation) -> None:
    for nothing in NOTHING:
        call, draws = replace(situation, **nothing).start()

        found = call.quantities(kernel, draws.normal(*call.output_shape))

        for name, tensor in zip(QUANTITIES[1:], (call.query, call.key, call.value), strict=True):
            assert found[name].dtype == tensor.dtype
            assert torch.equal(found[name], torch.zeros_like(tensor))
