"""The gate lets nothing wrong through: mutants fail, and who failed where by how much is named."""

import json
import math
import re
import warnings
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.situations import CheckCase, check_cases
from bench.verify import CheckResult, allowed_error, summary, verify
from implementations import blocks
from implementations.attention import online_softmax, query_chunked
from implementations.attention.matmul import matmul
from implementations.case import Case
from implementations.catalogue import catalogue, from_function
from implementations.interface import Feature, Implementation, UnsupportedCaseError
from implementations.masking import apply_mask, resolve_scale, safe_softmax
from implementations.oracle import reference, softmax_attention

CASES = {case.name: case for case in check_cases(["float32"])}
Core = Callable[..., Tensor]


def chosen(*names: str, **condition: Any) -> list[CheckCase]:
    found = [CASES[name] for name in names]
    return [replace(one, case=replace(one.case, **condition)) for one in found]


def judged(core: Core, *names: str, **condition: Any) -> list[CheckResult]:
    implementation = from_function(core, name="mutant")
    return list(verify(implementation, chosen(*names, **condition), seed=0))


def failures(results: list[CheckResult]) -> dict[str, set[str]]:
    """The situations that failed, by what was checked."""
    found: dict[str, set[str]] = {}
    for result in results:
        if result.status != "pass":
            found.setdefault(result.check, set()).add(result.case.name)
    return found


def attention(
    scores_of: Core | None = None, triangle: Callable[[int, int], Tensor] | None = None
) -> Core:
    """Attention with its scores or its causal triangle replaced."""

    def mutant(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
        scale: float | None = None,
    ) -> Tensor:
        factor = resolve_scale(query, scale)
        scores = query @ key.mT * factor if scores_of is None else scores_of(query, key, factor)
        if is_causal:
            rows, columns = scores.shape[-2:]
            ones = torch.ones(rows, columns, dtype=torch.bool)
            attn_mask = ones.tril() if triangle is None else triangle(rows, columns)
        return safe_softmax(apply_mask(scores, attn_mask)) @ value

    return mutant


EVERY = tuple(name for name, case in CASES.items() if case.case.key_len < 200)


def test_attention_without_a_mutation_passes():
    results = judged(attention(), *EVERY)

    assert failures(results) == {}
    assert {result.check for result in results} == {
        "output",
        "grad_query",
        "grad_key",
        "grad_value",
        "inputs_unmodified",
    }


def test_a_failure_names_the_implementation_the_case_and_the_error():
    unscaled = attention(lambda query, key, factor: query @ key.mT)

    failed = [r for r in judged(unscaled, "plain") if r.status == "fail"]

    assert failed
    for result in failed:
        assert result.error is not None
        assert result.allowed is not None
        assert result.error > 1000 * result.allowed
        assert re.fullmatch(
            r"mutant: (output|grad_\w+) in case plain \(n=7 d=33 \(3x11\) batch=2 float32 "
            r"forward_backward\): error \S+, allowed \S+",
            str(result),
        )


def test_a_dropped_scale_fails_everywhere_but_where_there_is_nothing_to_scale():
    unscaled = attention(lambda query, key, factor: query @ key.mT)

    failed = failures(judged(unscaled, *EVERY))

    assert set(EVERY) - failed["output"] == {"single_pair"}


def test_a_scale_by_the_wrong_length_fails():
    by_keys = attention(lambda query, key, factor: query @ key.mT / math.sqrt(key.shape[-2]))

    assert "plain" in failures(judged(by_keys, *EVERY))["output"]


def test_an_ignored_scale_argument_fails():
    fixed = attention(lambda query, key, factor: query @ key.mT / math.sqrt(query.shape[-1]))

    assert failures(judged(fixed, *EVERY))["output"] == {"scale", "large_scores"}


@pytest.mark.parametrize(
    ("triangle", "failing"),
    [
        (
            lambda rows, columns: torch.ones(rows, columns, dtype=torch.bool).triu(),
            {"causal", "causal_more_keys", "causal_more_queries"},
        ),
        (
            lambda rows, columns: torch.ones(rows, columns, dtype=torch.bool).tril(-1),
            {"causal", "causal_more_keys", "causal_more_queries"},
        ),
        (
            lambda rows, columns: torch.ones(rows, columns, dtype=torch.bool).tril(1),
            {"causal", "causal_more_keys", "causal_more_queries"},
        ),
        (
            # Aligned at the bottom right, as some libraries have it.
            lambda rows, columns: torch.ones(rows, columns, dtype=torch.bool).tril(columns - rows),
            {"causal_more_keys", "causal_more_queries"},
        ),
    ],
    ids=["flipped", "strictly_lower", "one_too_many", "bottom_right"],
)
def test_a_wrong_causal_triangle_fails_in_the_causal_cases(triangle, failing):
    failed = failures(judged(attention(triangle=triangle), *EVERY))

    assert failed["output"] == failing


