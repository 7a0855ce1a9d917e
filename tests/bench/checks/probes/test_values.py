"""Output and gradients against the reference: each way to be wrong fails, and is told."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.checks.probes.trial import Trial
from bench.checks.probes.values import check_values
from bench.checks.results import CheckResult
from bench.checks.situations import check_cases
from implementations.interface import UnsupportedCaseError
from implementations.specs import from_function
from tests.planted.graph import output_detached, weights_detached
from tests.planted.layout import memory_beyond_the_slice_cleared, memory_beyond_the_slice_read
from tests.planted.masks import nan_on_empty_rows
from tests.planted.planted import plain
from tests.planted.side_effects import float_mask_clamped_in_place, query_scaled_and_scaled_back
from tests.planted.state import value_returned_for_one_key

CASES = {one.name: one for one in check_cases(["float32"])}
GRADIENTS = ["grad_query", "grad_key", "grad_value"]
INPUTS = ["query", "key", "value"]
Core = Callable[..., Tensor]


def judged(core: Core, name: str = "plain", **condition: Any) -> list[CheckResult]:
    case = replace(CASES[name], case=replace(CASES[name].case, **condition))
    return list(check_values(Trial(implementation=from_function(core), case=case, seed=0)))


def bad(results: list[CheckResult]) -> dict[str, str | None]:
    return {one.check: one.reason for one in results if one.bad}


@pytest.mark.parametrize("name", ["plain", "value_dim", "zero_keys", "masked_rows_float", "packed"])
def test_the_formula_passes_every_check_with_an_error_and_an_allowance(name):
    results = judged(plain, name)

    assert [one.check for one in results] == ["output", "inputs_unmodified", *GRADIENTS]
    assert {one.status for one in results} == {"pass"}
    assert all(one.ratio is not None for one in results if one.check != "inputs_unmodified")


def test_where_only_the_forward_pass_is_asked_for_no_gradient_is_looked_at():
    def kernel(query, key, value):
        assert not query.requires_grad
        return plain(query, key, value)

    results = judged(kernel, pass_="forward")

    assert [one.check for one in results] == ["output", "inputs_unmodified"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda out: out.double(), "expected torch.float32 on cpu, got torch.float64 on cpu"),
        (lambda out: out.bfloat16(), "expected torch.float32 on cpu, got torch.bfloat16 on cpu"),
        (lambda out: out.mT, r"expected shape (2, 3, 7, 11), got (2, 3, 11, 7)"),
        (lambda out: out.flatten(), "expected shape (2, 3, 7, 11), got (462,)"),
        (lambda out: out[None], "expected shape (2, 3, 7, 11), got (1, 2, 3, 7, 11)"),
        (lambda out: (out, None), "expected a tensor, got tuple"),
        (lambda out: out.numpy(), "expected a tensor, got ndarray"),
        (lambda out: None, "expected a tensor, got NoneType"),
        (lambda out: out.to("meta"), "expected torch.float32 on cpu, got torch.float32 on meta"),
    ],
)
def test_an_output_of_another_kind_fails_with_expected_and_got(change, reason):
    results = judged(lambda query, key, value: change(plain(query, key, value)))

    assert [(one.check, one.status, one.reason) for one in results] == [("output", "fail", reason)]


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_an_output_that_is_off_fails_with_its_error_and_what_was_allowed(dtype):
    results = judged(lambda query, key, value: plain(query, key, value) + 0.25, dtype=dtype)

    failed = results[0]
    assert (failed.check, failed.status, failed.reason) == ("output", "fail", None)
    assert failed.error == pytest.approx(0.25, abs=0.02)
    assert failed.allowed is not None
    assert failed.allowed < 0.25


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_one_element_that_is_not_finite_fails_and_is_called_so(poison):
    def kernel(query, key, value):
        output = plain(query, key, value)
        position = torch.zeros_like(output, dtype=torch.bool)
        position[-1, -1, -1, -1] = True
        return output.masked_fill(position, poison)

    failed = judged(kernel)[0]

    assert (failed.status, failed.error) == ("fail", None)
    assert failed.reason == "not finite where the reference is"


def test_nan_in_rows_without_keys_fails():
    reasons = bad(judged(nan_on_empty_rows, "masked_rows_boolean"))

    assert reasons["output"] == "not finite where the reference is"


def test_what_is_wrong_only_where_gradients_are_asked_for_says_so():
    def kernel(query, key, value):
        return plain(query, key, value) + 0.5 * float(query.requires_grad)

    reasons = bad(judged(kernel))

    assert reasons == {"output": "where gradients are asked for"}
    assert bad(judged(kernel, pass_="forward")) == {}


def test_another_shape_only_where_gradients_are_asked_for_says_so():
    def kernel(query, key, value):
        output = plain(query, key, value)
        return output.mT if query.requires_grad else output

    reasons = bad(judged(kernel))

    assert reasons == {
        "output": "expected shape (2, 3, 7, 11), got (2, 3, 11, 7), where gradients are asked for"
    }


@pytest.mark.parametrize("name", INPUTS)
def test_a_wrong_gradient_fails_for_the_input_it_belongs_to(name):
    def kernel(query, key, value):
        tensors = {"query": query, "key": key, "value": value}
        fixed = tensors[name].detach()
        tensors[name] = fixed + (tensors[name] - fixed) / 2
        return plain(**tensors)

    results = judged(kernel)

    assert bad(results) == {f"grad_{name}": None}
    failed = next(one for one in results if one.bad)
    assert failed.ratio is not None
    assert failed.ratio > 1000


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_cut_off_from_its_gradient_fails_alone(name):
    def kernel(query, key, value):
        tensors = {"query": query, "key": key, "value": value}
        tensors[name] = tensors[name].detach()
        return plain(**tensors)

    assert bad(judged(kernel)) == {f"grad_{name}": f"no gradient reaches {name}"}
    assert bad(judged(kernel, pass_="forward")) == {}


def test_a_gradient_that_is_zero_need_not_arrive():
    def kernel(query, key, value):
        return value.expand(*query.shape[:-1], value.shape[-1]).clone()

    assert bad(judged(kernel, "single_key")) == {}


def test_weights_taken_for_constants_fail_for_query_and_key():
    assert set(bad(judged(weights_detached))) == {"grad_query", "grad_key"}


def test_an_output_outside_the_graph_fails_for_every_input_and_names_the_way_out():
    reasons = bad(judged(output_detached))

    assert list(reasons) == GRADIENTS
    assert reasons["grad_key"] == (
        "no gradient reaches key: the output is detached (a forward-only kernel: "
        "verify --pass forward)"
    )


class WithBackward(torch.autograd.Function):
    """The formula, with gradients that `change` has its way with."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, change: Any) -> Tensor:
        ctx.save_for_backward(query, key, value)
        ctx.change = change
        return plain(query, key, value)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Any, ...]:
        with torch.enable_grad():
            leaves = [tensor.detach().requires_grad_() for tensor in ctx.saved_tensors]
            gradients = torch.autograd.grad(plain(*leaves), leaves, upstream)
        return *ctx.change(*gradients), None


