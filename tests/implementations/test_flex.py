"""torch's flex_attention: the block masks that we make for it, and what it refuses."""

import pytest
import torch

from bench.checks.run_situation import verify_case
from bench.checks.situations import check_cases, first_of_each
from implementations.attention import flex as module
from implementations.attention._compiled import lacks
from implementations.attention.flex import BLOCK, IMPLEMENTATION, NO_BACKWARD, flex
from implementations.case import Case
from implementations.interface import UnsupportedCaseError
from implementations.oracle import full_mask

CPU = torch.device("cpu")
LENGTHS = [(7, 5), (128, 128), (131, 257), (400, 139), (139, 400)]


def blocks(count, numbers):
    """The listed blocks as a set of (block of queries, block of keys)."""
    return {
        (row, int(column))
        for row, many in enumerate(count[0, 0].tolist())
        for column in numbers[0, 0, row, :many]
    }


@pytest.mark.parametrize(("query_len", "key_len"), LENGTHS)
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("window", [None, 1, 30, 129, 300])
def test_a_block_is_skipped_whole_or_partly_seen_as_its_pairs_are(
    query_len, key_len, is_causal, window
):
    mask = module._block_mask(query_len, key_len, is_causal, window, CPU)

    query, key = torch.ones(query_len, 1), torch.ones(key_len, 1)
    seen = full_mask(query, key, None, is_causal, window)
    seen = torch.ones(query_len, key_len, dtype=torch.bool) if seen is None else seen
    some, whole = set(), set()
    for row, queries in enumerate(seen.split(BLOCK)):
        for column, block in enumerate(queries.split(BLOCK, dim=1)):
            if block.all():
                whole.add((row, column))
            elif block.any():
                some.add((row, column))
    assert blocks(mask.full_kv_num_blocks, mask.full_kv_indices) == whole
    assert blocks(mask.kv_num_blocks, mask.kv_indices) == some
    i, j = torch.arange(query_len)[:, None], torch.arange(key_len)
    assert torch.equal(mask.mask_mod(i, i, i, j).expand(seen.shape), seen)


def test_a_mask_is_made_once_for_each_pair_of_lengths():
    first = module._block_mask(37, 41, True, None, CPU)

    assert module._block_mask(37, 41, True, None, CPU) is first
    assert module._block_mask(41, 37, True, None, CPU) is not first


def test_empty_inputs_gradients_on_a_cpu_and_shapes_that_do_not_fit_are_refused(draw):
    query, key, value = draw(dtype=torch.float32)

    with pytest.raises(UnsupportedCaseError, match="empty inputs"):
        flex(query[..., :0, :], key, value)
    with pytest.raises(UnsupportedCaseError, match=NO_BACKWARD):
        flex(query.requires_grad_(), key, value)
    with pytest.raises(ValueError, match="share leading dimensions"):
        flex(query, key[:, :1], value[:, :1])
    assert IMPLEMENTATION.unsupported(Case(seq_len=5, pass_="forward_backward")) == NO_BACKWARD


@pytest.mark.slow
def test_inductor_passes_what_the_gate_asks_of_flex():
    if (reason := lacks("cpu")) is not None:
        pytest.skip(reason)
    asked = first_of_each(check_cases(["float32"]))
    results = [one for case in asked for one in verify_case(IMPLEMENTATION, case)]

    assert [str(one) for one in results if one.bad] == []
    passed = {one.case.name for one in results if one.status == "pass"}
    assert {"plain", "causal", "grouped", "grouped_causal"} <= passed