def test_a_triangle_that_is_one_row_late_fails_beyond_the_blocks(monkeypatch):
    original = blocks.causal_mask
    monkeypatch.setattr(
        blocks,
        "causal_mask",
        lambda *sizes, first_query, **rest: original(
            *sizes, first_query=first_query + (first_query > 0), **rest
        ),
    )

    results = verify(catalogue()["query_chunked"], chosen("causal", "beyond_blocks_causal"))

    assert failures(list(results))["output"] == {"beyond_blocks_causal"}


@pytest.mark.parametrize("module", [query_chunked, online_softmax])
def test_a_skipped_last_tile_of_queries_fails(module, monkeypatch):
    original = module.tiles
    monkeypatch.setattr(module, "tiles", lambda query: list(original(query))[:-1])
    implementation = module.IMPLEMENTATION

    results = list(verify(implementation, chosen("plain", "beyond_blocks")))

    assert failures(results)["output"] == {"plain", "beyond_blocks"}
    assert implementation.name in str(next(r for r in results if r.status == "fail"))


def test_a_skipped_last_block_of_keys_fails_where_there_are_several(monkeypatch):
    original = online_softmax._key_blocks

    def all_but_the_last(stop: int) -> list[tuple[int, int]]:
        found = original(stop)
        return found[:-1] if len(found) > 1 else found

    monkeypatch.setattr(online_softmax, "_key_blocks", all_but_the_last)

    results = verify(online_softmax.IMPLEMENTATION, chosen("plain", "long_keys", "long_causal"))

    assert failures(list(results))["output"] == {"long_keys", "long_causal"}


def test_a_running_maximum_that_is_never_rescaled_fails(monkeypatch):
    monkeypatch.setattr(online_softmax, "KEYS_PER_BLOCK", 3)
    monkeypatch.setattr(torch, "exp2", torch.ones_like)

    failed = failures(list(verify(online_softmax.IMPLEMENTATION, chosen("more_keys"))))

    assert failed["output"] == {"more_keys"}


def test_nan_in_rows_without_keys_fails_and_is_called_not_finite():
    def unsafe(query, key, value, *, attn_mask=None):
        scores = query @ key.mT * resolve_scale(query, None)
        return apply_mask(scores, attn_mask).softmax(-1) @ value

    names = ("boolean_mask", "float_mask", "masked_rows_boolean", "masked_rows_float")
    results = judged(unsafe, *names)

    assert failures(results)["output"] == {"masked_rows_boolean", "masked_rows_float"}
    failed = next(r for r in results if r.status == "fail")
    assert failed.reason == "not finite where the reference is"
    assert failed.error is None


def test_uniform_weights_in_rows_without_keys_fail():
    def uniform(query, key, value, *, attn_mask=None):
        scores = query @ key.mT * resolve_scale(query, None)
        masked = apply_mask(scores, attn_mask).clamp(min=torch.finfo(scores.dtype).min)
        return masked.softmax(-1) @ value

    failed = failures(judged(uniform, "boolean_mask", "masked_rows_boolean"))

    assert failed["output"] == {"masked_rows_boolean"}


def test_an_inverted_mask_fails():
    def inverted(query, key, value, *, attn_mask=None, is_causal=False, scale=None):
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            attn_mask = ~attn_mask
        return matmul(query, key, value, attn_mask=attn_mask, is_causal=is_causal, scale=scale)

    failed = failures(judged(inverted, *EVERY))

    assert failed["output"] == {"boolean_mask", "boolean_mask_per_head", "masked_rows_boolean"}


def test_a_float_mask_that_is_ignored_fails():
    def deaf(query, key, value, *, attn_mask=None):
        keep = None if attn_mask is None or attn_mask.dtype != torch.bool else attn_mask
        return matmul(query, key, value, attn_mask=keep)

    failed = failures(judged(deaf, "plain", "boolean_mask", "float_mask", "masked_rows_float"))

    assert failed["output"] == {"float_mask", "masked_rows_float"}