def with_backward(change: Callable[[Tensor, Tensor, Tensor], tuple[Any, ...]]) -> Core:
    return lambda query, key, value: WithBackward.apply(query, key, value, change)


def test_a_right_backward_pass_of_ones_own_passes():
    assert bad(judged(with_backward(lambda *gradients: gradients))) == {}


def test_a_gradient_that_is_not_finite_fails_for_its_input():
    kernel = with_backward(lambda query, key, value: (query, key * torch.nan, value))

    assert bad(judged(kernel)) == {"grad_key": "not finite where the reference is"}


def test_a_gradient_that_is_left_out_fails_though_the_output_is_in_the_graph():
    kernel = with_backward(lambda query, key, value: (query, key, None))

    assert bad(judged(kernel)) == {"grad_value": "no gradient reaches value"}


def test_a_gradient_of_another_shape_fails():
    kernel = with_backward(lambda query, key, value: (query, key.mT, value))

    results = judged(kernel, "more_keys")

    assert any(one.bad for one in results)
    assert {one.check for one in results if one.status == "pass"} >= {"output"}


def test_a_backward_pass_that_raises_is_an_error_of_the_backward_pass():
    def refuse(*gradients):
        raise ArithmeticError("no gradients today")

    results = judged(with_backward(refuse))

    assert bad(results) == {
        "grad_query": "the backward pass raised ArithmeticError: no gradients today"
    }
    assert [one.check for one in results if one.status == "pass"] == ["output", "inputs_unmodified"]


@pytest.mark.parametrize(
    "problem", [NotImplementedError("inference only"), UnsupportedCaseError("inference only")]
)
def test_gradients_that_are_declined_are_unsupported(problem):
    def kernel(query, key, value):
        if query.requires_grad:
            raise problem
        return plain(query, key, value)

    results = judged(kernel)

    assert bad(results) == {}
    refused = {one.check: one.reason for one in results if one.status == "unsupported"}
    assert list(refused) == GRADIENTS
    assert all("inference only" in str(reason) for reason in refused.values())


