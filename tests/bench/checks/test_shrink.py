"""A failing situation made smaller: it still fails, and keeps what it fails for."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.checks import shrink as module
from bench.checks.results import CheckResult
from bench.checks.run_situation import verify_case
from bench.checks.shrink import MOST_TRIALS, shrink
from bench.checks.situation import CheckCase
from bench.checks.situations import check_cases
from implementations.attention.matmul import matmul
from implementations.catalogue import load
from implementations.interface import Implementation
from implementations.oracle import softmax_attention
from implementations.specs import from_function
from tests.bench.some_layers import ATTENTION, Attention
from tests.planted.planted import planted_kernels

CASES = {one.name: one for one in check_cases(["float32"])}
PLANTED = {one.name: one.implementation for one in planted_kernels()}
RIGHT = load("matmul")


def stopped() -> float:
    """A clock that stands still: trials are what runs out."""
    return 0.0


def shrunk(kernel: Implementation, case: CheckCase, check: str = "output") -> CheckResult:
    """The smallest failure; it fails the same check, is no larger, and is the kernel's own."""
    found = shrink(kernel, case, check, clock=stopped)

    assert found is not None
    assert found.bad
    assert found.check == check
    assert found.case.size <= case.size
    assert found in verify_case(kernel, found.case)
    assert [str(one) for one in verify_case(RIGHT, found.case) if one.bad] == []
    return found


def beyond(most: int) -> Implementation:
    """Attention to the first `most` keys only."""

    def forgetful(query: Tensor, key: Tensor, value: Tensor, **keywords: Any) -> Tensor:
        return matmul(query, key[..., :most, :], value[..., :most, :], **keywords)

    return from_function(forgetful)


def test_a_fault_at_every_size_comes_down_to_one_head_and_few_rows():
    found = shrunk(PLANTED["missing_scale"], CASES["beyond_blocks"]).case

    assert found.leading == (1, 1)
    assert (found.prepare, found.arrange, found.scale) == ((), (), None)
    assert found.case.seq_len == 1
    assert found.case.key_len == 2  # a single key has all the weight at any scale
    assert found.case.head_dim <= 2  # with one feature there is nothing to scale


@pytest.mark.parametrize("name", ["causal_strict", "causal_ignored", "causal_bottom_right"])
def test_a_causal_fault_keeps_is_causal(name):
    found = shrunk(PLANTED[name], CASES["causal_33x31"]).case

    assert found.case.is_causal
    assert found.size < 100


def test_a_fault_beyond_64_keys_keeps_65_of_them():
    found = shrunk(beyond(64), CASES["beyond_blocks"]).case

    assert (found.case.key_len, found.case.seq_len) == (65, 1)


def test_a_fault_of_masks_keeps_the_mask_and_its_kind():
    boolean = shrunk(PLANTED["boolean_mask_inverted"], CASES["boolean_mask_65x131"]).case
    float_ = shrunk(PLANTED["float_mask_subtracted"], CASES["float_mask_65x131"]).case

    assert boolean.case.mask == "boolean"
    assert float_.case.mask == "float"
    assert max(boolean.size, float_.size) < 100


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("nan_on_empty_rows", "masked_rows_boolean"),
        ("even_weights_on_empty_rows", "all_masked_boolean"),
        ("infinite_entries_clamped", "masked_rows_float"),
        ("mask_squeezed", "boolean_mask_per_batch_item"),
        ("row_mask_read_as_column", "boolean_mask_of_keys"),
        ("nan_after_a_masked_block", "first_keys_masked"),
        ("mask_taken_for_contiguous", "mask_columns_first"),
        ("memory_beyond_the_slice_cleared", "packed"),
    ],
)
def test_a_recipe_that_makes_no_sense_at_another_size_is_not_the_kernels_failure(name, case):
    found = shrunk(PLANTED[name], CASES[case])

    assert found.status == "fail"


