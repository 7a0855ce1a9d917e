"""What a timed call gives is looked at: what is wrong has no time, and right kernels pass."""

from itertools import product

import pytest
import torch

from bench.worker import operations
from bench.worker import visit as visiting
from implementations.case import DTYPES, Case
from tests.bench.worker.asking import ToldStopwatch, trial, visit


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ("value[..., :3]", "gave an output of (1, 1, 7, 3), expected (1, 1, 7, 5)"),
        ("value * float('nan')", "gave values that are not finite at this size"),
    ],
)
def test_outputs_that_are_unsound_at_a_size_that_no_check_has_seen_are_incorrect(
    write, monkeypatch, returned, reason
):
    watch = ToldStopwatch(1.0)
    monkeypatch.setattr(visiting, "stopwatch", lambda device: watch)
    path = write("unsound.py", f"def unsound(query, key, value): return {returned}")

    assert trial(f"{path}:unsound") == {"status": "incorrect", "reason": reason}


# Keeps its first answer for each value of what TOLD says of the inputs.
KEPT = """
    import torch
    import torch.nn.functional as F
    answers = {}
    def kept(query, key, value):
        told = TOLD
        if told not in answers:
            answers[told] = F.scaled_dot_product_attention(query, key, value)
        return answers[told].clone()
"""


