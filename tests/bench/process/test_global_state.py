"""State that all share in a process is read, told and put back, whatever was done to it."""

import time
from collections.abc import Callable

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from bench.checks.probes import trial
from bench.machine.os_counters import read_process
from bench.process.global_state import GLOBAL_STATE, restored_state
from implementations import oracle

PRECISION = "the precision of float32 products"


def new_way(precision: str, *owners: object) -> Callable[[], None]:
    def change() -> None:
        for owner in owners:
            owner.fp32_precision = precision  # type: ignore[attr-defined]  # a back end of torch

    return change


@pytest.mark.parametrize(
    "change",
    [
        new_way("tf32", torch.backends.cuda.matmul),
        new_way("bf16", torch.backends.mkldnn.matmul),  # type: ignore[attr-defined]  # not in stubs
        new_way("tf32", torch.backends),
        new_way("tf32", torch.backends.cuda.matmul, torch.backends),
        lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
        lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
        lambda: torch.set_float32_matmul_precision("medium"),
    ],
)
def test_a_precision_is_put_back_whichever_way_it_was_set(change: Callable[[], None]) -> None:
    read, _ = GLOBAL_STATE[PRECISION]
    before = read()

    with restored_state() as changes:
        change()

    assert changes == [PRECISION]
    assert read() == before
    assert torch.get_float32_matmul_precision() == "highest"


def test_what_the_gate_itself_sets_while_it_computes_references_is_no_change() -> None:
    with restored_state() as changes:
        torch.set_float32_matmul_precision("highest")

    assert changes == []


def test_warnings_in_place_of_errors_are_another_determinism() -> None:
    with restored_state() as changes:
        torch.use_deterministic_algorithms(True, warn_only=True)

    assert changes == ["whether algorithms are deterministic"]
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_clock_that_was_replaced_is_put_back_and_moves_no_reading_before_that() -> None:
    real = time.perf_counter

    with restored_state() as changes:
        time.perf_counter = time.process_time = lambda: 7.0
        first, second = read_process(), read_process()

    assert changes == ["functions of torch, of the clock or of the checks"]
    assert time.perf_counter is real
    assert second.wall_s > first.wall_s != 7.0


def test_compiling_a_function_changes_nothing() -> None:
    with restored_state() as changes:
        torch.compile(lambda tensor: tensor.softmax(-1), backend="eager")(torch.ones(3, 5))

    assert changes == []


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (torch, "equal"),
        (torch.Tensor, "abs"),
        (torch.nn.functional, "scaled_dot_product_attention"),
        (trial, "largest_error"),
        (oracle, "softmax_attention"),
    ],
)
def test_a_function_that_judges_is_put_back_where_a_kernel_replaces_it(
    owner: object, name: str
) -> None:
    real = getattr(owner, name)

    with restored_state() as changes:
        setattr(owner, name, lambda *_: None)

    assert changes == ["functions of torch, of the clock or of the checks"]
    assert getattr(owner, name) is real


@pytest.mark.parametrize("kind", [TorchFunctionMode, TorchDispatchMode])
def test_a_mode_that_is_left_on_is_left(kind: type) -> None:
    class Mode(kind):  # type: ignore[misc]  # either of the two
        pass

    with restored_state() as changes:
        Mode().__enter__()

    assert changes == ["the modes of torch"]
    assert (torch.ones(3) + 1.0).sum() == 6.0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda: torch.set_default_device("meta"), ["the default device"]),
        (lambda: torch.device("meta").__enter__(), ["the default device"]),
        (lambda: torch.set_default_device(torch.get_default_device()), []),
    ],
)
def test_no_default_device_is_left_where_none_was_set_nor_the_mode_that_it_is(
    change: Callable[[], object], expected: list[str]
) -> None:
    with restored_state() as changes:
        change()

    assert changes == expected
    assert torch.get_default_device() == torch.device("cpu")
    assert torch._C._len_torch_function_stack() == 0


def test_a_default_device_that_was_set_before_is_put_back_with_its_mode() -> None:
    with torch.device("meta"):
        with restored_state() as changes:
            torch.set_default_device("cpu")
        assert changes == ["the default device"]
        assert torch.ones(3).is_meta

    assert not torch.ones(3).is_meta
    assert torch._C._len_torch_function_stack() == 0