def test_a_fault_of_one_dtype_keeps_the_dtype():
    def coarse(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        scale = 1.0 if query.dtype == torch.bfloat16 else None
        return matmul(query, key, value, scale=scale)

    plain = CASES["plain"]
    case = replace(plain, case=replace(plain.case, dtype="bfloat16"))

    assert shrunk(from_function(coarse), case).case.case.dtype == "bfloat16"


def test_a_fault_of_every_dtype_is_shown_in_float32():
    plain = CASES["plain"]
    case = replace(plain, case=replace(plain.case, dtype="bfloat16"))

    assert shrunk(PLANTED["missing_scale"], case).case.case.dtype == "float32"


def test_a_fault_in_a_gradient_is_followed_in_that_gradient():
    found = shrunk(PLANTED["key_gradient_unscaled"], CASES["beyond_blocks"], "grad_key")

    assert found.case.case.is_backward
    assert found.case.size < 100


def test_a_fault_that_raises_is_followed_as_well():
    def raising(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if key.shape[-2] > 6:
            raise ValueError("six keys at most")
        return matmul(query, key, value)

    found = shrunk(from_function(raising), CASES["beyond_blocks"])

    assert found.case.case.key_len == 7
    assert found.reason == "raised ValueError: six keys at most"


def test_a_fault_of_memory_keeps_how_the_inputs_lie():
    found = shrunk(PLANTED["value_taken_for_contiguous"], CASES["columns_first"]).case

    assert found.arrange == CASES["columns_first"].arrange


def test_dimensions_that_the_fault_needs_are_kept():
    found = shrunk(PLANTED["two_dimensions_become_three"], CASES["two_dimensions"]).case

    assert found.leading == ()


@pytest.mark.parametrize("name", ["same_dropout_for_all_heads", "whole_rows_dropped"])
def test_dropout_is_shown_as_it_was_found_since_chance_decides_in_smaller_cases(name):
    found = shrunk(PLANTED[name], CASES["dropout_causal"], "rate")

    assert found.case == CASES["dropout_causal"]


def test_a_kernel_that_passes_has_no_failing_situation():
    assert shrink(RIGHT, CASES["plain"], "output") is None


def test_a_check_that_does_not_fail_has_none_either():
    assert shrink(PLANTED["missing_scale"], CASES["plain"], "inputs_unmodified") is None


def counted(
    monkeypatch: pytest.MonkeyPatch, kernel: Implementation
) -> tuple[list[CheckCase], list[CheckCase]]:
    """The cases that the kernel is tried in, and those that the formula is tried in."""
    own: list[CheckCase] = []
    formula: list[CheckCase] = []

    def counting(tried: Implementation, case: CheckCase, *, seed: int) -> list[CheckResult]:
        (own if tried is kernel else formula).append(case)
        return verify_case(tried, case, seed=seed)

    monkeypatch.setattr(module, "verify_case", counting)
    return own, formula


def test_so_many_situations_are_tried_and_no_more(monkeypatch):
    kernel = beyond(64)
    own, formula = counted(monkeypatch, kernel)
    monkeypatch.setattr(module, "MOST_TRIALS", 3)

    found = shrink(kernel, CASES["beyond_blocks"], "output", clock=stopped)

    assert found is not None
    assert len(own) == 1 + 3
    assert MOST_TRIALS > 3
    # The formula is asked where the kernel fails, and nowhere else.
    assert formula == [one for one in own[1:] if one.case.key_len > 64]


def test_a_situation_in_which_the_formula_itself_fails_is_not_taken(monkeypatch):
    monkeypatch.setattr(module, "_is_sound", lambda *_: False)

    found = shrink(beyond(64), CASES["beyond_blocks"], "output", clock=stopped)

    assert found is not None
    assert found.case == CASES["beyond_blocks"]


def test_a_recipe_that_only_makes_sense_as_a_whole_is_kept_as_a_whole():
    # Without its first statement the second raises, whoever the kernel is.
    whole = ("factor = 1e3", "value *= factor")

    def clipped(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return matmul(query, key, value.clamp(-50.0, 50.0))

    found = shrunk(from_function(clipped), replace(CASES["plain"], prepare=whole))

    assert found.case.prepare == whole
    assert found.status == "fail"
    assert found.case.size < 20


def test_a_kernel_with_an_oracle_of_its_own_is_compared_with_that_one():
    def unscaled(
        query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None, scale: float
    ) -> Tensor:
        return softmax_attention(query, key, value, attn_mask, 1.0)

    def twice(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return 2 * matmul(query, key, value, scale=1.0)

    found = shrink(
        replace(from_function(twice), oracle=unscaled),
        CASES["beyond_blocks"],
        "output",
        clock=stopped,
    )

    assert found is not None
    assert found.case.size < 10


def test_when_the_time_is_up_the_smallest_so_far_is_given(monkeypatch):
    kernel = beyond(64)
    own, _ = counted(monkeypatch, kernel)
    readings = iter([0.0, 0.0, 0.0, *[module.LIMIT_S + 1.0] * 7])

    found = shrink(kernel, CASES["beyond_blocks"], "output", clock=lambda: next(readings))

    assert found is not None
    assert found.bad
    assert found.case.size < CASES["beyond_blocks"].size
    assert len(own) == 3


def test_without_any_time_the_first_failure_is_given_as_it_is():
    readings = iter([0.0, module.LIMIT_S + 1.0])

    found = shrink(beyond(64), CASES["beyond_blocks"], "output", clock=lambda: next(readings))

    assert found is not None
    assert found.case == CASES["beyond_blocks"]


def test_the_same_seed_finds_the_same_situation():
    first, second = (
        shrink(PLANTED["causal_strict"], CASES["causal_65x65"], "output", seed=5, clock=stopped)
        for _ in range(2)
    )

    assert first is not None
    assert first == second


def test_a_layer_that_fails_is_made_smaller():
    class Larger(Attention):
        def mixed(self, query, key, value, mask):
            return super().mixed(query, key, value, mask) * 1.01

    layer = replace(ATTENTION, build=Larger)
    (case,) = [
        one for one in check_cases(["float64"], asked=["layer"]) if one.name == "layer_float_mask"
    ]

    smallest = shrink(layer, case, "output", clock=lambda: 0.0)

    assert smallest is not None
    assert smallest.case.case.dtype == "float32"
    assert smallest.case.case.mask == "none"
    assert smallest.case.size < case.size / 20
