"""Refused kinds of cases are unsupported where nothing was declared; what is wrong stays wrong."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from bench.checks.probes.trial import WHERE_ASKED
from bench.checks.refusals import mark_refusals_unsupported
from bench.checks.results import LOST, CheckResult
from bench.checks.run_situation import verify
from bench.checks.situation import CheckCase
from bench.checks.situations import check_cases
from implementations.attention.matmul import matmul
from implementations.specs import from_function
from tests.bench.checks.outcomes import BROKEN, DECLARED, MINE, SAID, is_empty, reasons, result

CASES = check_cases(["float32", "bfloat16"])


Refusal = Callable[[CheckCase], bool]


def answers(refuses: Refusal, **refused: Any) -> list[CheckResult]:
    """A pass for every case, and what `refused` says for those that are refused."""
    given = {"status": "error", "reason": SAID, **refused}
    passed = {"status": "pass", "error": 0.0, "allowed": 1.0}
    return [result(case, **(given if refuses(case) else passed)) for case in CASES]


KINDS: dict[str, tuple[Refusal, str]] = {
    "a dtype": (lambda one: one.case.dtype == "bfloat16", "bfloat16"),
    "two dimensions": (lambda one: not one.leading, "2 dimensions"),
    "three dimensions": (lambda one: len(one.leading) == 1, "3 dimensions"),
    "five dimensions": (lambda one: len(one.leading) == 3, "5 dimensions"),
    "another value_dim": (
        lambda one: one.case.value_dim != one.case.head_dim,
        "a value_dim other than head_dim",
    ),
    "another length if causal": (
        lambda one: one.case.is_causal and one.case.seq_len != one.case.key_len,
        "a key_len other than query_len with is_causal",
    ),
    "more keys if causal": (
        lambda one: one.case.is_causal and one.case.key_len > one.case.seq_len,
        "more keys than queries with is_causal",
    ),
    "more queries": (lambda one: one.case.key_len < one.case.seq_len, "more queries than keys"),
    "heads of 257": (lambda one: one.case.head_dim == 257, "a head_dim of 257"),
    "long keys": (lambda one: one.case.key_len > 1024, "a key_len above 1024"),
    "many queries": (lambda one: one.case.seq_len > 256, "a seq_len above 256"),
    "many items": (lambda one: one.case.batch > 64, "a batch above 64"),
    "many heads": (lambda one: one.case.num_heads > 64, "a num_heads above 64"),
    "no batch": (lambda one: 0 in one.leading, "zero batch"),
    "packed inputs": (lambda one: one.name == "packed", "inputs in memory as in packed"),
    "a summed upstream": (
        lambda one: one.name == "upstream_of_a_sum",
        "inputs in memory as in upstream_of_a_sum",
    ),
    "a mask per head": (
        lambda one: one.name == "float_mask_per_head",
        "the mask of float_mask_per_head",
    ),
}


# Keywords of the signature, which is a promise.
FEATURES: dict[str, tuple[Refusal, str]] = {
    "causal": (lambda one: one.case.is_causal, "is_causal"),
    "boolean masks": (lambda one: one.case.mask == "boolean", "a boolean mask"),
    "float masks": (lambda one: one.case.mask == "float", "a float mask"),
    "scales": (lambda one: one.scale is not None, "scale"),
    "a scale of zero": (lambda one: one.scale == 0.0, "a scale of 0"),
    "dropout": (lambda one: one.probe == "dropout", "dropout_p"),
}


def in_turn(cases: Mapping[str, tuple[Any, ...]], *others: Any) -> list[Any]:
    """Each case with one of the others, these in turn; with the rest of them in slow tests."""
    return [
        pytest.param(
            *case,
            other,
            id=f"{name}-{number}",
            marks=pytest.mark.slow if (place + number) % len(others) else (),
        )
        for place, (name, case) in enumerate(cases.items())
        for number, other in enumerate(others)
    ]


@pytest.mark.parametrize(("refuses", "words", "said"), in_turn(KINDS, SAID, BROKEN))
def test_raising_in_every_case_of_a_kind_is_unsupported_and_says_which_and_how(
    refuses, words, said
):
    found = mark_refusals_unsupported(MINE, answers(refuses, reason=said))

    assert reasons(found) == {f"mine refuses {words}: {said}"}
    for one in found:
        assert one.status == ("unsupported" if refuses(one.case) else "pass")


@pytest.mark.parametrize(
    ("refuses", "words", "said"),
    in_turn(FEATURES, SAID, "raised AssertionError: no", "raised AssertionError"),
)
def test_a_keyword_may_be_taken_back_on_purpose_and_in_every_case(refuses, words, said):
    found = mark_refusals_unsupported(MINE, answers(refuses, reason=said))

    assert reasons(found) == {f"mine refuses {words}: {said}"}
    for one in found:
        assert one.status == ("unsupported" if refuses(one.case) else "pass")


@pytest.mark.parametrize(
    ("refuses", "words", "said"),
    in_turn(FEATURES, BROKEN, "raised IndexError: 7", "raised KeyError", "ValueError"),
)
def test_any_other_exception_for_a_keyword_is_an_error_in_every_case(refuses, words, said):
    found = answers(refuses, reason=said)

    assert mark_refusals_unsupported(MINE, found) == found


@pytest.mark.parametrize(("refuses", "words"), FEATURES.values(), ids=list(FEATURES))
def test_a_keyword_that_is_taken_in_half_precision_is_not_taken_back_in_single(refuses, words):
    found = answers(lambda one: refuses(one) and one.case.dtype == "float32")

    assert mark_refusals_unsupported(MINE, found) == found


def test_that_a_rate_of_zero_is_taken_does_not_keep_dropout_from_being_refused():
    dropping = [one for one in CASES if one.probe == "dropout"]
    zero = [result(one, "pass", check="zero_rate", error=0.0, allowed=1.0) for one in dropping]

    found = mark_refusals_unsupported(MINE, [*answers(lambda one: one.probe == "dropout"), *zero])

    assert reasons(found) == {f"mine refuses dropout_p: {SAID}"}
    assert not any(one.bad for one in found)


def by_name(found: Sequence[CheckResult], *names: str) -> set[str | None]:
    return {one.reason for one in found if one.case.name in names}


# Where several kinds fit, each case has the reason of the widest.
WIDE: dict[str, tuple[Refusal, tuple[str, ...], str]] = {
    "another length": (
        lambda one: one.case.seq_len != one.case.key_len,
        ("more_keys", "more_queries", "two_dimensions", "value_dim", "columns_first", "zero_keys"),
        "a key_len other than query_len",
    ),
    "more keys": (
        lambda one: one.case.key_len > one.case.seq_len,
        ("more_keys", "five_dimensions", "float_mask"),
        "more keys than queries",
    ),
    "small heads": (
        lambda one: min(one.case.head_dim, one.case.value_dim) < 16,
        ("plain", "smaller_value_dim", "causal"),
        "a head_dim below 16",
    ),
    "heads of no multiple of 32": (
        lambda one: bool(one.case.head_dim % 32 or one.case.value_dim % 32),
        ("block_128x128", "long_sums"),
        "a head_dim that is no multiple of 32",
    ),
    "lengths of no multiple of 64": (
        lambda one: bool(one.case.seq_len % 64 or one.case.key_len % 64),
        ("block_32x32",),
        "a length that is no multiple of 64",
    ),
    "odd numbers of heads": (
        lambda one: one.case.num_heads % 2 == 1,
        ("plain", "causal", "float_mask"),
        "an odd number of heads",
    ),
    "all but four dimensions": (
        lambda one: len(one.leading) != 2,
        ("three_dimensions", "causal_three_dimensions"),
        "3 dimensions",
    ),
    "four dimensions": (
        lambda one: len(one.leading) == 2,
        ("plain", "causal", "float_mask"),
        "4 dimensions",
    ),
}


@pytest.mark.parametrize(("refuses", "names", "words", "said"), in_turn(WIDE, SAID, BROKEN))
def test_raising_in_every_case_of_a_wide_kind_is_unsupported(refuses, names, words, said):
    found = mark_refusals_unsupported(MINE, answers(refuses, reason=said))

    assert {one.status for one in found if refuses(one.case)} == {"unsupported"}
    assert {one.status for one in found if not refuses(one.case)} == {"pass"}
    assert by_name(found, *names) == {f"mine refuses {words}: {said}"}


# Each of these is a kind of its own: a kernel may go another way under other conditions.
SEVERAL: dict[str, tuple[Refusal, set[str]]] = {
    "no queries": (
        lambda one: not one.case.seq_len,
        {"zero queries", "zero queries causal", "zero queries masked"},
    ),
    "no keys": (
        lambda one: not one.case.key_len,
        {"zero keys", "zero keys causal", "zero keys masked"},
    ),
    "wide heads": (
        lambda one: one.case.head_dim > 128,
        {f"a head_dim of {size}" for size in (192, 256, 257)},
    ),
    "no keys with a mask": (
        lambda one: not one.case.key_len and one.case.mask != "none",
        {"zero keys masked"},
    ),
    "no queries if causal": (
        lambda one: not one.case.seq_len and one.case.is_causal,
        {"zero queries causal"},
    ),
    "nothing": (
        is_empty,
        {
            *("zero queries", "zero queries causal", "zero queries masked"),
            *("zero keys", "zero keys causal", "zero keys masked"),
            "zero batch",
        },
    ),
}


@pytest.mark.parametrize(("refuses", "words"), SEVERAL.values(), ids=list(SEVERAL))
def test_empty_inputs_and_wide_heads_may_be_refused_one_by_one_or_together(refuses, words):
    found = mark_refusals_unsupported(MINE, answers(refuses))

    assert reasons(found) == {f"mine refuses {one}: {SAID}" for one in words}
    for one in found:
        assert one.status == ("unsupported" if refuses(one.case) else "pass")


def test_a_scale_of_zero_is_not_said_to_be_refused_where_it_is_another_kind_that_is():
    found = mark_refusals_unsupported(
        MINE, answers(lambda one: one.case.seq_len != one.case.key_len)
    )

    assert by_name(found, "scale_zero") == {f"mine refuses a key_len other than query_len: {SAID}"}


def test_several_kinds_may_be_refused_by_one_kernel():
    def refuses(case: CheckCase) -> bool:
        return case.case.dtype == "bfloat16" or len(case.leading) != 2 or is_empty(case)

    found = mark_refusals_unsupported(MINE, answers(refuses))

    assert {one.status for one in found} == {"pass", "unsupported"}
    assert len(reasons(found)) == 1 + 3 + 7


ASKED = f"{WHERE_ASKED}raised RuntimeError: inference only"


def gradients_of(status: str, reason: str | None, wanted: Refusal) -> list[CheckResult]:
    """The output passes in every case; so do the gradients, but for the wanted cases."""
    found = answers(lambda one: False)
    for one in CASES:
        if wanted(one):
            found.append(result(one, status, check="grad_query", reason=reason))
        else:
            found.append(result(one, "pass", check="grad_query", error=0.0, allowed=1.0))
    return found


def test_a_kernel_that_raises_wherever_gradients_are_asked_for_has_none():
    found = mark_refusals_unsupported(MINE, gradients_of("error", ASKED, lambda one: True))

    assert reasons(found) == {f"mine refuses inputs that require gradients: {ASKED}"}
    assert {(one.check, one.status) for one in found} == {
        ("output", "pass"),
        ("grad_query", "unsupported"),
    }


@pytest.mark.parametrize(
    ("status", "reason", "wanted"),
    [
        ("error", ASKED, lambda one: one.name != "plain"),
        ("error", ASKED, lambda one: one.name == "plain"),
        ("error", "the backward pass raised RuntimeError: no", lambda one: True),
        ("fail", "no gradient reaches query: the output is detached", lambda one: True),
    ],
    ids=["but once", "once", "in the backward pass", "detached"],
)
def test_gradients_that_come_here_and_there_or_fail_otherwise_are_not_excused(
    status, reason, wanted
):
    found = gradients_of(status, reason, wanted)

    assert mark_refusals_unsupported(MINE, found) == found
    assert mark_refusals_unsupported(DECLARED, found) == found


def test_who_declared_gradients_is_not_excused_for_refusing_them_everywhere():
    found = gradients_of("error", ASKED, lambda one: True)

    assert mark_refusals_unsupported(DECLARED, found) == found


SOME: dict[str, Refusal] = {
    "of a dtype": lambda one: one.case.dtype == "bfloat16" and one.name != "plain",
    "of three dimensions": lambda one: one.name == "three_dimensions",
    "of another value_dim": lambda one: one.name == "value_dim",
    "of more keys": lambda one: one.name == "block_31x33",
    "of causal ones": lambda one: one.name == "causal_scale",
    "of wide heads": lambda one: one.case.head_dim > 128 and one.case.dtype == "bfloat16",
    "of empty ones": lambda one: one.name == "zero_keys" and one.case.dtype == "bfloat16",
    "of another length": lambda one: one.name == "more_keys",
    "of a memory layout": lambda one: one.name == "packed" and one.case.dtype == "bfloat16",
    "of a mask's shape": lambda one: (
        one.name == "boolean_mask_of_heads" and one.case.dtype == "bfloat16"
    ),
    "at a size": lambda one: one.name == "long_keys",
}


@pytest.mark.parametrize("refuses", SOME.values(), ids=list(SOME))
def test_raising_in_some_cases_of_a_kind_stays_an_error(refuses):
    found = answers(refuses)

    assert any(one.bad for one in found)
    assert mark_refusals_unsupported(MINE, found) == found


WHATEVER: dict[str, Refusal] = {
    "everywhere": lambda one: True,
    "if not causal": lambda one: not one.case.is_causal,
    "without a mask": lambda one: one.case.mask == "none",
    "with any mask": lambda one: one.case.mask != "none",
    "with a mask or causal": lambda one: one.case.mask != "none" or one.case.is_causal,
}


@pytest.mark.parametrize("refuses", WHATEVER.values(), ids=list(WHATEVER))
def test_raising_for_a_keyword_that_is_taken_or_without_it_stays_an_error_in_every_kind(refuses):
    found = answers(refuses, reason=BROKEN)

    assert mark_refusals_unsupported(MINE, found) == found


@pytest.mark.parametrize(("refuses", "words"), KINDS.values(), ids=list(KINDS))
def test_who_declares_what_it_supports_is_never_excused(refuses, words):
    found = answers(refuses)

    assert mark_refusals_unsupported(DECLARED, found) == found


WRONG = (
    {"status": "fail", "error": 2.0, "allowed": 1.0, "reason": None},
    {"status": "fail", "reason": "expected shape (2, 3), got (3, 2)"},
    {"check": LOST, "reason": "the worker exited with 3"},
)


@pytest.mark.parametrize(("refuses", "words", "values"), in_turn(KINDS, *WRONG))
def test_what_is_wrong_or_takes_the_process_down_is_never_excused(refuses, words, values):
    found = answers(refuses, **values)

    assert mark_refusals_unsupported(MINE, found) == found


def test_a_kind_in_which_something_is_wrong_is_not_refused():
    found = answers(lambda one: one.case.dtype == "bfloat16")
    wrong = next(n for n, one in enumerate(found) if one.bad and one.case.name == "more_keys")
    found[wrong] = result(found[wrong].case, "fail", error=2.0, allowed=1.0)

    assert mark_refusals_unsupported(MINE, found) == found


def test_what_is_unsupported_already_does_not_keep_a_kind_from_being_refused():
    found = [
        replace(one, status="unsupported", reason="mine does not support causal")
        if one.case.case.is_causal
        else one
        for one in answers(lambda one: one.case.dtype == "bfloat16")
    ]

    after = mark_refusals_unsupported(MINE, found)

    assert not any(one.bad for one in after)
    assert reasons(after) == {"mine does not support causal", f"mine refuses bfloat16: {SAID}"}


def test_a_kernel_without_masks_may_give_nothing_finite_where_there_are_no_keys():
    keyless = answers(lambda one: not one.case.key_len, status="fail", reason="not finite")
    maskless = from_function(lambda query, key, value: value, name="mine")

    assert reasons(mark_refusals_unsupported(maskless, keyless)) == {
        "mine gives nothing finite where there are no keys"
    }
    assert mark_refusals_unsupported(MINE, keyless) == keyless
    assert mark_refusals_unsupported(replace(maskless, declared=True), keyless) == keyless


def test_a_real_kernel_for_four_dimensions_in_single_precision_fails_nothing():
    def narrow(query, key, value, *, is_causal=False):
        if query.dim() != 4:
            raise ValueError("four dimensions are needed")
        if query.element_size() < 4:
            raise TypeError("half precision is not for me")
        return matmul(query, key, value, is_causal=is_causal)

    kernel = from_function(narrow)
    names = {"plain", "more_keys", "two_dimensions", "three_dimensions", "causal"}
    tried = [one for one in CASES if one.name in names]

    found = mark_refusals_unsupported(kernel, list(verify(kernel, tried)))

    assert not any(one.bad for one in found)
    assert reasons(found) == {
        "narrow refuses bfloat16: raised TypeError: half precision is not for me",
        "narrow refuses 2 dimensions: raised ValueError: four dimensions are needed",
        "narrow refuses 3 dimensions: raised ValueError: four dimensions are needed",
    }
    passed = {one.case.name for one in found if one.status == "pass"}
    assert passed == {"plain", "more_keys", "causal"}


def test_a_real_kernel_that_breaks_at_one_length_is_not_excused():
    def breaking(query, key, value):
        if key.shape[-2] == 13:
            raise ValueError("thirteen")
        return matmul(query, key, value)

    kernel = from_function(breaking)
    tried = [one for one in CASES if one.name in ("plain", "more_keys", "single_query")]

    found = mark_refusals_unsupported(kernel, list(verify(kernel, tried)))

    assert {one.case.name for one in found if one.bad} == {"single_query"}
