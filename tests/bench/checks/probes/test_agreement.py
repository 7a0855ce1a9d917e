"""Each implementation against the reference, then who is right there against each other."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from bench.checks.error_bound import expect
from bench.checks.probes.agreement import CHECK, agreement
from bench.checks.recipe import build
from bench.checks.results import CheckResult
from bench.checks.situations import agreement_cases
from implementations.catalogue import suite
from implementations.interface import Feature, UnsupportedCaseError
from implementations.oracle import softmax_attention
from implementations.specs import from_function
from tests.planted.planted import plain

CASES = {(one.name, one.case.dtype): one for one in agreement_cases()}
CASE, CAUSAL = CASES["agreement", "float32"], CASES["agreement_causal", "float32"]


def formula(name="formula", **changes):
    return replace(from_function(plain, name=name), **changes)


def doubled(query, key, value, **options):
    return 2 * plain(query, key, value, **options)


def own(results: list[CheckResult]) -> dict[str, str]:
    """By implementation: how it compares with the reference."""
    return {one.implementation: one.status for one in results if one.check == "output"}


def pairs(results: list[CheckResult]) -> list[tuple[str, str]]:
    """Who was compared with whom."""
    return [
        (one.implementation, one.check.removeprefix(CHECK))
        for one in results
        if one.check.startswith(CHECK)
    ]


ONE_AND_TWO = [("one", "two"), ("two", "one")]


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize("name", ["agreement", "agreement_causal"])
def test_native_implementations_agree_with_the_reference_and_each_other(name, dtype):
    case = CASES[name, dtype]
    native = [
        one
        for one in suite().values()
        if one.kind == "core" and one.oracle is softmax_attention
        if one.name != "loop" and not one.compiles
        if one.unsupported(case.under(pass_="forward").case) is None
    ]

    results = agreement(native, case)

    assert [str(one) for one in results if one.bad] == []
    assert own(results) == {one.name: "pass" for one in native}
    assert len(pairs(results)) == len(native) * (len(native) - 1)
    assert {one.area for one in results} == {"agreement"}


def test_the_reference_comes_first_and_then_every_ordered_pair_under_the_name_of_its_first():
    three = [formula("one"), formula("two"), formula("three")]

    results = agreement(three, CASE)

    assert [(one.implementation, one.check) for one in results] == [
        ("one", "output"),
        ("two", "output"),
        ("three", "output"),
        ("one", "agrees_with_two"),
        ("one", "agrees_with_three"),
        ("two", "agrees_with_one"),
        ("two", "agrees_with_three"),
        ("three", "agrees_with_one"),
        ("three", "agrees_with_two"),
    ]
    assert {one.error for one in results if one.check.startswith(CHECK)} == {0.0}
    assert all(one.error for one in results if one.check == "output")


def test_who_is_wrong_fails_alone_and_is_compared_with_nobody():
    wrong = from_function(doubled, name="wrong")

    results = agreement([formula("one"), wrong, formula("two")], CASE)

    assert own(results) == {"one": "pass", "wrong": "fail", "two": "pass"}
    assert pairs(results) == ONE_AND_TWO
    assert all(one.ratio is not None and one.ratio > 1000 for one in results if one.bad)


def test_a_pair_that_differs_though_both_are_right_fails_with_what_was_allowed():
    limit = expect(build(CASE, seed=0), oracle=softmax_attention).allowed["output"]

    def calls_apart(query, key, value):
        # Right where it is asked first, and wrong where its answer is kept for the others.
        calls.append(query)
        return plain(query, key, value) + (len(calls) == 2) * 3 * limit

    calls: list[Tensor] = []
    results = agreement([formula(), from_function(calls_apart, name="restless")], CASE)

    assert own(results) == {"formula": "pass", "restless": "pass"}
    assert [(one.check, one.status) for one in results[2:]] == [
        ("agrees_with_restless", "fail"),
        ("agrees_with_formula", "fail"),
    ]
    assert all(one.error == pytest.approx(3 * limit, rel=0.5) for one in results[2:])


def test_both_allowances_count_between_two_and_ones_own_against_the_reference():
    results = agreement([formula("one"), formula("two")], CASE)

    alone = expect(build(CASE, seed=0), oracle=softmax_attention).allowed["output"]
    assert [one.allowed for one in results] == [alone] * 2 + [2 * alone] * 2


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_not_finite_fails_against_the_reference_and_agrees_with_nobody(value):
    def broken(query, key, value_):
        return plain(query, key, value_) * value

    alike = [from_function(broken, name=name) for name in ("three", "four")]
    results = agreement([formula("one"), formula("two"), *alike], CASE)

    assert own(results) == {"one": "pass", "two": "pass", "three": "fail", "four": "fail"}
    assert pairs(results) == ONE_AND_TWO


@pytest.mark.parametrize(
    "problem", [ValueError("no"), UnsupportedCaseError("no"), SystemExit(3)], ids=repr
)
def test_who_raises_or_exits_is_left_out_and_the_others_are_compared(problem):
    def raising(query, key, value):
        raise problem

    results = agreement([formula("one"), from_function(raising), formula("two")], CASE)

    assert own(results) == {"one": "pass", "two": "pass"}
    assert pairs(results) == ONE_AND_TWO


def test_an_interrupt_by_the_user_is_not_taken_for_a_kernels_mistake():
    def interrupted(query, key, value):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        agreement([formula(), from_function(interrupted)], CASE)


@pytest.mark.parametrize(
    "change",
    [lambda out: out.mT, lambda out: out.double(), lambda out: None],
    ids=["mT", "f64", "no"],
)
def test_who_gives_no_such_output_fails_and_is_not_compared(change):
    def other(query, key, value):
        return change(plain(query, key, value))

    results = agreement([formula("one"), from_function(other), formula("two")], CASE)

    assert own(results) == {"one": "pass", "other": "fail", "two": "pass"}
    assert pairs(results) == ONE_AND_TWO
    assert str(next(one for one in results if one.bad).reason).startswith("expected ")


def test_who_does_not_take_the_case_is_left_out():
    short = formula("short", supports=frozenset({Feature.CROSS_LENGTH}))

    assert own(agreement([formula(), short], CAUSAL)) == {"formula": "pass"}
    assert pairs(agreement([formula(), short], CAUSAL)) == []
    assert len(pairs(agreement([formula(), short], CASE))) == 2


def test_who_computes_something_else_is_held_against_it_and_not_against_the_others():
    def unscaled(query, key, value, attn_mask, scale):
        return softmax_attention(query, key, value, attn_mask, 1.0)

    other = from_function(lambda query, key, value: plain(query, key, value, scale=1.0), name="own")
    declared = agreement([formula(), replace(other, oracle=unscaled)], CASE)

    assert own(declared) == {"formula": "pass", "own": "pass"}
    assert pairs(declared) == []
    assert own(agreement([formula(), other], CASE)) == {"formula": "pass", "own": "fail"}


def test_a_kernel_that_changes_its_inputs_does_not_spoil_those_of_the_others():
    def careless(query, key, value):
        output = plain(query, key, value)
        value.zero_()
        return output

    results = agreement([from_function(careless), formula()], CASE)

    assert [one.status for one in results] == ["pass"] * 4


def test_one_alone_has_nobody_to_agree_with_but_the_reference():
    (alone,) = agreement([formula()], CASE)

    assert (alone.implementation, alone.check, alone.status) == ("formula", "output", "pass")
    assert agreement([], CASE) == []