def test_attending_across_heads_fails():
    def mixed(query, key, value):
        return matmul(*(t.transpose(-3, -2) for t in (query, key, value))).transpose(-3, -2)

    assert "plain" in failures(judged(mixed, "plain"))["output"]


@pytest.mark.parametrize("name", ["query", "key", "value"])
def test_an_input_changed_in_place_fails_and_is_named(name):
    def careless(query, key, value):
        output = matmul(query, key, value)
        {"query": query, "key": key, "value": value}[name].detach().mul_(1.5)
        return output

    results = judged(careless, "plain", pass_="forward")

    assert failures(results) == {"inputs_unmodified": {"plain"}}
    failed = next(r for r in results if r.status == "fail")
    assert failed.reason == f"changed its {name} in place"
    assert "mutant: inputs_unmodified in case plain" in str(failed)


@pytest.mark.parametrize("kind", ["boolean_mask", "float_mask"])
def test_a_mask_changed_in_place_fails_and_is_named(kind):
    def careless(query, key, value, *, attn_mask=None):
        output = matmul(query, key, value, attn_mask=attn_mask)
        attn_mask.zero_()
        return output

    results = judged(careless, kind, pass_="forward")

    assert failures(results) == {"inputs_unmodified": {kind}}
    assert next(r for r in results if r.status == "fail").reason == "changed its attn_mask in place"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda out: out.double(), "expected torch.float32 on cpu, got torch.float64 on cpu"),
        (lambda out: out.mT, r"expected shape (2, 3, 7, 11), got (2, 3, 11, 7)"),
        (lambda out: out.flatten(), "expected shape (2, 3, 7, 11), got (462,)"),
        (lambda out: (out, None), "expected a tensor, got tuple"),
        (lambda out: None, "expected a tensor, got NoneType"),
        (lambda out: out.to("meta"), "expected torch.float32 on cpu, got torch.float32 on meta"),
    ],
)
def test_an_output_of_another_kind_fails_with_expected_and_got(change, reason):
    results = judged(lambda query, key, value: change(matmul(query, key, value)), "plain")

    assert [(r.check, r.status, r.reason) for r in results] == [("output", "fail", reason)]


@pytest.mark.parametrize("name", ["query", "key", "value"])
def test_a_wrong_gradient_fails_for_the_input_it_belongs_to(name):
    def halved(query, key, value):
        tensors = {"query": query, "key": key, "value": value}
        fixed = tensors[name].detach()
        tensors[name] = fixed + (tensors[name] - fixed) / 2
        return matmul(**tensors)

    assert failures(judged(halved, "plain")) == {f"grad_{name}": {"plain"}}


@pytest.mark.parametrize("name", ["query", "key", "value"])
def test_an_input_cut_off_from_its_gradient_does_not_pass(name):
    def detached(query, key, value):
        tensors = {"query": query, "key": key, "value": value}
        tensors[name] = tensors[name].detach()
        return matmul(**tensors)

    (result,) = judged(detached, "plain")

    assert result.status == "error"
    assert "raised RuntimeError" in str(result.reason)
    assert [r.status for r in judged(detached, "plain", pass_="forward")] == ["pass", "pass"]


def test_computing_in_lower_precision_fails():
    def cheap(query, key, value):
        return matmul(*(t.bfloat16() for t in (query, key, value))).to(query.dtype)

    assert "output" in failures(judged(cheap, "plain"))
    assert failures(judged(cheap, "plain", dtype="bfloat16")) == {}


def test_float32_arithmetic_behind_float64_inputs_fails():
    def single(query, key, value):
        return matmul(query.float(), key.float(), value.float()).double()

    assert "output" in failures(judged(single, "plain", dtype="float64"))


def test_a_softmax_without_its_maximum_passes_where_nothing_overflows():
    def plain(query, key, value):
        weights = (query @ key.mT * resolve_scale(query, None)).exp()
        return weights / weights.sum(-1, keepdim=True) @ value

    assert failures(judged(plain, "plain", "more_keys")) == {}


def test_an_exception_is_one_error_and_the_other_cases_go_on():
    def fragile(query, key, value):
        if query.shape[-2] == 1:
            raise IndexError("first line\nsecond line")
        return matmul(query, key, value)

    results = judged(fragile, "single_pair", "plain")

    assert [(r.case.name, r.status) for r in results][:2] == [
        ("single_pair", "error"),
        ("plain", "pass"),
    ]
    assert results[0].reason == "raised IndexError: first line"


