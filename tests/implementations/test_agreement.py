"""Every core of the catalogue computes what its oracle says, and leaves its inputs alone."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from bench.checks.run_situation import verify
from bench.checks.situation import CheckCase
from bench.checks.situations import check_cases
from implementations.case import Case
from implementations.catalogue import suite
from implementations.interface import Feature, Implementation, UnsupportedCaseError
from tests.daily import daily

CORES = [
    one
    for one in suite().values()
    if one.kind == "core" and "cpu" in one.devices and "float32" in one.dtypes and not one.compiles
]
NATIVE = [one for one in CORES if one.unsupported(Case(seq_len=5)) is None]
LOOPS = ("loop", "row_loop")
# Slow, and `unscaled` is `matmul` at another scale.
SLOW = ("additive", "additive_chunked", "unscaled", "sdpa_math", "sdpa_flash")
# The small run of tox asks these, and `loop`, the same situations.
ASKED = ("matmul", "sdpa", "online_softmax")
LEFT_OUT = {*LOOPS, *SLOW} - {"additive_chunked"}
# Sizes of situations: of default lengths, beyond one or two blocks, and beyond many.
SMALL, MODERATE, LARGER = 2_000, 20_000, 200_000
# Asked daily though they are larger.
LONGEST = (
    *("beyond_blocks", "long_causal", "window_causal_128_of_1031"),
    *("first_keys_masked", "beyond_blocks_masked", "long_keys_first_masked"),
)
BEYOND = ("block_129x127", "causal_129x127", "boolean_mask_65x131", "float_mask_65x131")
DIFFERENTIABLE = [one for one in NATIVE if Feature.BACKWARD in one.supports]

MASKED = [one for one in NATIVE if Feature.BOOLEAN_MASK in one.supports]
CONDITIONS = {"none": None, "causal": Feature.CAUSAL, "boolean": Feature.BOOLEAN_MASK}
CONDITIONS["float"] = Feature.FLOAT_MASK

every = pytest.mark.parametrize("implementation", NATIVE, ids=lambda one: one.name)
every_masked = pytest.mark.parametrize("implementation", MASKED, ids=lambda one: one.name)
every_differentiable = pytest.mark.parametrize(
    "implementation", DIFFERENTIABLE, ids=lambda one: one.name
)


def test_the_cores_and_their_variants_are_in_the_catalogue():
    assert {
        "loop",
        "row_loop",
        "matmul",
        "matmul_widened",
        "sdpa",
        "sdpa_math",
        "sdpa_flash",
        "sdpa_efficient",
        "sdpa_cudnn",
        "query_chunked",
        "online_softmax",
        "triton_flash",
        "unscaled",
        "additive",
        "additive_chunked",
        "sliding_window",
        "linear",
    } <= set(suite())


@pytest.mark.parametrize(
    "implementation",
    [
        pytest.param(
            one,
            marks=pytest.mark.slow if one.name in (*ASKED, *LOOPS, *SLOW) else (),
            id=one.name,
        )
        for one in CORES
    ],
)
@pytest.mark.parametrize("most", daily([MODERATE, math.inf]))
def test_agrees_with_the_oracle_in_every_situation_of_the_gate(implementation, most):
    asked = [one for one in check_cases(["float32"]) if one.size < most or one.name in LONGEST]

    results = list(verify(implementation, asked))

    assert [str(r) for r in results if r.status in ("fail", "error")] == []
    passed = {r.case.name for r in results if r.status == "pass"}
    expected = {"plain", "causal_more_keys"}
    if implementation not in NATIVE:
        assert passed >= {"window_of_three", "window_causal_128_of_1031"}
        return
    masked = {"masked_rows_boolean", "first_keys_masked"}
    if implementation.name != "loop":  # which declines what would take it minutes
        expected |= {"beyond_blocks", "long_causal"}
        masked |= {"beyond_blocks_masked", "long_keys_first_masked"}
    assert passed >= (expected | masked if implementation in MASKED else expected)


# The others are torch's own kernels, or `matmul` at another scale.
@pytest.mark.parametrize("name", daily(["row_loop", *SLOW], most=3))
def test_the_slow_agree_with_the_oracle_in_every_small_situation(name):
    small = [one for one in check_cases(["float32"]) if one.size < SMALL]

    results = list(verify(suite()[name], small))

    assert [str(r) for r in results if r.status in ("fail", "error")] == []
    assert sum(r.status == "pass" for r in results) > len(small) / 2


def up_to(size: int, dtype: str) -> list[CheckCase]:
    """Situations of at most that size; with the small ones some beyond blocks of 64 and 128."""
    return [
        one
        for one in check_cases([dtype])
        if one.case.key_len < 200 and (one.size < size or (size == SMALL and one.name in BEYOND))
    ]


@pytest.mark.parametrize(
    "implementation",
    [
        # What draws situations (test_properties) draws half precision for all of them.
        pytest.param(one, marks=pytest.mark.slow if one.name in LEFT_OUT else (), id=one.name)
        for one in NATIVE
    ],
)
@pytest.mark.parametrize(
    "asked",
    daily([("bfloat16", SMALL), ("bfloat16", LARGER), ("float64", LARGER)]),
)
def test_agrees_with_the_oracle_at_small_sizes_in_other_dtypes(implementation, asked):
    dtype, most = asked
    small = up_to(SMALL if implementation.name in (*LOOPS, *SLOW) else most, dtype)

    results = list(verify(implementation, small))

    assert [str(r) for r in results if r.status in ("fail", "error")] == []
    assert any(r.status == "pass" for r in results)


@pytest.mark.parametrize("most", daily([SMALL, LARGER]))
@pytest.mark.parametrize("dtype", daily(["bfloat16", "float16"]))
def test_widened_products_agree_with_the_oracle_in_half_precision(dtype, most):
    small = up_to(most, dtype)

    results = list(verify(suite()["matmul_widened"], small))

    assert [str(r) for r in results if r.status in ("fail", "error")] == []
    assert any(r.status == "pass" for r in results)


@pytest.mark.parametrize("scale", [0.0, -1.1])
@pytest.mark.parametrize("name", ["loop", "row_loop", "matmul", "query_chunked", "online_softmax"])
def test_our_own_cores_take_scales_that_are_not_positive(name, scale):
    # torch's flash kernel on the CPU answers NaN to these when it is causal, so sdpa is left out.
    cases = [replace(one, scale=scale) for one in check_cases(["float64"])]
    chosen = [one for one in cases if one.name in ("plain", "causal", "masked_rows_boolean")]

    results = list(verify(suite()[name], chosen))

    assert [str(r) for r in results if r.status in ("fail", "error")] == []


@every_masked
def test_attn_mask_together_with_is_causal_is_a_value_error(implementation, draw):
    query, key, value = draw()
    mask = torch.ones(5, 7, dtype=torch.bool)

    with pytest.raises(ValueError, match="attn_mask and is_causal exclude each other"):
        implementation.fn(query, key, value, attn_mask=mask, is_causal=True)


@every
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda q, k, v: (q[..., :3], k, v), r"query and key must share head_dim, got 3 and 11"),
        (lambda q, k, v: (q, k[..., :2, :], v), r"key and value must share key_len, got 2 and 7"),
        (lambda q, k, v: (q, k[:1], v), r"query and key must share leading dimensions.*\(1, 3\)"),
        (lambda q, k, v: (q, k, v.float()), r"query and value must share dtype"),
        (lambda q, k, v: (q[0, 0, 0], k, v), r"query needs at least 2 dimensions, got shape \(11,"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_in_one_clear_line(
    implementation, draw, change, message
):
    with pytest.raises(ValueError, match=message) as refusal:
        implementation.fn(*change(*draw()))
    assert "\n" not in str(refusal.value)


@every_masked
@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(5, 6, dtype=torch.bool), r"must broadcast to \(2, 3, 5, 7\), got \(5, 6\)"),
        (torch.ones(5, 7, dtype=torch.int64), "must be boolean or floating point, got torch.int64"),
    ],
)
def test_a_mask_of_another_shape_or_kind_is_refused_in_one_clear_line(
    implementation, draw, mask, message
):
    with pytest.raises(ValueError, match=message) as refusal:
        implementation.fn(*draw(), attn_mask=mask)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("implementation", "kind"),
    [
        pytest.param(one, kind, id=f"{one.name}-{kind}")
        for one in NATIVE
        for kind, feature in CONDITIONS.items()
        if feature is None or feature in one.supports
    ],
)
def test_inputs_and_mask_are_never_modified(implementation, draw, kind):
    inputs = draw()
    mask = {
        "boolean": torch.arange(35).reshape(5, 7) % 3 > 0,
        "float": torch.linspace(-1, 1, 35, dtype=torch.float64).reshape(5, 7),
    }.get(kind)
    tensors = [*inputs] if mask is None else [*inputs, mask]
    before = [tensor.clone() for tensor in tensors]

    implementation.call(*inputs, attn_mask=mask, is_causal=kind == "causal")

    for tensor, original in zip(tensors, before, strict=True):
        torch.testing.assert_close(tensor, original, rtol=0, atol=0)


@every
def test_batch_seq_head_layout_gives_the_same_answer_as_contiguous_inputs(implementation, draw):
    contiguous = draw()
    strided = [tensor.transpose(1, 2).contiguous().transpose(1, 2) for tensor in contiguous]
    assert not any(tensor.is_contiguous() for tensor in strided)

    torch.testing.assert_close(implementation.fn(*strided), implementation.fn(*contiguous))


@every
def test_expanded_heads_give_the_same_answer_as_copied_ones(implementation, draw):
    query, key, value = draw()
    shared_key, shared_value = key[:, :1].expand_as(key), value[:, :1].expand_as(value)

    torch.testing.assert_close(
        implementation.fn(query, shared_key, shared_value),
        implementation.fn(query, shared_key.contiguous(), shared_value.contiguous()),
    )


@every_masked
@pytest.mark.parametrize("shape", [(7,), (5, 7), (3, 1, 7), (2, 1, 5, 1), (1, 3, 1, 7)])
def test_a_mask_broadcasts_over_every_dimension_it_lacks(implementation, draw, shape):
    inputs = draw()
    size = math.prod(shape)
    mask = (torch.arange(size) % 5 > 0).reshape(shape)

    torch.testing.assert_close(
        implementation.fn(*inputs, attn_mask=mask),
        implementation.fn(*inputs, attn_mask=mask.expand(2, 3, 5, 7).contiguous()),
    )


@every_masked
def test_rows_without_any_key_give_zeros(implementation, draw):
    mask = torch.ones(5, 7, dtype=torch.bool)
    mask[[1, 4]] = False

    output = implementation.fn(*draw(), attn_mask=mask)

    assert torch.equal(output[..., [1, 4], :], torch.zeros(2, 3, 2, 11, dtype=torch.float64))
    assert bool((output[..., [0, 2, 3], :] != 0).all())


@every
def test_large_scores_do_not_overflow(implementation, draw):
    query, key, value = draw()

    assert bool(implementation.fn(1e4 * query, 1e4 * key, value).isfinite().all())


@every_differentiable
@pytest.mark.parametrize("wanted", ["query", "key", "value"])
def test_gradients_come_only_where_they_are_asked_for(implementation, draw, wanted):
    tensors = dict(zip(("query", "key", "value"), draw(), strict=True))
    tensors[wanted].requires_grad_()

    implementation.fn(**tensors).sum().backward()

    assert [name for name, tensor in tensors.items() if tensor.grad is not None] == [wanted]


@every_differentiable
def test_gradients_of_transposed_layouts_equal_those_of_contiguous_ones(implementation, draw):
    def gradients(strided: bool) -> tuple[Tensor, ...]:
        leaves = [tensor.requires_grad_() for tensor in draw()]
        views = [
            leaf.transpose(1, 2).contiguous().transpose(1, 2) if strided else leaf
            for leaf in leaves
        ]
        output = implementation.fn(*views, is_causal=True)
        # A sum hands down an expanded gradient, whose strides are all zero.
        return torch.autograd.grad(output.sum(), leaves)

    for actual, expected in zip(gradients(True), gradients(False), strict=True):
        torch.testing.assert_close(actual, expected)


@every
def test_without_gradients_the_output_carries_none(implementation, draw):
    inputs = [tensor.requires_grad_() for tensor in draw()]

    with torch.no_grad():
        assert not implementation.fn(*inputs).requires_grad


@every
def test_dropout_is_refused_unless_declared(implementation, draw):
    if Feature.DROPOUT in implementation.supports:
        torch.manual_seed(0)
        inputs = draw()
        dropped = implementation.fn(*inputs, dropout_p=0.5)
        assert not torch.equal(dropped, implementation.fn(*inputs))
        return
    # A TypeError where there is no such keyword.
    with pytest.raises((ValueError, UnsupportedCaseError, RuntimeError, TypeError)) as refusal:
        implementation.fn(*draw(), dropout_p=0.5)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["query_chunked", "online_softmax"])
def test_recomputing_cores_refuse_to_differentiate_the_mask(name, draw):
    mask = torch.zeros(5, 7, dtype=torch.float64, requires_grad=True)

    with pytest.raises(UnsupportedCaseError, match="does not differentiate attn_mask"):
        suite()[name].fn(*draw(), attn_mask=mask)


def test_loop_refuses_gradients_and_large_sizes_in_one_line(draw):
    loop: Implementation = suite()["loop"]
    query, key, value = draw()
    with pytest.raises(ValueError, match="loop computes no gradients; use row_loop"):
        loop.fn(query.requires_grad_(), key, value)

    large = Case(seq_len=2048, head_dim=64)
    assert "loop is for small sizes" in str(loop.unsupported(large))
    ones = torch.ones(1, 1, 2048, 64)
    with pytest.raises(ValueError, match=r"loop is for small sizes.*use row_loop or matmul"):
        loop.fn(ones, ones, ones)


def test_loop_declares_unsupported_exactly_what_it_refuses():
    loop: Implementation = suite()["loop"]
    fits = Case(seq_len=512, head_dim=32)  # 2^24 multiply-adds
    assert loop.unsupported(fits) is None
    assert loop.unsupported(replace(fits, seq_len=513)) is not None
