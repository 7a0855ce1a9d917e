"""torch's own attention: what each pinned back end really runs."""

from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend
from torch.utils._python_dispatch import TorchDispatchMode

from implementations.attention.sdpa import FUSED, mistakes, sdpa
from implementations.case import Case
from implementations.catalogue import suite
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
        suite()[name].fn(*inputs, **keywords)
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
        suite()["sdpa_flash"].fn(*draw(value_dim=13))

    assert "\n" not in str(no.value)
    assert not recorder.names & {"bmm", "_softmax", "_safe_softmax"}
    declared = suite()["sdpa_flash"].unsupported(Case(seq_len=5, head_dim=11, value_dim=13))
    assert declared == "sdpa_flash does not support value_dim"


@pytest.mark.parametrize("name", ["sdpa_math", "sdpa_flash", "sdpa_efficient", "sdpa_cudnn"])
@pytest.mark.parametrize("sizes", [{"query_len": 0}, {"key_len": 0}])
def test_pinned_back_ends_refuse_empty_inputs_which_torch_answers_without_a_kernel(
    draw, name, sizes
):
    with pytest.raises(UnsupportedCaseError, match="runs no kernel on empty inputs"):
        suite()[name].fn(*draw(**sizes))


@pytest.mark.parametrize("name", ["sdpa_efficient", "sdpa_cudnn"])
def test_back_ends_for_cuda_only_say_so_and_refuse_the_cpu(draw, name):
    back_end = suite()[name]

    assert back_end.devices == ("cuda",)
    assert back_end.unsupported(Case(seq_len=5)) == f"{name} runs on cuda only"
    with pytest.raises(UnsupportedCaseError, match="cannot run this"):
        back_end.fn(*draw(dtype=torch.float32))


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("sdpa_flash", {"mask": "boolean", "dtype": "bfloat16"}, "takes no mask on CUDA"),
        ("sdpa_flash", {"dtype": "float32"}, "takes float16 and bfloat16 only on CUDA"),
        ("sdpa_cudnn", {"dtype": "float32"}, "does not take float32"),
        ("sdpa_flash", {"dtype": "bfloat16"}, None),
        ("sdpa_cudnn", {"dtype": "float16"}, None),
        ("sdpa_efficient", {"dtype": "float32"}, None),
        ("sdpa_math", {"dtype": "float64"}, None),
    ],
)
def test_what_a_back_end_declines_on_cuda_is_declared(name, change, reason):
    found = suite()[name].unsupported(Case(seq_len=5, device="cuda", **change))

    assert found == (None if reason is None else f"{name} {reason}")


def test_automatic_choice_is_left_as_it_was_after_pinning(draw):
    suite()["sdpa_math"].fn(*draw())

    assert FLASH in operators("sdpa", draw())


def test_an_error_that_is_not_about_kernels_passes_through(draw, monkeypatch):
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("something else")

    monkeypatch.setattr("torch.nn.functional.scaled_dot_product_attention", broken)

    with pytest.raises(RuntimeError, match="something else") as problem:
        suite()["sdpa_math"].fn(*draw())
    assert not isinstance(problem.value, UnsupportedCaseError)


class OnGpu:
    """A tensor that says it lies on a GPU."""

    is_cuda = True

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = tensor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tensor, name)


def wrong(tensor: torch.Tensor, **given: Any) -> dict[SDPBackend, str]:
    """What back ends get wrong of a GPU's tensor that is query, key and value."""
    call = {"attn_mask": None, "dropout_p": 0.0, "scale": None, **given}
    return mistakes(*(OnGpu(tensor) for _ in range(3)), **call)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gpus_kernels_are_not_trusted_with_rows_that_begin_anywhere(dtype):
    plain = torch.zeros(2, 3, 5, 16, dtype=dtype)
    wide = torch.zeros(2, 3, 5, 21, dtype=dtype)
    shifted = torch.zeros(plain.numel() + 3, dtype=dtype)[3:].view(plain.shape)

    assert not wrong(plain)
    assert not wrong(plain.transpose(1, 2))
    assert not wrong(torch.zeros(2, 3, 5, 32, dtype=dtype)[..., 8:24])
    for tensor in (wide[..., :16], shifted):
        found = wrong(tensor)
        assert set(found) == set(FUSED)
        assert all("multiples of 16 bytes" in why for why in found.values())
    # One row alone has no next one; other widths torch pads, or refuses.
    assert not wrong(wide[:1, :1, :1, :16])
    assert not wrong(wide[..., 2:15])


def test_a_gpus_kernels_are_not_trusted_with_a_scale_of_zero_and_a_processors_are():
    plain = torch.zeros(2, 3, 5, 16)

    assert wrong(plain, scale=0.0) == dict.fromkeys(FUSED, "a scale of 0 on CUDA")
    assert not wrong(plain, scale=0.5)
    assert not mistakes(plain, plain, plain, torch.ones(5, 5).bool(), 0.5, 0.0)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"attn_mask": torch.ones(5, 5).bool()}, "masks"),
        ({"attn_mask": torch.zeros(5, 5)}, "masks"),
        ({"dropout_p": 0.1}, "dropout"),
    ],
)
def test_cudnn_alone_is_not_trusted_with_masks_and_dropout(given, what):
    assert wrong(torch.zeros(2, 3, 5, 16), **given) == {SDPBackend.CUDNN_ATTENTION: what}


def test_torch_chooses_among_the_back_ends_that_are_right(draw, monkeypatch):
    monkeypatch.setattr(
        "implementations.attention.sdpa.mistakes",
        lambda *_: {SDPBackend.FLASH_ATTENTION: "everything"},
    )

    with Recorder() as recorder, torch.no_grad():
        sdpa(*draw())

    assert "bmm" in recorder.names
    assert FLASH not in recorder.names


def test_a_pinned_back_end_refuses_what_it_gets_wrong(draw, monkeypatch):
    monkeypatch.setattr(
        "implementations.attention.sdpa.mistakes",
        lambda *_: {SDPBackend.FLASH_ATTENTION: "everything"},
    )

    with pytest.raises(UnsupportedCaseError, match="wrong answers for everything"):
        suite()["sdpa_flash"].fn(*draw())
    suite()["sdpa_math"].fn(*draw())


@pytest.mark.parametrize("sizes", [{"query_len": 0}, {"key_len": 0}])
def test_empty_inputs_never_come_to_a_fused_kernel(draw, sizes):
    with Recorder() as recorder, torch.no_grad():
        output = sdpa(*draw(**sizes))

    assert not output.any()
    assert FLASH not in recorder.names
