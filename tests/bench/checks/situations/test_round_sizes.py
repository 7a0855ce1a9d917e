"""The sizes that models have: every pair of what kernels branch on is asked somewhere."""

from itertools import combinations, product

import pytest

from bench.checks.situation import CheckCase
from bench.checks.situations import check_cases
from bench.checks.situations.round_sizes import MOST_SCORES, round_sizes
from implementations.case import DTYPES

ROUND = list(round_sizes("float32", "cpu"))
LENGTHS = (128, 256, 512, 1024, 2048)
HEAD_DIMS = (64, 128)
BATCHES = HEADS = (1, 3, 4, 8)
CONDITIONS = ("none", "causal", "boolean", "float")
PROBES = ("output_rows", "rows")


def properties(one: CheckCase) -> dict[str, object]:
    case = one.case
    return {
        "head_dim": case.head_dim,
        "batch": case.batch,
        "heads": case.num_heads,
        "condition": "causal" if case.is_causal else case.mask,
        "pass": one.probe,
    }


LEVELS = {
    "head_dim": HEAD_DIMS,
    "batch": BATCHES,
    "heads": HEADS,
    "condition": CONDITIONS,
    "pass": PROBES,
}


@pytest.mark.parametrize(("left", "right"), list(combinations(LEVELS, 2)))
def test_every_pair_of_what_kernels_branch_on_is_asked(left, right):
    asked = {(properties(one)[left], properties(one)[right]) for one in ROUND}

    assert set(product(LEVELS[left], LEVELS[right])) <= asked


@pytest.mark.parametrize("other", LEVELS)
@pytest.mark.parametrize("length", LENGTHS)
def test_every_length_is_asked_with_everything_that_kernels_branch_on(length, other):
    asked = {
        properties(one)[other] for one in ROUND if length in (one.case.seq_len, one.case.key_len)
    }

    assert set(LEVELS[other]) <= asked


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("length", LENGTHS)
def test_every_length_is_asked_of_queries_and_keys_at_once_in_every_condition(length, condition):
    assert any(
        one.case.seq_len == one.case.key_len == length and properties(one)["condition"] == condition
        for one in ROUND
    )


@pytest.mark.parametrize("which", ["seq_len", "key_len"])
@pytest.mark.parametrize("length", [1024, 2048])
def test_many_heads_and_many_items_are_asked_with_many_queries_and_with_many_keys(which, length):
    long = [one.case for one in ROUND if getattr(one.case, which) == length]

    assert max(case.num_heads for case in long) >= 4
    assert max(case.batch for case in long) >= 4


def test_a_few_queries_are_asked_against_many_keys():
    decoding = {(one.case.seq_len, one.case.key_len) for one in ROUND if one.case.seq_len <= 16}

    assert {(1, 1024), (1, 2048), (4, 2048), (16, 1024)} <= decoding


@pytest.mark.parametrize("least", [1, 4])
def test_the_triangle_is_asked_with_more_keys_than_queries(least):
    assert any(
        one.case.is_causal and one.case.key_len > max(700, one.case.seq_len)
        for one in ROUND
        if one.case.num_heads >= least
    )


@pytest.mark.parametrize("manner", ["rows_first", "heavy_tail", "scale", "padding", "per_head"])
def test_scales_memory_and_broadcast_masks_come_with_round_sizes_too(manner):
    assert sum(one.name.endswith(manner) for one in ROUND) >= 4


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_cpu_is_not_asked_for_the_largest_in_dtypes_that_it_may_be_slow_in(dtype):
    def scores(one: CheckCase) -> int:
        return one.case.batch * one.case.num_heads * one.case.seq_len * one.case.key_len

    most = MOST_SCORES.get(dtype, 2**24)

    assert max(map(scores, round_sizes(dtype, "cpu"))) <= most
    assert [one.name for one in round_sizes(dtype, "cuda")] == [one.name for one in ROUND]


def test_round_sizes_are_part_of_what_is_checked():
    names = {one.name for one in check_cases(["float32"])}

    assert {one.name for one in ROUND} <= names
