"""Dropout read off the weights: rate, scale, independence, seed and gradients each fail alone."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.checks.probes.dropout import check_dropout
from bench.checks.probes.trial import Trial
from bench.checks.results import CheckResult
from bench.checks.run_situation import verify_case
from bench.checks.situations import check_cases
from implementations.catalogue import suite
from implementations.interface import UnsupportedCaseError
from implementations.specs import from_function
from tests.daily import daily
from tests.planted import dropout as planted
from tests.planted.gradients import dropout_forgotten_backward
from tests.planted.planted import attention_weights, plain

CASES = {one.name: one for one in check_cases(["float32"])}
GRADIENTS = ["grad_query", "grad_key", "grad_value"]
Core = Callable[..., Tensor]


def judged(core: Core, name: str = "dropout", seed: int = 0, **condition: Any) -> list[CheckResult]:
    case = replace(CASES[name], case=replace(CASES[name].case, **condition))
    with torch.random.fork_rng(devices=[]):
        trial = Trial(implementation=from_function(core), case=case, seed=seed)
        return list(check_dropout(trial))


def bad(results: list[CheckResult]) -> dict[str, str | None]:
    return {one.check: one.reason for one in results if one.bad}


@pytest.mark.parametrize("name", ["dropout", "dropout_causal"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_the_formula_passes_every_check(name, dtype):
    results = judged(plain, name, dtype=dtype)

    expected = ["zero_rate", "weights", "rate", *GRADIENTS, "seed"]
    assert [(one.check, one.status) for one in results] == [(check, "pass") for check in expected]


def test_scores_other_than_scaled_products_are_those_of_the_oracle():
    with torch.random.fork_rng(devices=[]):
        trial = Trial(implementation=suite()["unscaled"], case=CASES["dropout"], seed=0)
        results = list(check_dropout(trial))

    expected = ["zero_rate", "weights", "rate", *GRADIENTS, "seed"]
    assert [(one.check, one.status) for one in results] == [(check, "pass") for check in expected]


@pytest.mark.parametrize("seed", daily([1, 2, 3, 5, 7]))
def test_the_formula_passes_whatever_the_inputs(seed):
    assert bad(judged(plain, seed=seed)) == {}


@pytest.mark.parametrize("drawing", range(11))
def test_the_formula_passes_whatever_is_drawn(drawing):
    def kernel(query, key, value, dropout_p=0.0):
        torch.rand(drawing)  # what follows is drawn from another place of the sequence
        return plain(query, key, value, dropout_p=dropout_p)

    assert bad(judged(kernel, pass_="forward")) == {}


def test_where_only_the_forward_pass_is_asked_for_no_gradient_is_looked_at():
    assert [one.check for one in judged(plain, pass_="forward")] == [
        "zero_rate",
        "weights",
        "rate",
        "seed",
    ]


def test_a_kernel_without_dropout_is_unsupported_and_not_called():
    def kernel(query, key, value):
        raise AssertionError

    (result,) = verify_case(from_function(kernel), CASES["dropout"])

    assert (result.status, result.reason) == ("unsupported", "kernel does not take dropout_p")


def test_the_same_weights_in_every_call_after_a_seed_was_set_fail():
    def kernel(query, key, value, dropout_p=0.0):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch.initial_seed() + 11)
            return plain(query, key, value, dropout_p=dropout_p)

    assert bad(judged(kernel)) == {"seed": "a second call drops the same weights"}


def test_dropping_at_rate_zero_fails():
    reasons = bad(judged(planted.dropout_even_at_rate_zero))

    assert reasons["zero_rate"] == "with dropout_p=0.0"


def test_an_output_of_another_kind_at_rate_zero_is_the_only_failure():
    results = judged(lambda query, key, value, dropout_p=0.0: value.double())

    assert [(one.check, one.status) for one in results] == [("zero_rate", "fail")]


def test_an_output_of_another_kind_where_weights_are_dropped_fails():
    def kernel(query, key, value, dropout_p=0.0):
        output = plain(query, key, value)
        return output.mT if dropout_p else output

    reasons = bad(judged(kernel))

    assert reasons == {"weights": "expected shape (2, 3, 67, 64), got (2, 3, 64, 67)"}


@pytest.mark.parametrize(
    "kernel",
    [
        planted.dropout_ignored,
        planted.dropped_weights_not_rescaled,
        planted.dropped_weights_rescaled_by_the_rate,
        planted.dropout_on_the_scores,
        planted.dropout_before_normalising,
        planted.dropout_twice,
        planted.rate_taken_for_the_kept_share,
    ],
)
def test_weights_that_are_neither_dropped_nor_scaled_fail(kernel):
    results = judged(kernel)

    reasons = bad(results)
    assert reasons["weights"] == "expected every weight to be 0 or weight / 0.7"
    # Which weights were dropped is then not known, and nothing is said of it.
    assert not {"rate", *GRADIENTS} & {one.check for one in results}


def dropped(factor_of: Callable[[Tensor, float], Tensor]) -> Core:
    """The formula, its weights times what `factor_of` makes of ones and the rate."""

    def kernel(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        dropout_p: float = 0.0,
        is_causal: bool = False,
    ) -> Tensor:
        weights = attention_weights(query, key, is_causal=is_causal)
        return weights * factor_of(torch.ones_like(weights), dropout_p) @ value

    return kernel


def at_rate(rate: float) -> Callable[[Tensor, float], Tensor]:
    def factor(ones: Tensor, dropout_p: float) -> Tensor:
        kept = torch.rand_like(ones) >= (rate if dropout_p else 0.0)
        return ones * kept / (1.0 - dropout_p)

    return factor


def test_another_rate_fails_with_the_rate_that_was_seen():
    reasons = bad(judged(dropped(at_rate(0.4))))

    assert set(reasons) == {"rate"}
    said = re.fullmatch(r"expected 30% of the weights dropped, got (\S+)%", str(reasons["rate"]))
    assert said is not None
    assert float(said[1]) == pytest.approx(40.0, abs=2.0)


@pytest.mark.parametrize("rate", [0.28, 0.32])
def test_a_rate_that_is_off_by_two_in_a_hundred_fails(rate):
    assert set(bad(judged(dropped(at_rate(rate))))) == {"rate"}


@pytest.mark.parametrize(
    "kernel",
    [
        planted.whole_rows_dropped,
        planted.same_dropout_for_all_queries,
        planted.same_dropout_for_all_heads,
    ],
)
@pytest.mark.parametrize("name", ["dropout", "dropout_causal"])
def test_weights_that_are_dropped_together_fail_in_their_rate_alone(kernel, name):
    assert list(bad(judged(kernel, name))) == ["rate"]


def whole_lines(ones: Tensor, dropout_p: float, dim: int) -> Tensor:
    """Drops a share of the lines along a dimension, exactly: only their scatter tells."""
    lines = ones.narrow(dim, 0, 1)
    ranks = torch.rand_like(lines).flatten().argsort().argsort().reshape(lines.shape)
    return ones * (ranks >= round(dropout_p * lines.numel())) / (1.0 - dropout_p)


def uneven_columns(ones: Tensor, dropout_p: float) -> Tensor:
    """Drops from every second column at a higher rate, from the others at a lower one."""
    odd = torch.arange(ones.shape[-1]) % 2
    rates = dropout_p + (0.4 * odd - 0.2) * bool(dropout_p)
    return ones * (torch.rand_like(ones) >= rates) / (1.0 - dropout_p)


@pytest.mark.parametrize(
    ("factor_of", "what"),
    [
        (partial(whole_lines, dim=-1), "row"),
        (uneven_columns, "column"),
        (partial(whole_lines, dim=0), "place in the matrices"),
    ],
    ids=["rows", "columns", "places"],
)
def test_weights_that_are_not_dropped_independently_fail_and_what_they_share_is_named(
    factor_of, what
):
    reasons = bad(judged(dropped(factor_of)))

    assert reasons == {"rate": f"the weights of one {what} are not dropped independently"}


def test_values_dropped_in_place_of_weights_fail_in_rate_and_gradient():
    assert set(bad(judged(planted.dropout_on_the_values))) == {"rate", "grad_value"}


def test_outputs_dropped_in_place_of_weights_fail_in_the_gradient_of_the_value():
    reasons = bad(judged(planted.dropout_on_the_output))

    # With the unit matrix as values nothing else tells them apart.
    assert reasons == {"grad_value": "with dropout_p=0.3"}


def test_a_fixed_number_of_weights_dropped_from_each_row_is_not_independent():
    def exactly(ones: Tensor, dropout_p: float) -> Tensor:
        if not dropout_p:
            return ones
        kept = ones.shape[-1] - round(dropout_p * ones.shape[-1])
        order = torch.rand_like(ones).argsort(dim=-1).argsort(dim=-1)
        return ones * (order < kept) / (1.0 - dropout_p)

    reasons = bad(judged(dropped(exactly)))

    assert reasons == {"rate": "the weights of one row are not dropped independently"}


def test_a_generator_that_the_seed_does_not_reach_fails():
    reasons = bad(judged(type(planted.dropout_of_an_own_generator)(), pass_="forward"))

    assert reasons == {"seed": "the same seed drops other weights"}


def test_a_seed_that_changes_nothing_fails():
    reasons = bad(judged(planted.same_dropout_in_every_call))

    assert reasons == {"seed": "every seed drops the same weights"}


def test_gradients_that_forget_what_was_dropped_fail():
    results = judged(dropout_forgotten_backward)

    failing = {one.check: one.reason for one in results if one.bad}
    assert set(failing) == set(GRADIENTS)
    assert set(failing.values()) == {"with dropout_p=0.3"}


@pytest.mark.parametrize("cut", ["query", "key", "value"])
def test_an_input_cut_off_from_its_gradient_fails_alone(cut):
    def kernel(query, key, value, dropout_p=0.0):
        tensors = {"query": query, "key": key, "value": value}
        tensors[cut] = tensors[cut].detach()
        return plain(**tensors, dropout_p=dropout_p)

    assert bad(judged(kernel)) == {f"grad_{cut}": f"no gradient reaches {cut}"}


@pytest.mark.parametrize("kind", [NotImplementedError, UnsupportedCaseError])
def test_gradients_that_are_declined_under_dropout_are_unsupported_there(kind):
    def kernel(query, key, value, dropout_p=0.0):
        if dropout_p and query.requires_grad:
            raise kind("no backward pass with dropout")
        return plain(query, key, value, dropout_p=dropout_p)

    results = judged(kernel)

    assert bad(results) == {}
    assert {one.check for one in results if one.status == "unsupported"} == set(GRADIENTS)


def test_gradients_that_raise_under_dropout_are_an_error_and_the_seed_is_looked_at():
    def kernel(query, key, value, dropout_p=0.0):
        if dropout_p and query.requires_grad:
            raise RuntimeError("no backward pass with dropout")
        return plain(query, key, value, dropout_p=dropout_p)

    results = judged(kernel)

    said = "where gradients are asked for, raised RuntimeError: no backward pass with dropout"
    assert bad(results) == {"grad_query": said}
    assert (results[-1].check, results[-1].status) == ("seed", "pass")


def test_dropout_of_torchs_own_attention_passes():
    def kernel(query, key, value, dropout_p=0.0, is_causal=False):
        return F.scaled_dot_product_attention(
            query, key, value, dropout_p=dropout_p, is_causal=is_causal
        )

    assert bad(judged(kernel)) == {}
    assert bad(judged(kernel, "dropout_causal")) == {}


@pytest.mark.parametrize("name", ["dropout_tenth", "dropout_half", "dropout_most"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_the_formula_passes_at_other_rates(name, dtype):
    assert bad(judged(plain, name, dtype=dtype)) == {}


@pytest.mark.parametrize(
    ("kernel", "name"),
    [
        (planted.rate_of_three_tenths, "dropout_tenth"),
        (planted.rate_of_a_half, "dropout_most"),
        (planted.rate_ignored_beyond_64_keys, "dropout_tenth"),
        (planted.rate_ignored_beyond_100_keys, "dropout_131_keys"),
        (planted.rate_ignored_beyond_1024_keys, "dropout_1031_keys"),
    ],
)
def test_a_rate_that_is_not_what_was_asked_fails(kernel, name):
    assert "weights" in bad(judged(kernel, name))