@pytest.mark.parametrize(
    "told",
    [
        "query.shape",
        "(id(query), query._version, id(key), key._version, id(value), value._version)",
        "(query.data_ptr(), key.data_ptr(), value.data_ptr())",
        "tuple(query.flatten()[:16].tolist())",
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_a_kernel_that_keeps_an_answer_gives_a_stale_one_and_is_incorrect(write, told, dtype):
    spec = str(write("kept.py", KEPT.replace("TOLD", told))) + ":kept"
    case = Case(seq_len=61, head_dim=17, dtype=dtype)

    found = (visit(spec, case, check=True) for _ in range(5))

    wrong = next(one for one in found if one["status"] == "incorrect")
    assert "the timed call's output at batch 0, head 0, row" in wrong["reason"]


def test_a_kernel_that_compares_contents_computes_in_every_call(write):
    told = "(float(query.double().sum()), float(key.double().sum()), float(value.double().sum()))"
    spec = str(write("kept.py", KEPT.replace("TOLD", told))) + ":kept"

    found = [visit(spec, Case(seq_len=61, head_dim=17), check=True) for _ in range(3)]

    assert [one["status"] for one in found] == ["measured"] * 3
    calls = sum(one["calls"] for one in found)
    answers = operations._implementation(spec).fn.__globals__["answers"]
    assert len(answers) > calls  # each timed one, and those that went before


WRONG = {
    "many rows": ("the timed call", "output.clone().index_fill_(-2, torch.arange(20, 40), 0.5)"),
    "a head": ("the timed call", "torch.stack([output[:, 0], output[:, 0]], 1)"),
    "not finite": ("not finite", "output.clone().index_fill_(-2, torch.arange(3, 4), torch.inf)"),
    "lazy": ("gave a Lazy", "output.as_subclass(type('Lazy', (torch.Tensor,), {}))"),
    "no gradient of the key": (
        "no gradient for one",
        "F.scaled_dot_product_attention(q, k.detach(), v)",
    ),
    "gradient of the value": ("gradient of value", "Twice.apply(q, k, v)"),
}


@pytest.mark.parametrize(("words", "returned"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("pass_", ["forward", "forward_backward"])
def test_what_is_wrong_with_a_timed_call_at_its_own_size_is_found_within_a_few_readings(
    write, words, returned, pass_
):
    if "gradient" in words and pass_ == "forward":
        pytest.skip("there are none")
    source = """
        import torch
        import torch.nn.functional as F
        class Twice(torch.autograd.Function):
            @staticmethod
            def forward(ctx, q, k, v):
                ctx.save_for_backward(q, k, v)
                return F.scaled_dot_product_attention(q, k, v)
            @staticmethod
            def backward(ctx, upstream):
                with torch.enable_grad():
                    leaves = [t.detach().requires_grad_() for t in ctx.saved_tensors]
                    output = F.scaled_dot_product_attention(*leaves)
                found = torch.autograd.grad(output, leaves, upstream)
                return found[0], found[1], 2 * found[2]
        def wrong(query, key, value):
            q, k, v = query, key, value
            output = F.scaled_dot_product_attention(q, k, v)
            return RETURNED
    """
    spec = f"{write('wrong.py', source.replace('RETURNED', returned))}:wrong"
    case = Case(seq_len=61, num_heads=2, head_dim=17, pass_=pass_)

    found = (visit(spec, case, check=True) for _ in range(20))

    wrong = next(one for one in found if one["status"] != "measured")
    assert "time_s" not in wrong
    assert words in wrong["reason"]


def test_a_head_that_is_wrong_is_found_in_the_first_visit(write):
    path = write(
        "a_head.py",
        """
        import torch.nn.functional as F
        def a_head(query, key, value):
            output = F.scaled_dot_product_attention(query, key, value)
            output[:, 11] *= 1.01
            return output
        """,
    )
    found = trial(f"{path}:a_head", Case(seq_len=61, num_heads=16, head_dim=8))

    assert found["status"] == "incorrect"
    assert "head 11" in found["reason"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_last_keys_are_missed_in_any_precision(write, dtype):
    path = write(
        "loses_keys.py",
        """
        import torch.nn.functional as F
        def loses_keys(query, key, value):
            return F.scaled_dot_product_attention(query, key[..., :-8, :], value[..., :-8, :])
        """,
    )
    case = Case(seq_len=1280, num_heads=4, head_dim=64, dtype=dtype)

    assert trial(f"{path}:loses_keys", case)["status"] == "incorrect"


def test_an_output_in_the_memory_of_an_earlier_one_or_of_an_input_is_wrong(write):
    path = write(
        "buffers.py",
        """
        import torch, torch.nn.functional as F
        held = {}
        def own_buffer(query, key, value):
            output = F.scaled_dot_product_attention(query, key, value)
            return held.setdefault(output.shape, torch.empty_like(output)).copy_(output)
        def into_value(query, key, value):
            return value.copy_(F.scaled_dot_product_attention(query, key, value))
        """,
    )
    for name in ("own_buffer", "into_value"):
        found = trial(f"{path}:{name}", Case(seq_len=61, head_dim=17))
        assert found["status"] == "incorrect"
        assert "in the memory of its inputs or of earlier outputs" in found["reason"]


def test_what_a_timed_call_changes_for_others_is_wrong_and_put_back(write):
    path = write(
        "spoils.py",
        """
        import torch, torch.nn.functional as F
        right = F.scaled_dot_product_attention
        def spoils(query, key, value):
            F.scaled_dot_product_attention = lambda *a, **k: 1.01 * right(*a, **k)
            torch.set_default_dtype(torch.float64)
            return right(query, key, value)
        """,
    )
    found = visit(f"{path}:spoils", Case(seq_len=61, head_dim=17))

    assert found["status"] == "incorrect"
    assert "a timed call changed functions of torch" in found["reason"]
    assert "the default dtype" in found["reason"]
    assert torch.get_default_dtype() == torch.float32
    assert visit("sdpa", Case(seq_len=61, head_dim=17), check=True)["status"] == "measured"


SEQ_LENS = {"matmul": 61, "sdpa": 61, "query_chunked": 61, "online_softmax": 61, "row_loop": 19}
CONDITIONS = [{}, {"is_causal": True}, {"mask": "boolean"}, {"mask": "float"}]


@pytest.mark.parametrize(
    ("name", "dtype", "condition"),
    [
        # Half of them daily: every condition in every dtype, of some kernels.
        pytest.param(name, dtype, condition, marks=pytest.mark.slow if (i + j + k) % 2 else ())
        for (i, name), (j, dtype), (k, condition) in product(
            enumerate(SEQ_LENS), enumerate(DTYPES), enumerate(CONDITIONS)
        )
    ],
)
def test_right_kernels_are_right_in_every_reading(name, dtype, condition):
    for pass_ in ("forward", "forward_backward"):
        case = Case(
            seq_len=SEQ_LENS[name],
            num_heads=2,
            head_dim=17,
            dtype=dtype,
            pass_=pass_,
            **condition,
        )
        for _ in range(3):
            found = visit(name, case, check=True)
            assert found["status"] == "measured", found
