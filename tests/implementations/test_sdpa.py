"""torch's own attention: what each pinned back end really runs."""

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from implementations.case import Case
from implementations.catalogue import catalogue
from implementations.interface import UnsupportedCaseError

FLASH = "_scaled_dot_product_flash_attention_for_cpu"


class Recorder(TorchDispatchMode):
    """Writes down the name of every operator that torch dispatches."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def operators(name: str, inputs: Any, **keywords: Any) -> set[str]:
    with Recorder() as recorder, torch.no_grad():
        catalogue()[name].fn(*inputs, **keywords)
    return recorder.names


@pytest.mark.parametrize("leading", [(), (3,), (2, 3), (2, 3, 2)])
def test_pinned_flash_runs_the_flash_kernel_and_nothing_else(draw, leading):
    inputs = draw(leading)

    names = operators("sdpa_flash", inputs)

    assert FLASH in names
    assert not names & {"bmm", "_softmax", "_safe_softmax"}


@pytest.mark.parametrize("kind", ["causal", "boolean", "float"])
def test_pinned_flash_stays_flash_under_a_mask(draw, kind):
    mask = {"boolean": torch.ones(5, 7, dtype=torch.bool), "float": torch.zeros(5, 7).double()}

    names = operators("sdpa_flash", draw(), attn_mask=mask.get(kind), is_causal=kind == "causal")

    assert FLASH in names
    assert not names & {"bmm", "_softmax", "_safe_softmax"}


@pytest.mark.parametrize("leading", [(), (3,), (2, 3), (2, 3, 2)])
def test_pinned_math_runs_products_and_a_softmax_and_no_fused_kernel(draw, leading):
    names = operators("sdpa_math", draw(leading))

    assert "bmm" in names
    assert names & {"_softmax", "_safe_softmax"}
    assert not any(name.startswith("_scaled_dot_product_flash") for name in names)


def test_flash_refuses_another_value_dim_instead_of_falling_back(draw):
    with Recorder() as recorder, pytest.raises(UnsupportedCaseError, match="FLASH_ATTENTION") as no:
        catalogue()["sdpa_flash"].fn(*draw(value_dim=13))

    assert "\n" not in str(no.value)
    assert not recorder.names & {"bmm", "_softmax", "_safe_softmax"}
    declared = catalogue()["sdpa_flash"].unsupported(Case(seq_len=5, head_dim=11, value_dim=13))
    assert declared == "sdpa_flash does not support value_dim"


@pytest.mark.parametrize("name", ["sdpa_math", "sdpa_flash", "sdpa_efficient", "sdpa_cudnn"])
@pytest.mark.parametrize("sizes", [{"query_len": 0}, {"key_len": 0}])
def test_pinned_back_ends_refuse_empty_inputs_which_torch_answers_without_a_kernel(
    draw, name, sizes
):
    with pytest.raises(UnsupportedCaseError, match="runs no kernel on empty inputs"):
        catalogue()[name].fn(*draw(**sizes))


@pytest.mark.parametrize("name", ["sdpa_efficient", "sdpa_cudnn"])
def test_back_ends_for_cuda_only_say_so_and_refuse_the_cpu(draw, name):
    back_end = catalogue()[name]

    assert back_end.devices == ("cuda",)
    assert back_end.unsupported(Case(seq_len=5)) == f"{name} runs on cuda only"
    with pytest.raises(UnsupportedCaseError, match="cannot run this"):
        back_end.fn(*draw(dtype=torch.float32))


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("sdpa_flash", {"mask": "boolean", "dtype": "bfloat16"}, "takes no mask on CUDA"),
        ("sdpa_flash", {"dtype": "float32"}, "takes float16 and bfloat16 only on CUDA"),
        ("sdpa_cudnn", {"dtype": "float32"}, "takes float16 and bfloat16 only"),
        ("sdpa_flash", {"dtype": "bfloat16"}, None),
        ("sdpa_cudnn", {"dtype": "float16"}, None),
        ("sdpa_efficient", {"dtype": "float32"}, None),
        ("sdpa_math", {"dtype": "float64"}, None),
    ],
)
def test_what_a_back_end_declines_on_cuda_is_declared(name, change, reason):
    found = catalogue()[name].unsupported(Case(seq_len=5, device="cuda", **change))

    assert found == (None if reason is None else f"{name} {reason}")


def test_automatic_choice_is_left_as_it_was_after_pinning(draw):
    catalogue()["sdpa_math"].fn(*draw())

    assert FLASH in operators("sdpa", draw())


def test_an_error_that_is_not_about_kernels_passes_through(draw, monkeypatch):
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("something else")

    monkeypatch.setattr("torch.nn.functional.scaled_dot_product_attention", broken)

    with pytest.raises(RuntimeError, match="something else") as problem:
        catalogue()["sdpa_math"].fn(*draw())
    assert not isinstance(problem.value, UnsupportedCaseError)
