"""The gradient of a float mask: right, refused aloud, or a failure."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from torch import Tensor

from bench.checks.probes.mask_gradient import check_mask_gradient
from bench.checks.probes.trial import Trial
from bench.checks.results import CheckResult
from bench.checks.situations import check_cases
from implementations.case import DTYPES
from implementations.catalogue import suite
from implementations.interface import Implementation
from implementations.specs import from_function
from tests.planted.far_masks import PLANTED
from tests.planted.planted import plain

CASES = {one.name: one for one in check_cases(["float32"])}
SITUATIONS = [name for name, one in CASES.items() if one.probe == "mask_gradient"]
OWN = ["matmul", "row_loop", "sdpa", "sdpa_math"]
REFUSING = ["online_softmax", "query_chunked", "sdpa_flash"]


def judged(
    core: Callable[..., Tensor] | Implementation, name: str = "mask_gradient", **condition: Any
) -> list[CheckResult]:
    case = replace(CASES[name], case=replace(CASES[name].case, **condition))
    case = replace(case, case=replace(case.case, pass_="forward_backward"))
    implementation = core if isinstance(core, Implementation) else from_function(core)
    return list(check_mask_gradient(Trial(implementation=implementation, case=case, seed=0)))


def bad(results: list[CheckResult]) -> dict[str, str | None]:
    return {one.check: one.reason for one in results if one.bad}


@pytest.mark.parametrize("name", SITUATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_formula_passes_with_all_inputs_asking_and_with_the_mask_alone(name, dtype):
    results = judged(plain, name, dtype=dtype)

    together = ["output", "grad_query", "grad_key", "grad_value", "grad_mask"]
    assert [(one.check, one.status) for one in results] == [
        (check, "pass") for check in (*together, "output", "grad_mask")
    ]


@pytest.mark.parametrize("name", SITUATIONS)
@pytest.mark.parametrize("implementation", OWN)
def test_our_own_that_autograd_differentiates_give_it(implementation, name):
    results = judged(suite()[implementation], name)

    assert {one.status for one in results} == {"pass"}


@pytest.mark.parametrize("implementation", REFUSING)
def test_our_own_that_recompute_refuse_it_aloud(implementation):
    (only,) = judged(suite()[implementation])

    assert (only.check, only.status) == ("grad_mask", "unsupported")
    assert str(only.reason).startswith("refuses a mask that requires a gradient: ")


@pytest.mark.parametrize(
    "planted",
    [one for one in PLANTED if "grad_mask" in str(one.killed_by)],
    ids=lambda one: one.name,
)
def test_a_lost_or_wrong_gradient_of_a_mask_fails(planted):
    found = [bad(judged(planted.fn, name)) for name in SITUATIONS]

    assert any("grad_mask" in one for one in found)


def test_a_gradient_that_is_lost_is_said_to_be_lost():
    def kernel(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor) -> Tensor:
        return plain(query, key, value, attn_mask=attn_mask.detach())

    (together, alone) = [one for one in judged(kernel) if one.bad]

    assert together.reason == "no gradient reaches mask: it is lost"
    assert alone.reason == "no gradient reaches mask: it is lost, where the mask alone asks for one"


def test_whatever_is_raised_is_a_refusal():
    def kernel(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor) -> Tensor:
        if attn_mask.requires_grad:
            raise ValueError("no gradients of masks")
        return plain(query, key, value, attn_mask=attn_mask)

    (only,) = judged(kernel)

    assert only.status == "unsupported"
    assert only.reason == (
        "refuses a mask that requires a gradient: raised ValueError: no gradients of masks"
    )
