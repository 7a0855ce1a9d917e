"""What a kernel keeps between calls: each kind of memory that shows is named."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.checks.probes.state import check_state
from bench.checks.probes.trial import Trial
from bench.checks.results import CheckResult
from bench.checks.situations import check_cases
from implementations.interface import Implementation
from implementations.specs import from_function
from tests.planted import remembered, state
from tests.planted.gradients import right_the_first_time_only
from tests.planted.planted import plain
from tests.planted.side_effects import last_bit_noise, random_order_of_keys
from tests.planted.unusual import reused_scratch

CASES = {one.name: one for one in check_cases(["float32"])}
PLANTED_MEMORIES = [one for one in remembered.PLANTED if "fresh" in str(one.killed_by)]
CHECKS = ["own_memory", "repeatable", "fresh_answer"]


def judged(
    core: Callable[..., Tensor] | Implementation, name: str = "calls_in_turn", **condition: Any
) -> list[CheckResult]:
    case = replace(CASES[name], case=replace(CASES[name].case, **condition))
    implementation = core if isinstance(core, Implementation) else from_function(core)
    return list(check_state(Trial(implementation=implementation, case=case, seed=0)))


def bad(results: list[CheckResult]) -> dict[str, str | None]:
    return {one.check: one.reason for one in results if one.bad}


@pytest.mark.parametrize("name", ["calls_in_turn", "calls_in_turn_67x67"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_the_formula_passes_every_check(name, dtype):
    results = judged(plain, name, dtype=dtype)

    assert [(one.check, one.status) for one in results] == [(check, "pass") for check in CHECKS]


def test_memory_that_nothing_outlives_passes():
    assert bad(judged(type(reused_scratch)())) == {}


def test_one_buffer_for_all_outputs_fails():
    reasons = bad(judged(type(state.same_buffer_in_every_call)()))

    assert reasons["own_memory"] == "a later call changed the output of an earlier one"


def test_an_output_in_the_memory_of_an_input_fails():
    def kernel(query, key, value):
        output = plain(query, key, value)
        return output if query.requires_grad else value.set_(output).view(value.shape)

    reasons = bad(judged(kernel))

    assert reasons["own_memory"] == "the output lies in the memory of value"


@pytest.mark.parametrize("planted", [last_bit_noise, random_order_of_keys])
def test_answers_that_differ_by_chance_fail_though_each_is_within_its_allowance(planted):
    reasons = bad(judged(type(planted)(), "calls_in_turn_67x67"))

    assert reasons == {"repeatable": "the same call gave another answer"}


def test_an_answer_that_changes_after_some_calls_fails():
    calls = []

    def kernel(query, key, value):
        calls.append(query)
        return plain(query, key, value) * (1.0 + 2.0**-23 * (len(calls) > 5))

    assert bad(judged(kernel))["repeatable"] == "the same call gave another answer"


def test_gradients_that_differ_from_call_to_call_fail():
    planted = type(state.gradient_not_cleared)()

    assert bad(judged(planted))["repeatable"] == (
        "the same call on the same tensors gave another answer"
    )


def test_a_second_backward_pass_that_gives_other_gradients_fails():
    reasons = bad(judged(right_the_first_time_only))

    assert reasons == {"repeatable": "a second backward pass gave other gradients"}


def test_a_call_between_forward_and_backward_that_changes_the_gradients_fails():
    # As in a model of two layers: what the first one kept is overwritten by the second.
    kept: dict[str, Tensor] = {}

    class Careless(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, output: Tensor) -> Tensor:
            kept["factor"] = 1.0 + output.detach().abs().amax()
            return output.clone()

        @staticmethod
        def backward(ctx: Any, upstream: Tensor) -> Tensor:
            return upstream * kept["factor"]

    reasons = bad(judged(lambda query, key, value: Careless.apply(plain(query, key, value))))

    assert reasons["repeatable"] == "a call in between changes the backward pass"


def test_a_graph_that_allows_one_backward_pass_only_is_no_failure():
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, output: Tensor) -> Tensor:
            ctx.spent = False
            return output.clone()

        @staticmethod
        def backward(ctx: Any, upstream: Tensor) -> Tensor:
            if ctx.spent:
                raise RuntimeError("only once")
            ctx.spent = True
            return upstream

    assert bad(judged(lambda query, key, value: Once.apply(plain(query, key, value)))) == {}


def test_refused_gradients_are_the_business_of_other_checks():
    def kernel(query, key, value):
        if query.requires_grad:
            raise RuntimeError("inference only")
        return plain(query, key, value)

    assert bad(judged(kernel)) == {}


def test_an_answer_that_changes_once_gradients_were_asked_for_is_stale():
    trained = []

    def kernel(query, key, value):
        if query.requires_grad and torch.is_grad_enabled():
            trained.append(query)
            return plain(query, key, value)
        return plain(query, key, value) * (2.0 if trained else 1.0)

    assert bad(judged(kernel)) == {"fresh_answer": "the answer is stale after other calls"}


def holding(kernel: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The kernel, with its inputs kept alive, so that no tensor gets the address of an old one."""
    held = []

    def core(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        held.append((query, key, value))
        return kernel(query, key, value)

    return core


def test_an_answer_kept_for_the_address_of_its_inputs_is_stale_after_they_change():
    reasons = bad(judged(holding(type(state.answer_kept_by_address)())))

    assert reasons == {"fresh_answer": "the answer is stale after inputs changed in place"}


def test_a_key_kept_for_its_address_is_stale_after_it_changes():
    reasons = bad(judged(holding(type(state.key_kept_by_address)())))

    assert reasons == {"fresh_answer": "the answer is stale after inputs changed in place"}


def remembering(*names: str) -> Callable[..., Tensor]:
    """The formula with those keywords that the first call had, whatever later calls say."""
    first: dict[str, Any] = {}

    def kernel(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
        scale: float | None = None,
    ) -> Tensor:
        given = {"attn_mask": attn_mask, "is_causal": is_causal, "scale": scale}
        kept = {name: given[name] for name in names}
        if not first:
            first.update(kept)
        return plain(query, key, value, **{**given, **first})

    return kernel


@pytest.mark.parametrize(
    ("name", "turn"), [("is_causal", "a causal call"), ("scale", "another scale")]
)
def test_a_keyword_that_is_remembered_makes_stale_answers(name, turn):
    reasons = bad(judged(remembering(name)))

    assert reasons == {"fresh_answer": f"the answer is stale after {turn}"}


@pytest.mark.parametrize(
    ("planted", "turn"),
    [
        (state.bias_kept_by_shape, "another boolean mask"),
        (state.scale_kept_by_head_dim, "another scale"),
    ],
)
def test_what_is_kept_by_shape_is_stale_in_another_call_of_that_shape(planted, turn):
    reasons = bad(judged(type(planted)()))

    assert reasons == {"fresh_answer": f"the answer is stale after {turn}"}


def test_what_a_causal_call_leaves_behind_shows_in_the_call_that_comes_back():
    seen = []

    def kernel(query, key, value, is_causal=False):
        seen.append(is_causal)
        return plain(query, key, value, is_causal=is_causal or (len(seen) > 1 and seen[-2]))

    reasons = bad(judged(kernel))

    assert reasons == {"fresh_answer": "the answer is stale after a causal call and back"}


def test_scratch_of_a_longer_call_shows_in_the_call_that_comes_back():
    longest = [0]

    def kernel(query, key, value):
        longest[0] = max(longest[0], key.shape[-2])
        late = longest[0] > key.shape[-2] and query.shape == (2, 3, 7, 11)
        return plain(query, key, value) + float(late)

    reasons = bad(judged(kernel))

    assert reasons == {"fresh_answer": "the answer is stale after a longer call and back"}


def test_what_sticks_to_the_number_of_items_shows_in_a_single_one():
    def kernel(query, key, value):
        return plain(query, key, value) * (1.5 if query.shape[:2] == (1, 1) else 1.0)

    reasons = bad(judged(kernel))

    assert reasons == {"fresh_answer": "the answer is stale after a single item"}


def test_an_output_of_the_last_calls_shape_fails_and_says_after_what():
    shapes = []

    def kernel(query, key, value):
        shapes.append(query.shape[-2])
        output = plain(query, key, value)
        return output[..., :3, :] if 3 in shapes[:-1] else output

    reasons = bad(judged(kernel))

    assert reasons == {
        "fresh_answer": "expected shape (2, 3, 7, 11), got (2, 3, 3, 11), "
        "after a shorter call and back"
    }


def test_an_answer_that_becomes_nan_fails_and_says_after_what():
    scales = []

    def kernel(query, key, value, scale=None):
        scales.append(scale)
        return plain(query, key, value, scale=scale) * (float("nan") if 0.3 in scales else 1.0)

    reasons = bad(judged(kernel))

    assert reasons == {
        "fresh_answer": "not finite where the reference is; the answer is stale after another scale"
    }


def test_a_wrong_first_answer_is_the_only_failure():
    results = judged(lambda query, key, value: 2 * plain(query, key, value))

    assert [(one.check, one.status) for one in results] == [("output", "fail")]


def test_an_output_of_another_kind_is_the_only_failure():
    results = judged(lambda query, key, value: plain(query, key, value).double())

    assert bad(results) == {"output": "expected torch.float32 on cpu, got torch.float64 on cpu"}
    assert len(results) == 1


def test_who_declared_nothing_may_refuse_other_sizes_in_between():
    def kernel(query, key, value):
        if query.shape != key.shape:
            raise RuntimeError("square only")
        return plain(query, key, value)

    assert bad(judged(kernel)) == {}
    with pytest.raises(RuntimeError, match="square only"):
        judged(replace(from_function(kernel), declared=True))


@pytest.mark.parametrize("planted", PLANTED_MEMORIES, ids=lambda one: one.name)
def test_what_is_remembered_of_the_same_tensors_is_stale_when_their_contents_change(planted):
    reasons = bad(judged(copy.deepcopy(planted.fn)))

    assert str(reasons["fresh_answer"]).startswith(("the answer is stale", "the gradient is stale"))


@pytest.mark.parametrize("calls", [12, 30, 40])
def test_a_kernel_that_grows_tired_of_the_same_tensors_fails(calls):
    given: list[Tensor] = []

    def kernel(query, key, value):
        if not given or given[-1] is not query:
            given.clear()
        given.append(query)
        return plain(query, key, value) * (0.0 if len(given) > calls else 1.0)

    assert bad(judged(kernel))["repeatable"] == (
        "the same call on the same tensors gave another answer"
    )


def test_an_output_that_may_compute_when_it_is_read_is_refused():
    class Lazy(Tensor):
        pass

    results = judged(lambda query, key, value: plain(query, key, value).as_subclass(Lazy))

    assert bad(results) == {
        "output": "expected a plain torch.Tensor, got Lazy, which may compute when it is read"
    }
