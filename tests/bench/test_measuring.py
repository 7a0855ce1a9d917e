"""The call that is timed: what it is given, what it returns, and as little else as possible."""

import hashlib
import threading
from dataclasses import asdict

import pytest
import torch

from bench import measuring
from bench.timing.inputs import make_inputs
from bench.timing.prepared_call import canary, is_parallel, prepare, stopwatch
from bench.timing.stopwatch import CpuStopwatch
from implementations.case import Case
from implementations.catalogue import catalogue, from_function

CASE = Case(seq_len=5, key_len=7, head_dim=11)
BACKWARD = Case(**{**asdict(CASE), "pass_": "forward_backward"})


@pytest.fixture
def matmul():
    return catalogue()["matmul"]


def test_a_forward_call_computes_no_gradients_and_a_backward_call_returns_all_three(matmul):
    (output,) = prepare(matmul, make_inputs(CASE), CASE).run()
    outputs = prepare(matmul, make_inputs(BACKWARD), BACKWARD).run()

    assert not output.requires_grad
    assert [tuple(tensor.shape[-2:]) for tensor in outputs] == [(5, 11), (5, 11), (7, 11), (7, 11)]
    assert torch.equal(outputs[0], output)


def test_a_backward_call_may_be_repeated_and_accumulates_nothing(matmul):
    ready = prepare(matmul, make_inputs(BACKWARD), BACKWARD)

    first, second = ready.run(), ready.run()

    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_gradients_are_on_or_off_around_the_calls_and_as_before_afterwards(matmul):
    for case, wanted in ((CASE, False), (BACKWARD, True)):
        with prepare(matmul, make_inputs(case), case).conditions():
            assert torch.is_grad_enabled() is wanted
        assert torch.is_grad_enabled()


def test_between_the_clock_and_a_forward_kernel_there_is_nothing():
    seen = []

    def kernel(query, key, value):
        seen.append((query, key, value))
        return value

    inputs = make_inputs(CASE)
    ready = prepare(from_function(kernel), inputs, CASE)
    given = (inputs.query, inputs.key, inputs.value)

    assert ready.call.func is kernel
    assert ready.call() is inputs.value
    assert [tuple(map(id, one)) for one in seen] == [tuple(map(id, given))]


def test_what_the_call_returns_is_turned_into_outputs_outside_of_it(matmul):
    ready = prepare(matmul, make_inputs(BACKWARD), BACKWARD)

    with ready.conditions():
        found = ready.outputs(ready.call())

    assert len(found) == 4
    assert not any(tensor.requires_grad for tensor in found)


def test_masks_are_given_to_the_call_that_is_timed(matmul):
    cases = {
        "none": Case(seq_len=7, head_dim=11),
        "causal": Case(seq_len=7, head_dim=11, is_causal=True),
        "boolean": Case(seq_len=7, head_dim=11, mask="boolean"),
    }

    outputs = [prepare(matmul, make_inputs(case), case).run()[0] for case in cases.values()]

    assert not torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_keywords_that_a_kernel_does_not_need_are_not_given_to_it():
    def bare(query, key, value):
        return value

    def causal(query, key, value, *, is_causal):
        return value * is_causal

    kernel, causal_kernel = from_function(bare), from_function(causal)
    tensors = [torch.ones(1)] * 3

    assert kernel.bound(*tensors)().equal(tensors[2])
    assert causal_kernel.bound(*tensors, is_causal=True)().equal(tensors[2])
    with pytest.raises(TypeError, match="is_causal"):
        kernel.bound(*tensors, is_causal=True)()


def test_keywords_that_differ_from_their_defaults_are_bound_once():
    def kernel(query, key, value, **keywords):
        return keywords

    tensors = [torch.ones(1)] * 3
    mask = torch.ones(1, dtype=torch.bool)

    given = {"attn_mask": mask, "is_causal": True, "scale": 0.0, "dropout_p": 0.5}

    assert from_function(kernel).bound(*tensors, **given)() == given


class FakeStopwatch:
    loops = True
    resolution_s = 1e-7

    def __init__(self, *seconds: float) -> None:
        self._seconds = iter(seconds)
        self.calls: list[int] = []

    def measure(self, call, calls):
        self.calls.append(calls)
        call()
        return next(self._seconds)


def test_canaries_are_the_quickest_of_a_few_of_one_thread_and_if_asked_of_all_and_of_memory(
    monkeypatch,
):
    watch = FakeStopwatch(9.0, 2.0, 3.0, 1.0, 7.0, 8.0, *range(6, 0, -1))
    monkeypatch.setattr(measuring, "stopwatch", lambda device: watch)

    assert canary("cpu", parallel=True) == (2.0, 1.0)
    assert canary("cpu", parallel=False) == (7.0,)
    assert canary("cpu", parallel=True, beyond_cache=True) == (5.0, 3.0, 1.0)
    assert watch.calls == [1] * 12


def test_work_that_other_threads_do_is_noticed():
    def busy() -> None:
        helper = threading.Thread(target=lambda: hashlib.sha256(bytes(2**24)).digest())
        helper.start()
        helper.join()

    assert is_parallel(busy)
    assert not is_parallel(lambda: sum(range(100_000)))


def test_the_processor_has_a_clock_of_its_own():
    assert isinstance(stopwatch("cpu"), CpuStopwatch)
    assert stopwatch("cpu") is stopwatch("cpu")
