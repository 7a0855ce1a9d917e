"""What a kernel that raises throughout is asked in other dtypes."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bench.checks.refusals import mark_refusals_unsupported, witnesses
from bench.checks.results import LOST, CheckResult
from bench.checks.situation import CheckCase
from bench.checks.situations import check_cases
from tests.bench.checks.outcomes import BROKEN, DECLARED, MINE, SAID, is_empty, reasons, result

IN_FLOAT32 = check_cases(["float32"])


HALF_ONLY = "raised RuntimeError: only fp16 and bf16 are supported"


def raising(cases: Sequence[CheckCase], reason: str = HALF_ONLY) -> list[CheckResult]:
    return [result(case, "error", reason=reason) for case in cases]


def passing(cases: Sequence[CheckCase]) -> list[CheckResult]:
    return [result(case, "pass", error=0.0, allowed=1.0) for case in cases]


def test_who_raises_in_all_of_one_dtype_is_asked_in_the_others_once_for_each_mask():
    asked = witnesses(MINE, raising(IN_FLOAT32))

    conditions = {(one.case.mask, one.case.is_causal) for one in IN_FLOAT32}
    assert {one.case.dtype for one in asked} == {"float64", "bfloat16", "float16"}
    assert len(asked) == 3 * len(conditions)
    assert {(one.case.mask, one.case.is_causal) for one in asked} == conditions


def test_witnesses_have_the_sizes_that_most_kernels_take():
    for one in witnesses(MINE, raising(IN_FLOAT32)):
        sizes = (one.case.seq_len, one.case.key_len, one.case.head_dim, one.case.value_dim)
        assert not any(size % 64 for size in sizes)
        assert len(one.leading) == 2


def test_a_dtype_in_which_all_raises_is_refused_if_the_kernel_answers_in_another():
    found = raising(IN_FLOAT32)

    after = mark_refusals_unsupported(MINE, found, passing(witnesses(MINE, found)))

    assert [one.case for one in after] == IN_FLOAT32
    assert {one.status for one in after} == {"unsupported"}
    assert reasons(after) == {f"mine refuses float32: {HALF_ONLY}"}


@pytest.mark.parametrize("said", [SAID, BROKEN])
def test_a_kernel_that_raises_in_every_dtype_is_broken(said):
    found = raising(IN_FLOAT32, said)

    assert mark_refusals_unsupported(MINE, found, raising(witnesses(MINE, found), said)) == found


def test_a_wrong_answer_elsewhere_excuses_nothing():
    found = raising(IN_FLOAT32)
    wrong = [result(one, "fail", error=2.0, allowed=1.0) for one in witnesses(MINE, found)]

    assert mark_refusals_unsupported(MINE, found, wrong) == found


def test_nothing_more_is_asked_of_who_answers_is_wrong_takes_the_process_down_or_declared_all():
    lost = [replace(one, check=LOST) for one in raising(IN_FLOAT32)]
    once = [*raising(IN_FLOAT32[1:]), *passing(IN_FLOAT32[:1])]
    wrong = [*raising(IN_FLOAT32[1:]), result(IN_FLOAT32[0], "fail", error=2.0, allowed=1.0)]

    for kernel, found in ((MINE, lost), (MINE, once), (MINE, wrong), (MINE, [])):
        assert witnesses(kernel, found) == []
    assert witnesses(DECLARED, raising(IN_FLOAT32)) == []


def test_a_kernel_that_answers_without_keys_alone_still_refuses_the_dtype():
    empty = [one for one in IN_FLOAT32 if is_empty(one)]
    found = [*raising([one for one in IN_FLOAT32 if not is_empty(one)]), *passing(empty)]

    after = mark_refusals_unsupported(MINE, found, passing(witnesses(MINE, found)))

    assert not any(one.bad for one in after)
    assert reasons(after) == {f"mine refuses float32: {HALF_ONLY}"}
