"""Gradients only where they are asked for, and right for whoever asks alone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.checks.probes.asking import check_asking
from bench.checks.probes.trial import Trial
from bench.checks.results import CheckResult
from bench.checks.situations import check_cases
from implementations.catalogue import suite
from implementations.interface import Feature, Implementation
from implementations.specs import from_function
from tests.planted.gradients import row_sum_with_the_value_only
from tests.planted.graph import (
    gradient_required_unasked,
    graph_inside_no_grad,
    graph_only_if_the_key_asks,
    output_detached,
)
from tests.planted.planted import plain

CASES = {one.name: one for one in check_cases(["float32"])}
GRADIENTS = ["grad_query", "grad_key", "grad_value"]


def judged(core: Callable[..., Tensor] | Implementation, **condition: Any) -> list[CheckResult]:
    one = CASES["asked_one_by_one"]
    case = replace(one, case=replace(one.case, **condition))
    implementation = core if isinstance(core, Implementation) else from_function(core)
    return list(check_asking(Trial(implementation=implementation, case=case, seed=0)))


def bad(results: list[CheckResult]) -> dict[str, str | None]:
    return {one.check: one.reason for one in results if one.bad}


def test_the_formula_passes_for_each_input_and_for_none():
    results = judged(plain)

    assert [(one.check, one.status) for one in results] == [
        (check, "pass") for check in (*GRADIENTS, "only_where_asked")
    ]


def test_an_output_that_requires_a_gradient_though_no_input_does_fails():
    assert bad(judged(gradient_required_unasked)) == {
        "only_where_asked": "the output requires a gradient though no input does"
    }


def test_a_graph_built_under_no_grad_fails():
    reasons = bad(judged(graph_inside_no_grad))

    assert reasons == {"only_where_asked": "the output requires a gradient under no_grad"}


def test_both_are_looked_at_where_gradients_are_not_wanted_too():
    assert set(bad(judged(graph_inside_no_grad, pass_="forward"))) == {"only_where_asked"}
    assert [one.check for one in judged(plain, pass_="forward")] == ["only_where_asked"]


def test_a_gradient_that_needs_the_key_to_ask_fails_for_the_others():
    reasons = bad(judged(graph_only_if_the_key_asks))

    assert set(reasons) == {"grad_query", "grad_value"}
    assert reasons["grad_query"] == (
        "no gradient reaches query where only query asks for one: the output is detached "
        "(a forward-only kernel: verify --pass forward)"
    )


def test_a_gradient_that_is_wrong_unless_another_is_asked_for_fails():
    results = judged(row_sum_with_the_value_only)

    assert bad(results) == {
        "grad_query": "where only query asks for one",
        "grad_key": "where only key asks for one",
    }
    assert all(one.error is not None for one in results if one.bad)


def test_a_detached_output_fails_for_every_input():
    assert set(bad(judged(output_detached))) == set(GRADIENTS)


def test_an_input_made_to_require_a_gradient_fails():
    def kernel(query, key, value):
        if torch.is_grad_enabled() and (query.requires_grad or value.requires_grad):
            key.requires_grad_()
        return plain(query, key, value)

    reasons = bad(judged(kernel))

    assert set(reasons) == {"only_where_asked"}
    assert "an input was made to require a gradient" in str(reasons["only_where_asked"])


def test_a_gradient_stored_in_an_input_fails():
    def kernel(query, key, value):
        if query.requires_grad and not value.requires_grad:
            value.grad = torch.zeros_like(value)
        return plain(query, key, value)

    reasons = bad(judged(kernel))

    assert reasons == {"only_where_asked": "a gradient was stored that nobody asked for"}


def test_an_output_of_another_shape_fails_before_anything_is_asked():
    results = judged(lambda query, key, value: plain(query, key, value).mT)

    assert [(one.check, one.reason) for one in results] == [
        ("output", "expected shape (2, 3, 5, 11), got (2, 3, 11, 5)")
    ]


def test_a_backward_pass_that_raises_is_an_error_of_the_input_that_asked():
    def kernel(query, key, value):
        output = plain(query, key, value)
        if key.requires_grad and torch.is_grad_enabled():
            output.register_hook(lambda gradient: 1 / 0)
        return output

    results = judged(kernel)

    assert [(one.check, one.status) for one in results] == [
        ("grad_query", "pass"),
        ("grad_key", "error"),
        ("only_where_asked", "pass"),
    ]
    assert results[1].reason == "the backward pass raised ZeroDivisionError: division by zero"


def test_who_refuses_to_be_asked_is_told_once_and_looked_at_for_the_rest():
    def kernel(query, key, value):
        if query.requires_grad:
            raise RuntimeError("inference only")
        return plain(query, key, value)

    results = judged(kernel)

    # Whether it has no gradients at all is for bench.checks.refusals to say, which sees all cases.
    assert bad(results) == {
        "grad_query": "where gradients are asked for, raised RuntimeError: inference only"
    }
    assert [(one.check, one.status) for one in results[1:]] == [("only_where_asked", "pass")]


def test_who_declared_to_take_gradients_must_take_inputs_that_ask_for_them_under_no_grad_too():
    def inference_only(query, key, value):
        if query.requires_grad:
            raise RuntimeError("inference only")
        return plain(query, key, value)

    def training_only(query, key, value):
        if query.requires_grad and not torch.is_grad_enabled():
            raise RuntimeError("training only")
        return plain(query, key, value)

    for kernel in (inference_only, training_only):
        with pytest.raises(RuntimeError, match="only"):
            judged(replace(from_function(kernel), declared=True))
    assert bad(judged(training_only)) == {}


def test_who_declared_gradients_and_refuses_them_where_they_count_is_an_error():
    def kernel(query, key, value):
        if query.requires_grad and torch.is_grad_enabled():
            raise RuntimeError("inference only")
        return plain(query, key, value)

    assert bad(judged(replace(from_function(kernel), declared=True))) == {
        "grad_query": "where gradients are asked for, raised RuntimeError: inference only"
    }


def test_a_forward_only_implementation_is_not_asked_for_gradients():
    matmul = suite()["matmul"]
    forward_only = replace(matmul, supports=matmul.supports - {Feature.BACKWARD})

    assert [(one.check, one.status) for one in judged(forward_only)] == [
        ("only_where_asked", "pass")
    ]
