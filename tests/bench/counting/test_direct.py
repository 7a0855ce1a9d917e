"""What one call costs, against sums by hand, torch's own counter and the allocator."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bench.counting.direct import MOST_PAIRS_ON_CPU, count
from bench.counting.result import EXECUTED
from bench.machine.workspace import workspace_bytes
from bench.timing.inputs import differentiate, make_inputs
from implementations.attention.matmul import matmul
from implementations.case import Case
from implementations.catalogue import suite
from implementations.specs import from_function

PRIMES = Case(batch=2, num_heads=3, seq_len=5, key_len=7, head_dim=11, value_dim=13)
SQUARE = Case(batch=2, num_heads=3, seq_len=29, head_dim=7)
BOTH = pytest.mark.parametrize("pass_", ["forward", "forward_backward"])


def calling(name: str, case: Case) -> Callable[[], Sequence[Tensor]]:
    implementation = suite()[name]
    inputs = make_inputs(case, layout=implementation.layout)
    tensors = (inputs.query, inputs.key, inputs.value)
    if case.is_backward:
        for tensor in tensors:
            tensor.requires_grad_()

    def call() -> Sequence[Tensor]:
        with torch.set_grad_enabled(case.is_backward):
            output = implementation.call(
                *tensors, attn_mask=inputs.attn_mask, is_causal=case.is_causal
            )
        if not case.is_backward:
            return (output,)
        gradients = differentiate(output, tensors, inputs.grad_output)
        return (output.detach(), *(one for one in gradients if one is not None))

    return call


def test_matmul_attention_costs_what_a_pencil_says():
    found = count(suite()["matmul"], PRIMES)

    scores, heads = 6 * 5 * 7, 6
    products = 2 * scores * (11 + 13)
    assert found.useful_flops == found.matmul_flops == products
    # Scaling is one operation a score; largest, difference, sum and quotient are the softmax's.
    assert found.executed_flops == products + 5 * scores
    assert found.transcendentals == scores
    # Two products, scaling, softmax; what each reads and writes, in elements of 4 bytes.
    assert found.launches == 4
    assert found.bytes_read == 4 * (heads * (5 * 11 + 7 * 11) + 3 * scores + heads * 7 * 13)
    assert found.bytes_written == 4 * (3 * scores + heads * 5 * 13)
    assert found.workspace_bytes == 4 * 2 * scores
    assert found.counted_on == "meta"
    assert found.by_formula == {"useful_flops", "executed_flops", "transcendentals"}


def test_matmul_at_a_million_tokens_is_counted_without_computing():
    found = count(suite()["matmul"], Case(num_heads=8, seq_len=2**20, head_dim=64))

    assert found.matmul_flops == 4 * 8 * 2**40 * 64
    assert found.workspace_bytes == 8 * 8 * 2**40


@BOTH
@pytest.mark.parametrize("name", ["matmul", "sdpa_math", "row_loop"])
def test_products_are_those_that_torch_counts(name, pass_):
    case = replace(SQUARE, pass_=pass_)
    call = calling(name, case)
    with FlopCounterMode(display=False) as counter:
        call()

    assert count(suite()[name], case).matmul_flops == counter.get_total_flops()


@pytest.mark.parametrize("name", ["query_chunked", "online_softmax"])
def test_cores_that_recompute_their_blocks_do_seven_products_to_the_forwards_two(name):
    # Torch's own counter is no judge here: it leaves out the products that add in place.
    masked = replace(SQUARE, mask="boolean")  # a short call without a mask is not cut into blocks
    found = count(suite()[name], replace(masked, pass_="forward_backward"))

    assert found.matmul_flops == 3.5 * count(suite()[name], masked).matmul_flops


@BOTH
@pytest.mark.parametrize("condition", [{}, {"is_causal": True}, {"mask": "boolean"}])
@pytest.mark.parametrize("sizes", [(2, 3, 29, 7), (1, 1, 211, 16), (1, 5, 613, 8)])
@pytest.mark.parametrize("name", ["matmul", "sdpa", "sdpa_math", "query_chunked", "online_softmax"])
def test_workspace_is_what_the_allocator_hands_out(name, sizes, condition, pass_):
    batch, num_heads, seq_len, head_dim = sizes
    case = Case(
        batch=batch,
        num_heads=num_heads,
        seq_len=seq_len,
        head_dim=head_dim,
        pass_=pass_,
        **condition,
    )
    found = count(suite()[name], case)

    # Beyond tensors, a call holds a few Python numbers as scalars of 4 or 8 bytes.
    assert 0 <= workspace_bytes(calling(name, case), "cpu") - found.workspace_bytes <= 16


@BOTH
def test_workspace_of_a_loop_over_rows_sums_gradients_in_place_as_autograd_does(pass_):
    case = replace(SQUARE, pass_=pass_)
    found = count(suite()["row_loop"], case)

    # Every row keeps its scale, a scalar of 8 bytes, for the backward pass.
    left_out = workspace_bytes(calling("row_loop", case), "cpu") - found.workspace_bytes
    assert 0 <= left_out <= 8 * case.seq_len + 16


@BOTH
@pytest.mark.parametrize("seq_len", [31, 191, 193, 767, 769])
def test_fused_kernels_hold_the_blocks_of_every_thread(seq_len, pass_):
    case = Case(num_heads=2, seq_len=seq_len, head_dim=16, pass_=pass_)
    found = count(suite()["sdpa"], case)

    assert found.workspace_bytes == workspace_bytes(calling("sdpa", case), "cpu")
    assert {"workspace_bytes", "matmul_flops", "transcendentals"} <= found.by_formula


def test_memory_of_fused_kernels_in_half_precision_is_not_guessed():
    found = count(suite()["sdpa"], replace(SQUARE, dtype="bfloat16"))

    assert found.workspace_bytes is None
    assert "depends on the processor" in found.reasons["workspace_bytes"]
    assert found.matmul_flops == found.useful_flops


def test_fused_attention_is_one_launch_and_the_math_back_end_is_not():
    assert count(suite()["sdpa"], SQUARE).launches == 1
    assert count(suite()["sdpa_flash"], SQUARE).launches == 1
    assert count(suite()["sdpa_math"], SQUARE).launches > 4


def test_fused_backward_recomputes_the_scores():
    forward = count(suite()["sdpa"], SQUARE)
    both = count(suite()["sdpa"], replace(SQUARE, pass_="forward_backward"))

    # Five products in the backward pass to the forward's two; useful are four.
    assert both.matmul_flops == 3.5 * forward.matmul_flops
    assert both.useful_flops == 3 * forward.useful_flops
    assert both.transcendentals == 2 * forward.transcendentals


def test_causal_fused_attention_does_the_triangle_and_matmul_the_square():
    causal = replace(SQUARE, is_causal=True)
    triangle = 6 * 29 * 30 // 2

    fused, plain = count(suite()["sdpa"], causal), count(suite()["matmul"], causal)

    assert fused.matmul_flops == fused.useful_flops == plain.useful_flops == 4 * triangle * 7
    assert fused.transcendentals == triangle
    assert plain.matmul_flops == 4 * 6 * 29 * 29 * 7


def test_blocks_past_the_diagonal_are_not_executed():
    case = Case(num_heads=2, seq_len=1024, head_dim=8, is_causal=True)

    found = count(suite()["query_chunked"], case)

    # Of four blocks of 512 x 512, the upper right one is left out.
    assert found.matmul_flops == 3 / 4 * 4 * 2 * 1024 * 1024 * 8


def test_loop_is_counted_from_its_source():
    found = count(suite()["loop"], PRIMES)

    pairs = 6 * 5 * 7
    assert found.matmul_flops == 2 * pairs * (11 + 13)
    assert found.executed_flops == found.matmul_flops + 5 * pairs
    assert found.transcendentals == pairs
    assert found.counted_on == "formula"
    assert found.bytes_read is found.launches is found.workspace_bytes is None
    assert "Python floats" in found.reasons["launches"]


def matmul_of_data(query, key, value, **keywords):
    if query.is_meta:
        raise RuntimeError("needs data")
    return matmul(query, key, value, **keywords)


@BOTH
@pytest.mark.parametrize("condition", [{}, {"is_causal": True}, {"mask": "float"}])
def test_a_call_on_the_cpu_counts_what_meta_tensors_count(condition, pass_):
    case = replace(SQUARE, pass_=pass_, **condition)

    real = count(from_function(matmul_of_data), case)

    assert real.counted_on == "cpu"
    assert replace(real, counted_on="meta") == count(suite()["matmul"], case)


def test_a_kernel_that_needs_data_is_not_called_at_large_sizes():
    found = count(from_function(matmul_of_data), Case(seq_len=2**20))

    assert found.matmul_flops is None
    assert "RuntimeError: needs data" in found.reasons["matmul_flops"]
    assert str(MOST_PAIRS_ON_CPU) in found.reasons["matmul_flops"]


def data_dependent(query, key, value):
    scores = query @ key.mT
    if scores.max().item() > 0:
        scores = scores * 2.0
    return scores.softmax(-1) @ value


def test_a_kernel_that_looks_at_its_data_is_counted_as_far_as_seen():
    found = count(from_function(data_dependent), SQUARE)

    assert found.counted_on == "cpu"
    assert found.matmul_flops == 4 * 6 * 29 * 29 * 7
    assert "executed_flops" in found.lower_bounds
    assert found.unseen == ("numbers taken out of torch by item: 1",)


def through_numpy(query, key, value):
    weights = (query @ key.mT).softmax(-1).numpy()
    return torch.from_numpy(weights @ value.numpy())


def through_lists(query, key, value):
    return torch.tensor(value.tolist())


@pytest.mark.parametrize(("kernel", "way"), [(through_numpy, "numpy"), (through_lists, "tolist")])
def test_what_happens_outside_of_torch_is_not_taken_for_nothing(kernel, way):
    found = count(from_function(kernel), SQUARE)

    assert all(found.value(quantity) is None for quantity in EXECUTED)
    assert f"takes its numbers out of torch ({way})" in found.reasons["matmul_flops"]


def follows_the_address(query, key, value):
    if query.data_ptr() == 0:
        pytest.fail("a null pointer was handed out")
    return query @ key.mT @ value


def test_no_kernel_is_handed_a_null_pointer():
    found = count(from_function(follows_the_address), SQUARE)

    assert "data_ptr" in found.reasons["matmul_flops"]


def with_topk(query, key, value):
    scores = query @ key.mT
    return scores.topk(3, dim=-1).values @ value[..., :3, :]


def test_an_operator_without_a_rule_is_named_and_leaves_a_lower_bound():
    found = count(from_function(with_topk), SQUARE)

    assert found.matmul_flops == 2 * 6 * 29 * 7 * (29 + 3)
    assert found.lower_bounds == {"executed_flops", "matmul_flops", "transcendentals"}
    assert found.unseen == ("operator aten.topk has no rule",)


def test_memory_of_products_in_half_precision_is_a_lower_bound_on_the_cpu():
    found = count(suite()["matmul"], replace(SQUARE, dtype="bfloat16"))

    assert found.workspace_bytes == 2 * 2 * 6 * 29 * 29
    assert found.lower_bounds == {"workspace_bytes"}
    assert workspace_bytes(calling("matmul", replace(SQUARE, dtype="bfloat16")), "cpu") >= (
        found.workspace_bytes
    )


def leaving(query, key, value):
    print("on the way out")
    raise SystemExit("goodbye")


def test_a_kernel_that_exits_or_prints_disturbs_nobody(capsys):
    found = count(from_function(leaving), SQUARE)

    assert "SystemExit: goodbye" in found.reasons["launches"]
    assert capsys.readouterr().out == ""


def broken(query, key, value):
    return query @ value


def test_a_kernel_that_raises_gives_its_reason_and_no_numbers():
    found = count(from_function(broken), replace(SQUARE, pass_="forward"))

    assert found.useful_flops == 4 * 6 * 29 * 29 * 7
    assert all(found.value(quantity) is None for quantity in EXECUTED)
    assert "RuntimeError" in found.reasons["launches"]


def test_a_mask_made_on_the_default_device_is_no_obstacle():
    def kernel(query, key, value):
        allowed = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool).tril()
        return (query @ key.mT).masked_fill(~allowed, -torch.inf).softmax(-1) @ value

    assert count(from_function(kernel), SQUARE).counted_on == "meta"


def test_a_case_that_is_not_supported_says_so():
    found = count(suite()["loop"], replace(SQUARE, pass_="forward_backward"))

    assert found.reasons["matmul_flops"] == "loop does not support backward"


def test_a_program_of_too_many_operators_is_cut_short():
    found = count(suite()["row_loop"], SQUARE, most_operators=50)

    assert found.is_cut_short
    assert found.launches is None
    assert "more than 50 operators" in found.reasons["launches"]
