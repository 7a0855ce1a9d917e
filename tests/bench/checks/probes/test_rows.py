"""Round sizes are judged by some rows, items and keys, and say which one is wrong first."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from bench.checks.probes.rows import check_output_rows, check_rows
from bench.checks.probes.trial import Trial
from bench.checks.results import CheckResult
from bench.checks.situation import CheckCase
from bench.checks.situations.parts import lengths, situation
from implementations.attention.matmul import IMPLEMENTATION as MATMUL
from implementations.interface import Feature
from implementations.specs import from_function
from tests.planted.planted import plain

CASE = situation("shapes", "one", leading=(2, 3), probe="rows", **lengths(131, 137, 16))
QUANTITIES = ["output", "grad_query", "grad_key", "grad_value"]


def judged(
    core: Callable[..., Tensor], case: CheckCase = CASE, probe=check_rows
) -> list[CheckResult]:
    case = replace(case, case=replace(case.case, pass_="forward_backward"))
    return list(probe(Trial(implementation=from_function(core), case=case, seed=0)))


@pytest.mark.parametrize(
    "condition",
    [{}, {"is_causal": True}, {"mask": "boolean"}, {"mask": "float"}],
    ids=["plain", "causal", "boolean", "float"],
)
def test_the_formula_passes_with_its_gradients(condition):
    results = judged(plain, replace(CASE, case=replace(CASE.case, **condition)))

    assert [(one.check, one.status) for one in results] == [(name, "pass") for name in QUANTITIES]


def test_the_output_alone_takes_a_single_call_without_gradients():
    asked = []

    def kernel(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        asked.append(torch.is_grad_enabled())
        return plain(query, key, value)

    results = judged(kernel, probe=check_output_rows)

    assert [(one.check, one.status) for one in results] == [("output", "pass")]
    assert asked == [False]


def spoiled(row: int, item: int = 0, head: int = 0) -> Callable[..., Tensor]:
    def kernel(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        output = plain(query, key, value).clone()
        output[item, head, row] += 1.0
        return output

    return kernel


@pytest.mark.parametrize(("row", "item", "head"), [(0, 0, 0), (130, 1, 2), (-1, 0, 0)])
def test_the_ends_of_rows_and_of_items_are_always_looked_at(row, item, head):
    assert next(iter(judged(spoiled(row, item, head)))).status == "fail"


def test_a_failure_says_where():
    (output, *_) = judged(spoiled(130, 1, 2))

    assert output.reason == "first at batch 1, head 2, row 130"
    assert output.error == pytest.approx(1.0)


def test_an_answer_that_is_not_finite_fails_without_a_number():
    (output, *_) = judged(lambda query, key, value: plain(query, key, value) * torch.nan)

    assert (output.status, output.error) == ("fail", None)
    assert output.reason == "not finite where the reference is; first at batch 0, head 0, row 0"


def test_a_gradient_of_any_key_is_looked_at():
    class KeyLost(torch.autograd.Function):
        @staticmethod
        def forward(ctx, key: Tensor) -> Tensor:
            return key.clone()

        @staticmethod
        def backward(ctx, upstream: Tensor) -> Tensor:
            lost = upstream.clone()
            lost[..., 77, :] = 0.0
            return lost

    results = judged(lambda query, key, value: plain(query, KeyLost.apply(key), value))

    assert [one.check for one in results if one.bad] == ["grad_key"]


def test_an_output_that_is_detached_fails():
    results = judged(lambda query, key, value: plain(query, key, value).detach())

    assert [(one.check, one.status) for one in results] == [("grad_query", "fail")]


def test_a_refusal_of_gradients_is_told_as_one():
    def kernel(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if query.requires_grad:
            raise NotImplementedError("forward only")
        return plain(query, key, value)

    assert [(one.check, one.status) for one in judged(kernel)] == [
        ("output", "pass"),
        *((name, "unsupported") for name in QUANTITIES[1:]),
    ]


def test_a_kernel_that_raises_in_any_case_is_not_said_to_refuse_gradients():
    def kernel(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        raise RuntimeError("not today")

    with pytest.raises(RuntimeError, match="not today"):
        judged(kernel)


def test_who_promises_no_gradients_is_judged_by_the_output():
    case = replace(CASE, case=replace(CASE.case, pass_="forward_backward"))
    forward_only = replace(MATMUL, supports=MATMUL.supports - {Feature.BACKWARD})

    results = list(check_rows(Trial(implementation=forward_only, case=case, seed=0)))

    assert [(one.check, one.status) for one in results] == [("output", "pass")]
