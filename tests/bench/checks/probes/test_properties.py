"""Symmetries, bounds and no leakage: each property is broken by a kernel that breaks just it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.checks.probes.properties import check_properties
from bench.checks.probes.trial import Trial
from bench.checks.results import CheckResult
from bench.checks.situations import check_cases
from implementations.masking import resolve_scale
from implementations.specs import from_function
from tests.daily import daily
from tests.planted.causal import causal_leaks_a_rounding_step, causal_one_key_more
from tests.planted.gradients import triangle_forgotten_backward
from tests.planted.grouped import grouped_repeated
from tests.planted.heads import heads_leak_a_rounding_step, items_leak_a_rounding_step
from tests.planted.masks import masked_keys_weigh_a_rounding_step
from tests.planted.planted import plain

CASES = {one.name: one for one in check_cases(["float32"])}
SITUATIONS = [name for name, one in CASES.items() if one.probe == "properties"]
APART = ["batch_apart", "heads_apart", "queries_apart"]
BOUNDS = ["hull", "linear_in_value"]
SYMMETRIES = ["queries_permuted", "keys_permuted", "scores_shifted"]
Core = Callable[..., Tensor]


def judged(core: Core, name: str = "properties", seed: int = 0, **condition: Any):
    case = replace(CASES[name], case=replace(CASES[name].case, **condition))
    trial = Trial(implementation=from_function(core), case=case, seed=seed)
    return list(check_properties(trial))


def bad(results: list[CheckResult]) -> dict[str, str | None]:
    return {one.check: one.reason for one in results if one.bad}


@pytest.mark.parametrize(
    ("name", "checks"),
    [
        ("properties", [*APART, *BOUNDS, *SYMMETRIES]),
        ("properties_67x67", [*APART, *BOUNDS, *SYMMETRIES]),
        ("properties_boolean_mask", ["masked_ignored", *APART, *BOUNDS, *SYMMETRIES]),
        ("properties_float_mask", ["masked_ignored", *APART, *BOUNDS, *SYMMETRIES]),
        ("properties_causal", ["future_ignored", *APART, *BOUNDS]),
        ("properties_causal_67x67", ["future_ignored", *APART, *BOUNDS]),
        ("grouped_properties", [*APART, "group_apart", *BOUNDS, *SYMMETRIES]),
        ("grouped_properties_causal", ["future_ignored", *APART, "group_apart", *BOUNDS]),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_the_formula_has_every_property_that_a_situation_can_show(name, checks, dtype):
    results = judged(grouped_repeated, name, dtype=dtype)

    assert [(one.check, one.status) for one in results] == [(check, "pass") for check in checks]


def test_every_situation_of_properties_is_tried_here():
    assert len(SITUATIONS) == 10


@pytest.mark.parametrize("seed", daily([1, 2, 3, 5, 7]))
@pytest.mark.parametrize("name", SITUATIONS)
def test_the_formula_has_its_properties_whatever_the_seed(name, seed):
    assert bad(judged(grouped_repeated, name, seed)) == {}


def next_head_of_the_group_seen(query, key, value, *, enable_gqa=False, **options):
    output = grouped_repeated(query, key, value, enable_gqa=enable_gqa, **options)
    pairs = output.unflatten(-3, (-1, 2))
    return output + 1e-3 * pairs.flip(-3).flatten(-4, -3)


def test_heads_that_share_keys_are_told_apart_by_their_queries_alone():
    failed = bad(judged(next_head_of_the_group_seen, "grouped_properties"))

    assert failed["group_apart"] == "heads see each other"
    assert "heads_apart" not in failed


def first_query_seen_by_the_others(query, key, value, **options):
    output = plain(query, key, value, **options)
    return output + 1e-3 * output[..., :1, :]


@pytest.mark.parametrize(
    ("kernel", "check", "reason"),
    [
        (items_leak_a_rounding_step, "batch_apart", "batch items see each other"),
        (heads_leak_a_rounding_step, "heads_apart", "heads see each other"),
        (first_query_seen_by_the_others, "queries_apart", "queries see each other"),
    ],
)
def test_a_leak_of_a_rounding_step_fails(kernel, check, reason):
    assert bad(judged(kernel))[check] == reason


@pytest.mark.parametrize("name", ["properties", "properties_causal", "properties_float_mask"])
def test_answers_that_others_move_by_no_more_than_rounding_does_are_apart(name):
    def kernel(query, key, value, **options):
        # As a kernel may that rescales a tile of several items when one of them needs it.
        rescaled = bool(value.abs().max() > 1000) or bool(query.abs().max() > 8)
        output = plain(query, key, value, **options)
        return output * (1.0 + 2.0**-23 * rescaled)

    results = judged(kernel, name)

    assert bad(results) == {}
    moved = [one for one in results if one.check in APART]
    assert [one.check for one in moved] == APART
    assert all(one.error and one.allowed and one.error <= one.allowed for one in moved)


def test_twice_the_allowance_of_the_output_is_what_others_may_move_it_by():
    (allowed,) = {one.allowed for one in judged(plain) if one.check in APART}

    assert allowed == pytest.approx(
        2 * next(one.allowed for one in judged(plain) if one.check == "hull")
    )


@pytest.mark.parametrize("check", ["batch_apart", "heads_apart", "queries_apart"])
def test_a_not_a_number_that_comes_from_others_fails(check):
    seen = {
        "batch_apart": lambda query, value: value[:1].abs().max() > 1000 and value.shape[0] > 1,
        "heads_apart": lambda query, value: value[:, :1].abs().max() > 1000,
        "queries_apart": lambda query, value: query[..., :1, :].abs().max() > 8,
    }[check]

    def kernel(query, key, value):
        output = plain(query, key, value)
        return output * torch.nan if bool(seen(query, value)) else output

    assert "not finite where the reference is" in str(bad(judged(kernel))[check])


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_a_future_key_of_a_rounding_steps_weight_is_seen(dtype):
    reasons = bad(judged(causal_leaks_a_rounding_step, "properties_causal", dtype=dtype))

    assert reasons == {"future_ignored": "query 0 sees a key that comes later"}


def test_the_next_key_is_seen_by_the_first_query():
    reasons = bad(judged(causal_one_key_more, "properties_causal"))

    assert reasons == {"future_ignored": "query 0 sees a key that comes later"}


def test_a_late_query_that_sees_the_future_is_named():
    def kernel(query, key, value, is_causal=False):
        output = plain(query, key, value, is_causal=is_causal)
        late = torch.arange(query.shape[-2])[:, None] == 3
        return torch.where(late, plain(query, key, value), output)

    reasons = bad(judged(kernel, "properties_causal"))

    assert reasons == {"future_ignored": "query 3 sees a key that comes later"}


def test_a_gradient_that_reaches_the_future_is_seen():
    reasons = bad(judged(triangle_forgotten_backward, "properties_causal"))

    assert reasons == {"future_ignored": "query 0 sends a gradient to a later key"}
    assert bad(judged(triangle_forgotten_backward, "properties_causal", pass_="forward")) == {}


@pytest.mark.parametrize("name", ["properties_boolean_mask", "properties_float_mask"])
def test_a_masked_key_of_a_rounding_steps_weight_is_seen(name):
    reasons = bad(judged(masked_keys_weigh_a_rounding_step, name))

    assert reasons == {"masked_ignored": "a masked key is seen"}


@pytest.mark.parametrize("name", ["properties_boolean_mask", "properties_float_mask"])
def test_an_ignored_mask_is_seen(name):
    def kernel(query, key, value, attn_mask=None):
        return plain(query, key, value)

    assert "masked_ignored" in bad(judged(kernel, name))


def test_an_output_beyond_all_values_fails():
    def kernel(query, key, value):
        return value.amax(dim=-2, keepdim=True) + plain(query, key, value) ** 2

    reasons = bad(judged(kernel))

    assert reasons["hull"] == "an output lies beyond all values"


def test_an_output_at_the_edge_of_the_values_is_within_them():
    def kernel(query, key, value):
        return value.amax(dim=-2, keepdim=True).expand(*query.shape[:-1], value.shape[-1]).clone()

    assert "hull" not in bad(judged(kernel))


def test_rows_without_keys_may_be_zero_though_no_value_is():
    def kernel(query, key, value, attn_mask=None):
        return torch.zeros_like(query)

    assert "hull" not in bad(judged(kernel, "properties_boolean_mask"))


def test_an_output_that_is_not_linear_in_the_values_fails_alone():
    def kernel(query, key, value):
        return plain(query, key, value.clamp(-1.0, 1.0))

    assert bad(judged(kernel)) == {"linear_in_value": "the output is not linear in value"}


def test_an_output_that_depends_on_the_place_of_its_query_fails_alone():
    def kernel(query, key, value):
        places = torch.linspace(0.5, 1.0, query.shape[-2])[:, None]
        return plain(query, key, value) * places

    assert bad(judged(kernel)) == {
        "queries_permuted": "permuting the queries does not permute the outputs"
    }


def test_an_output_that_depends_on_the_place_of_a_key_fails_alone():
    def kernel(query, key, value):
        return plain(query, key[..., :-1, :], value[..., :-1, :])

    assert bad(judged(kernel)) == {
        "keys_permuted": "permuting the keys with their values changes the output"
    }


def test_an_output_that_depends_on_the_level_of_its_scores_fails_alone():
    def kernel(query, key, value):
        powers = (query @ key.mT * resolve_scale(query, None)).exp()
        return powers / (1.0 + powers.sum(dim=-1, keepdim=True)) @ value

    assert bad(judged(kernel)) == {
        "scores_shifted": "adding a constant to a row of scores changes the output"
    }


def test_properties_hold_without_knowing_the_right_answer():
    def kernel(query, key, value):
        return plain(query, key, value, scale=1.0)

    assert bad(judged(kernel)) == {}


def test_an_output_of_another_kind_is_the_only_failure():
    results = judged(lambda query, key, value: plain(query, key, value).double())

    assert [(one.check, one.reason) for one in results] == [
        ("output", "expected torch.float32 on cpu, got torch.float64 on cpu")
    ]


def test_an_output_that_is_not_finite_is_the_only_failure():
    results = judged(lambda query, key, value: plain(query, key, value) / 0.0)

    assert [(one.check, one.reason) for one in results] == [
        ("output", "not finite where the reference is")
    ]


def test_refused_gradients_are_the_business_of_other_checks():
    def kernel(query, key, value, is_causal=False):
        if query.requires_grad:
            raise RuntimeError("inference only")
        return plain(query, key, value, is_causal=is_causal)

    assert bad(judged(kernel, "properties_causal")) == {}