def test_a_kernels_warnings_are_its_own_business():
    def noisy(query, key, value):
        warnings.warn("slow", UserWarning, stacklevel=1)
        return matmul(query, key, value)

    assert failures(judged(noisy, "plain")) == {}


def test_what_a_kernel_declines_while_running_is_unsupported_with_its_reason():
    def picky(query, key, value):
        raise UnsupportedCaseError("no kernel for this")

    (result,) = judged(picky, "plain")

    assert (result.status, result.reason) == ("unsupported", "no kernel for this")


def test_keywords_that_a_kernel_does_not_take_are_unsupported_and_the_rest_is_checked():
    results = judged(lambda query, key, value: matmul(query, key, value), *EVERY)

    unsupported = failures(results)["output"]
    assert unsupported == {
        "boolean_mask_per_head",
        "float_mask_per_head",
        "large_scores",
        "scale",
        "causal",
        "causal_more_keys",
        "causal_more_queries",
        "boolean_mask",
        "float_mask",
        "masked_rows_boolean",
        "masked_rows_float",
    }
    assert {r.status for r in results} == {"pass", "unsupported"}
    reasons = {r.reason for r in results if r.status == "unsupported"}
    assert reasons >= {"mutant does not take scale", "mutant does not support causal"}


def test_a_missing_backward_pass_does_not_excuse_the_forward_pass():
    loop = catalogue()["loop"]

    results = list(verify(loop, chosen("plain")))

    assert {(r.check, r.status) for r in results} == {
        ("output", "pass"),
        ("grad_query", "unsupported"),
        ("grad_key", "unsupported"),
        ("grad_value", "unsupported"),
        ("inputs_unmodified", "pass"),
    }
    wrong = replace(loop, fn=lambda query, key, value, **_: 2 * value[..., : query.shape[-2], :])
    assert "output" in failures(list(verify(wrong, chosen("plain"))))


def test_a_core_for_four_dimensions_only_is_not_given_others():
    four = replace(
        catalogue()["matmul"],
        name="four",
        supports=catalogue()["matmul"].supports - {Feature.LEADING_DIMS},
    )

    found = list(verify(four, chosen("plain", "five_dimensions", "two_dimensions")))

    reasons = {r.reason for r in found if r.status == "unsupported"}
    assert reasons == {"four takes (batch, num_heads, rows, head_dim) only"}


def test_an_implementation_is_checked_against_its_own_oracle():
    def unscaled(query, key, value, attn_mask, scale):
        return softmax_attention(query, key, value, attn_mask, 1.0)

    implementation = Implementation(
        name="unscaled",
        title="",
        source="",
        fn=lambda query, key, value, **_: softmax_attention(query, key, value, None, 1.0),
        time_law="n^2*d",
        workspace_law="n^2*d",
        oracle=unscaled,
    )

    assert failures(list(verify(implementation, chosen("plain")))) == {}
    other = replace(implementation, oracle=softmax_attention)
    assert "output" in failures(list(verify(other, chosen("plain"))))


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "name", [n for n, one in catalogue().items() if "cpu" in one.devices and n != "loop"]
)
def test_right_implementations_pass_in_float64_whatever_the_seed(name, seed):
    small = chosen(*EVERY, dtype="float64")

    results = list(verify(catalogue()[name], small, seed=seed))

    assert [str(r) for r in results if r.status in ("fail", "error")] == []


# Cases in which the baseline happens to be nearly exact, so that the rounding step must do.
@pytest.mark.parametrize(
    ("name", "situation", "dtype", "seed"),
    [
        ("sdpa_math", "five_dimensions", "float32", 4),
        ("sdpa_math", "beyond_blocks", "float32", 4),
        ("online_softmax", "long_keys_masked", "float32", 2),
        ("online_softmax", "masked_rows_float", "float32", 124),
        ("row_loop", "beyond_blocks_masked", "bfloat16", 3),
    ],
)
def test_right_implementations_pass_in_lower_precision_whatever_the_seed(
    name, situation, dtype, seed
):
    results = list(verify(catalogue()[name], chosen(situation, dtype=dtype), seed=seed))

    assert [str(r) for r in results if r.status in ("fail", "error")] == []