@pytest.mark.parametrize("declared", [False, True])
def test_gradients_that_are_refused_otherwise_are_an_error_and_the_output_is_judged(declared):
    def kernel(query, key, value):
        if query.requires_grad:
            raise RuntimeError("inference only")
        return plain(query, key, value)

    implementation = replace(from_function(kernel), declared=declared)
    trial = Trial(implementation=implementation, case=CASES["plain"], seed=0)

    assert bad(list(check_values(trial))) == {
        "grad_query": "where gradients are asked for, raised RuntimeError: inference only"
    }


@pytest.mark.parametrize("pass_", ["forward", "forward_backward"])
@pytest.mark.parametrize("name", INPUTS)
def test_an_input_changed_in_place_fails_and_is_named(name, pass_):
    def kernel(query, key, value):
        output = plain(query.clone(), key.clone(), value.clone())
        {"query": query, "key": key, "value": value}[name].data.mul_(1.5)
        return output

    reasons = bad(judged(kernel, pass_=pass_))

    assert reasons["inputs_unmodified"] == f"changed its {name} in place"


@pytest.mark.parametrize("kind", ["boolean_mask", "float_mask"])
def test_a_mask_changed_in_place_fails_and_is_named(kind):
    def kernel(query, key, value, attn_mask=None):
        output = plain(query, key, value, attn_mask=attn_mask)
        attn_mask.zero_()
        return output

    reasons = bad(judged(kernel, kind, pass_="forward"))

    assert reasons == {"inputs_unmodified": "changed its attn_mask in place"}


def test_an_upstream_gradient_changed_in_place_fails_and_is_named():
    class Greedy(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, output: Tensor) -> Tensor:
            return output.clone()

        @staticmethod
        def backward(ctx: Any, upstream: Tensor) -> Tensor:
            kept = upstream.clone()
            upstream.mul_(2)
            return kept

    reasons = bad(judged(lambda query, key, value: Greedy.apply(plain(query, key, value))))

    assert reasons == {"inputs_unmodified": "changed its grad_output in place"}


def test_several_changed_inputs_are_named_in_one_line():
    def kernel(query, key, value):
        output = plain(query, key, value)
        query.add_(1)
        key.add_(1)
        return output

    reasons = bad(judged(kernel, pass_="forward"))

    assert reasons == {"inputs_unmodified": "changed its query and key in place"}


def test_a_change_that_is_taken_back_but_for_rounding_fails():
    reasons = bad(judged(query_scaled_and_scaled_back, pass_="forward"))

    assert reasons == {"inputs_unmodified": "changed its query in place"}


def test_infinite_mask_entries_made_finite_in_place_fail():
    reasons = bad(judged(float_mask_clamped_in_place, "infinite_entries", pass_="forward"))

    assert reasons == {"inputs_unmodified": "changed its attn_mask in place"}


def test_memory_around_the_inputs_must_not_be_written():
    reasons = bad(judged(memory_beyond_the_slice_cleared, "nan_beyond", pass_="forward"))

    assert "inputs_unmodified" in reasons


def test_memory_around_the_inputs_must_not_be_read():
    reasons = bad(judged(memory_beyond_the_slice_read, "nan_beyond", pass_="forward"))

    assert reasons["output"] == "not finite where the reference is"


def test_an_answer_that_changes_from_call_to_call_within_the_allowance_fails():
    calls = []

    def kernel(query, key, value):
        calls.append(query)
        return plain(query, key, value) * (1.0 + 2.0**-23 * (len(calls) % 2))

    reasons = bad(judged(kernel))

    assert reasons == {"repeatable": "the same call gave another answer"}


def test_an_output_in_the_buffer_of_an_earlier_one_fails_where_the_two_differ():
    buffer, calls = torch.empty(2, 3, 7, 11), []

    def kernel(query, key, value):
        calls.append(query)
        return buffer.copy_(plain(query, key, value) * (1.0 + 2.0**-23 * (len(calls) % 2)))

    reasons = bad(judged(kernel, pass_="forward"))

    assert reasons == {
        "repeatable": "the same call gave another answer",
        "own_memory": "a later call changed the output of an earlier one",
    }


def test_an_output_in_the_memory_of_an_input_fails_and_the_input_is_named():
    reasons = bad(judged(value_returned_for_one_key, "single_key"))

    assert reasons == {"own_memory": "the output lies in the memory of value"}
