"""Powers of two: exact for a right kernel, and not for one that treats sizes of numbers apart."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.checks.probes.scaling import LAWS, SMALL, check_scaling
from bench.checks.probes.trial import Trial
from bench.checks.results import CheckResult
from bench.checks.situations import check_cases
from implementations.case import DTYPES
from implementations.catalogue import suite
from implementations.specs import from_function
from tests.daily import daily
from tests.planted.magnitudes import PLANTED
from tests.planted.planted import plain

CASES = {one.name: one for one in check_cases(["float32"])}
SITUATIONS = [name for name, one in CASES.items() if one.probe == "scaling"]
CHECKS = [law.check for law in LAWS]


def judged(
    core: Callable[..., Tensor], name: str = "scaling", seed: int = 0, **condition: Any
) -> list[CheckResult]:
    case = replace(CASES[name], case=replace(CASES[name].case, **condition))
    return list(check_scaling(Trial(implementation=from_function(core), case=case, seed=seed)))


def bad(results: list[CheckResult]) -> dict[str, str | None]:
    return {one.check: one.reason for one in results if one.bad}


@pytest.mark.parametrize("name", SITUATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_formula_keeps_every_law(name, dtype):
    results = judged(plain, name, dtype=dtype)

    expected = [*CHECKS, "small_inputs"] if dtype in SMALL else CHECKS
    assert [(one.check, one.status) for one in results] == [(check, "pass") for check in expected]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(
    ("name", "keeps_scores"),
    [("matmul", True), ("unscaled", True), ("additive", False), ("linear", False)],
)
def test_only_scores_that_are_dot_products_are_asked_to_keep_them(name, keeps_scores, dtype):
    case = CASES["scaling"].under(dtype=dtype)

    results = list(check_scaling(Trial(implementation=suite()[name], case=case, seed=0)))

    assert {one.status for one in results} == {"pass"}
    asked = {one.check for one in results}
    assert asked >= {"values_scaled", "upstream_scaled"}
    assert ("scores_kept" in asked) == keeps_scores


@pytest.mark.parametrize("seed", daily([1, 2, 3, 5, 7]))
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_formula_keeps_them_whatever_the_inputs(seed, dtype):
    assert bad(judged(plain, seed=seed, dtype=dtype)) == {}


@pytest.mark.parametrize(
    "planted",
    [one for one in PLANTED if str(one.killed_by).startswith("properties")],
    ids=lambda one: one.name,
)
def test_what_is_clamped_dropped_or_overflows_breaks_a_law(planted):
    assert str(planted.killed_by).removeprefix("properties: ") in bad(judged(planted.fn))


def test_the_reason_names_the_factors():
    reasons = bad(judged(lambda query, key, value: plain(query, key, value.clamp(-1e3, 1e3))))

    assert reasons["values_scaled"] == ("values times 2^40 do not give output times 2^40")


def test_a_fault_without_gradients_only_is_seen_without_gradients():
    def kernel(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return plain(query, key, value if torch.is_grad_enabled() else value.clamp(-1e3, 1e3))

    assert "values_scaled" in bad(judged(kernel))


def test_a_kernel_without_gradients_is_judged_by_its_outputs():
    def kernel(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if query.requires_grad:
            raise NotImplementedError
        return plain(query, key, value)

    assert bad(judged(kernel)) == {}


def test_zeros_for_inputs_that_are_all_small_fail():
    def kernel(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        small = all(float(one.abs().max()) < 1e-5 for one in (query, key, value))
        return plain(query, key, value * (0.0 if small else 1.0))

    assert list(bad(judged(kernel))) == ["small_inputs"]