def test_the_allowance_is_twice_the_baselines_error_and_a_rounding_step():
    case = chosen("plain")[0]
    inputs = [torch.ones(2, 3, 7, 11)] * 3
    expected = reference(*inputs, grad_output=torch.ones(2, 3, 7, 11))
    baseline = expected.values["output"] + 0.25

    allowed = allowed_error(case, "output", expected, baseline)

    # Every score is 11 · 1 / √11, every output 1.
    step = torch.finfo(torch.float32).eps * (1.0 + math.sqrt(11))
    assert allowed == pytest.approx(0.5 + step)


def test_results_are_counted_by_status():
    results = judged(lambda query, key, value: F.relu(matmul(query, key, value)), "plain", "scale")

    counts = summary(results)

    assert list(counts) == ["pass", "fail", "unsupported", "error"]
    assert counts["unsupported"] == 1
    assert counts["fail"] >= 1
    assert sum(counts.values()) == len(results)


def test_a_result_survives_the_way_between_processes_and_fits_the_contract():
    for result in judged(attention(), "float_mask", "two_dimensions"):
        back = CheckResult.from_plain(json.loads(json.dumps(asdict(result))))
        assert back == result
        row = result.to_dict()
        assert list(row) == [
            "implementation",
            "case",
            "check",
            "status",
            "error",
            "allowed",
            "reason",
        ]
        assert {"name", "seq_len", "key_len", "pass", "dtype", "mask"} <= set(row["case"])
        json.dumps(row, allow_nan=False)


def test_situations_have_distinct_names_and_reach_every_block_border():
    assert len(CASES) == len(check_cases(["float32"]))
    lengths = {size for one in CASES.values() for size in (one.case.seq_len, one.case.key_len)}
    assert max(lengths) > online_softmax.KEYS_PER_BLOCK
    assert any(
        one.case.seq_len > blocks.ROWS_PER_HEAD and one.case.is_causal for one in CASES.values()
    )
    for one in CASES.values():
        assert math.prod(one.leading) == one.case.batch * one.case.num_heads
        assert CheckCase.from_plain(asdict(one)) == one


def test_situations_can_be_narrowed_to_masks_and_passes():
    found = check_cases(["float32"], passes=["forward"], masks=[("none", True)])

    assert {one.case.pass_ for one in found} == {"forward"}
    assert all(one.case.is_causal for one in found)
    assert len(found) >= 4
    assert isinstance(found[0].case, Case)


def test_a_running_sum_that_is_not_rescaled_fails_in_every_precision():
    def unscaled(query, key, value):
        def part(rows, columns):
            scores = query @ rows.mT / math.sqrt(query.shape[-1])
            highest = scores.amax(-1, keepdim=True)
            return (scores - highest).exp(), columns

        (left, v1), (right, v2) = (
            part(key[..., :2048, :], value[..., :2048, :]),
            part(key[..., 2048:, :], value[..., 2048:, :]),
        )
        # The weights of both parts are added as if they shared a maximum.
        return (left @ v1 + right @ v2) / (left.sum(-1, True) + right.sum(-1, True))

    for dtype in ("float32", "float64", "bfloat16"):
        failed = failures(list(verify(from_function(unscaled), chosen("long_keys", dtype=dtype))))
        assert "long_keys" in failed["output"]


def test_losing_the_last_keys_fails_in_half_precision_too():
    def short(query, key, value):
        return matmul(query, key[..., :2048, :], value[..., :2048, :])

    failed = failures(list(verify(from_function(short), chosen("long_keys", dtype="bfloat16"))))

    assert "long_keys" in failed["output"]


def test_a_softmax_without_its_maximum_subtracted_fails():
    def naive(query, key, value, *, scale=None):
        factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
        weights = (query @ key.mT * factor).exp()
        return weights / weights.sum(-1, keepdim=True) @ value

    failed = failures(list(verify(from_function(naive), chosen("plain", "large_scores"))))

    assert failed["output"] == {"large_scores"}


def test_a_kernel_without_gradients_is_judged_by_its_output():
    @torch.no_grad()
    def forward_only(query, key, value):
        return matmul(query, key, value)

    results = list(verify(from_function(forward_only), chosen("plain")))

    assert {r.check: r.status for r in results} == {
        "output": "pass",
        "grad_query": "unsupported",
        "grad_key": "unsupported",
        "grad_value": "unsupported",
        "inputs_unmodified": "pass",
    }
