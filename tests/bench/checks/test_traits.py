"""Kinds of situations: each is a yes or a no in words, and together they tell cases apart."""

import pytest

from bench.checks.situation import CheckCase
from bench.checks.situations import check_cases
from bench.checks.traits import ALL_KINDS, FEATURES, KINDS

CASES = {one.name: one for one in check_cases(["float32"])}
PLAIN = CASES["plain"]


def kinds_of(case: CheckCase) -> set[str]:
    return {words for kind in (*FEATURES, *KINDS) if (words := kind(case)) is not None}


MULTIPLES = {f"a length that is no multiple of {size}" for size in (8, 16, 32, 64, 128)}
ODD_HEADS = {f"a head_dim that is no multiple of {size}" for size in (8, 16, 32, 64, 128)}
SMALL = {"a head_dim below 16", "a head_dim that is no power of 2"}
USUAL = {"float32", "4 dimensions", *ODD_HEADS, *SMALL}
LONGER = {"a key_len other than query_len", "more keys than queries"}


def test_a_plain_case_is_of_few_kinds():
    assert kinds_of(PLAIN) == {*USUAL, *MULTIPLES, "an odd number of heads"}
    plain = {"float32", "4 dimensions", "a head_dim that is no multiple of 128"}
    assert kinds_of(CASES["plain_64"]) == {*plain, "a length that is no multiple of 128"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("more_keys", LONGER),
        ("more_queries", {"a key_len other than query_len", "more queries than keys"}),
        ("value_dim", {*LONGER, "a value_dim other than head_dim"}),
        ("many_features", {*LONGER, "a head_dim of 257"}),
        ("two_dimensions", {*LONGER, "2 dimensions"}),
        ("three_dimensions", {*LONGER, "3 dimensions", "an odd number of heads"}),
        ("five_dimensions", {*LONGER, "5 dimensions"}),
        ("head_dim_96", {"a head_dim that is no power of 2"}),
        ("head_dim_192", {"a head_dim of 192", "a head_dim that is no multiple of 128"}),
        ("value_dim_128", {*LONGER, "a value_dim other than head_dim"}),
        ("many_items", {*LONGER, "a batch above 64", "an odd number of heads"}),
        ("many_heads", {*LONGER, "a num_heads above 64", "an odd number of heads"}),
        ("zero_keys", {"more queries than keys", "zero keys"}),
        ("zero_queries_causal", {*LONGER, "is_causal", "zero queries causal"}),
        ("zero_keys_masked", {"a boolean mask", "a mask of (query_len, key_len)"}),
        ("causal", {"is_causal"}),
        (
            "causal_more_keys",
            {
                *LONGER,
                "is_causal",
                "a key_len other than query_len with is_causal",
                "more keys than queries with is_causal",
            },
        ),
        (
            "causal_more_queries",
            {"more queries than keys with is_causal", "more queries than keys"},
        ),
        ("boolean_mask", {"a boolean mask", "a mask of (query_len, key_len)"}),
        ("float_mask_of_keys", {"a float mask", "the mask of float_mask_of_keys"}),
        ("banded_mask", {"a boolean mask", "a mask of (query_len, key_len)"}),
        ("boolean_mask_of_heads", {"a boolean mask", "the mask of boolean_mask_of_heads"}),
        ("packed", {"inputs in memory as in packed"}),
        ("upstream_of_a_sum", {"inputs in memory as in upstream_of_a_sum"}),
        ("scale", {"scale"}),
        ("scale_zero", {"scale", "a scale of 0"}),
        ("dropout_masked", {"dropout_p", "scale", "a boolean mask"}),
        ("long_keys", {f"a key_len above {size}" for size in (128, 256, 512, 1024, 2048)}),
        ("4099_queries", {f"a seq_len above {size}" for size in (2048, 4096)}),
    ],
)
def test_a_case_is_of_the_kinds_that_it_was_made_for(name, words):
    assert words <= kinds_of(CASES[name])


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("causal", LONGER),
        ("two_dimensions", {"4 dimensions", "an odd number of heads"}),
        ("scale", {"a scale of 0"}),
        ("many_features", {"a head_dim below 16"}),
        ("smaller_value_dim", {"a head_dim of 3"}),
        (
            "head_dim_96",
            {"a head_dim that is no multiple of 32", "a head_dim of 96", *SMALL}
            - {"a head_dim that is no power of 2"},
        ),
        ("head_dim_128", {*SMALL, *ODD_HEADS, "a head_dim of 128"}),
        ("block_64x64", {*MULTIPLES} - {"a length that is no multiple of 128"}),
        ("block_128x128", {*MULTIPLES, "a key_len above 128", "a seq_len above 128"}),
        ("boolean_mask_of_keys", {"a mask of (query_len, key_len)", "a float mask"}),
        ("single_key", {"zero keys"}),
    ],
)
def test_a_case_is_not_of_kinds_that_are_nearly_its_own(name, others):
    assert kinds_of(CASES[name]).isdisjoint(others)


def test_every_kind_divides_the_situations_in_two():
    cases = check_cases()
    for kind in (*FEATURES, *KINDS):
        found = [kind(one) for one in cases]
        words = {one for one in found if one is not None}
        assert words
        assert all(0 < found.count(one) < len(cases) for one in words), words


def test_a_failure_may_depend_on_all_that_a_refusal_may_and_on_no_kind_twice():
    words = [
        [text for kind in ALL_KINDS if (text := kind(one)) is not None] for one in CASES.values()
    ]

    assert set(FEATURES) <= set(ALL_KINDS)
    assert len(set(ALL_KINDS)) == len(ALL_KINDS)
    assert all(len(set(found)) == len(found) for found in words)
    # What two kinds say together is not said a third time.
    assert not any("with is_causal" in text for found in words for text in found)
