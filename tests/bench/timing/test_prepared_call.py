"""The call that is timed, and the cells that stay ready between their readings."""

from dataclasses import replace

import pytest
import torch

from bench.machine.nvml import Unavailable
from bench.timing import prepared_call
from bench.timing.cuda import Captured
from bench.timing.inputs import make_inputs
from bench.timing.prepared_call import HELD_SHARE, ReadyCells, held_limit_bytes, prepare, stopwatch
from bench.timing.stopwatch import CpuStopwatch
from implementations.case import Case
from implementations.catalogue import suite
from implementations.specs import from_function

CASE = Case(seq_len=5, key_len=7, head_dim=11)
BACKWARD = replace(CASE, pass_="forward_backward")


@pytest.fixture
def matmul():
    return suite()["matmul"]


def test_a_forward_call_computes_no_gradients_and_a_backward_call_returns_all_three(matmul):
    (output,) = prepare(matmul, make_inputs(CASE), CASE).run()
    outputs = prepare(matmul, make_inputs(BACKWARD), BACKWARD).run()

    assert not any(tensor.requires_grad for tensor in (output, *outputs))
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


def test_masks_are_given_to_the_call_that_is_timed(matmul):
    plain = Case(seq_len=7, head_dim=11)
    cases = (plain, replace(plain, is_causal=True), replace(plain, mask="boolean"))

    outputs = [prepare(matmul, make_inputs(case), case).run()[0] for case in cases]

    assert not torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_keywords_are_bound_once_and_those_at_their_defaults_not_at_all():
    def bare(query, key, value):
        return value

    def taking(query, key, value, **keywords):
        return keywords

    tensors = [torch.ones(1)] * 3
    mask = torch.ones(1, dtype=torch.bool)
    given = {"attn_mask": mask, "is_causal": True, "scale": 0.0, "dropout_p": 0.5}

    assert from_function(bare).bound(*tensors)() is tensors[2]
    assert from_function(taking).bound(*tensors, **given)() == given
    with pytest.raises(TypeError, match="is_causal"):
        from_function(bare).bound(*tensors, is_causal=True)()


def test_the_processor_has_a_clock_of_its_own():
    assert isinstance(stopwatch("cpu"), CpuStopwatch)
    assert stopwatch("cpu") is stopwatch("cpu")


def test_a_part_of_the_memory_that_is_free_on_the_device_may_be_held(monkeypatch):
    monkeypatch.setattr(prepared_call, "available_bytes", lambda: 7000)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (len(device) * 1000, 13000))

    assert held_limit_bytes("cpu") == HELD_SHARE * 7000
    assert held_limit_bytes("cuda:1") == HELD_SHARE * 6000


class Ready:
    """Ready cells of a kernel that keeps the query it was given last."""

    def __init__(self, most_bytes: float) -> None:
        self.cells = ReadyCells(most_bytes)
        self._seen = torch.empty(0)

    def _kernel(self, query, key, value, is_causal=False):
        self._seen = query
        return query * 2

    def get(self, case: Case, spec: str = "own", seed: int = 0, layout: str = "bhsd"):
        own = from_function(self._kernel, name="own", spec=spec)
        return self.cells.get(replace(own, layout=layout), case, seed)

    def query(self, *arguments, **options) -> torch.Tensor:
        self.get(*arguments, **options).prepared.run()
        return self._seen


@pytest.fixture
def endless() -> Ready:
    return Ready(2.0**40)


def test_a_cell_stays_ready_and_implementations_share_its_inputs(endless):
    assert endless.get(CASE) is endless.get(CASE)
    assert endless.get(CASE) is not endless.get(CASE, spec="other")
    assert endless.query(CASE) is endless.query(CASE, spec="other")


@pytest.mark.parametrize(
    "other",
    [
        {"case": BACKWARD},  # whose tensors ask for gradients
        {"case": replace(CASE, is_causal=True)},
        {"case": CASE, "seed": 1},
        {"case": CASE, "layout": "bshd"},
    ],
    ids=["pass", "condition", "seed", "layout"],
)
def test_inputs_are_shared_by_nothing_that_differs(endless, other):
    query = endless.query(CASE)

    assert endless.query(**other) is not query
    assert endless.query(CASE) is query
    assert not query.requires_grad


def cases(*lengths: int, device: str = "cpu") -> list[Case]:
    return [Case(seq_len=length, head_dim=1, device=device) for length in lengths]


def test_beyond_the_limit_what_was_used_longest_ago_is_given_up_and_made_again():
    small, middle, large = cases(3, 5, 7)
    ready = Ready(most_bytes=middle.tensor_bytes + large.tensor_bytes)
    before = {case: ready.get(case) for case in (small, middle)}
    ready.get(small)  # now the other was used longest ago

    ready.get(large)

    assert ready.get(small) is before[small]
    again = ready.get(middle)
    assert again is not before[middle]
    assert torch.equal(again.prepared.call(), before[middle].prepared.call())


def test_a_cell_beyond_all_limits_is_held_alone():
    first, second = cases(3, 5)
    ready = Ready(most_bytes=1)

    held = ready.get(first)

    assert ready.get(first) is held
    ready.get(second)
    assert ready.get(first) is not held


class Graphs:
    """Stands in for capturing on a GPU: notes the calls it is given, and which graphs are open."""

    def __init__(self) -> None:
        self.captured: list[torch.Tensor] = []
        self.open: list[int] = []
        self.refusal: Unavailable | None = None

    def capture(self, call, device):
        assert device == "cuda:1"
        self.captured += call()
        if self.refusal is not None:
            return self.refusal
        number = len(self.captured)
        self.open.append(number)
        graph = Captured(graph=None, cuda=None, device=device)
        object.__setattr__(graph, "close", lambda: self.open.remove(number))
        return graph


@pytest.fixture
def graphs(monkeypatch, borrowed_gpu) -> Graphs:
    found = Graphs()
    monkeypatch.setattr(prepared_call, "capture", found.capture)
    return found


def capture(ready: Ready, case: Case, workspace_bytes: int, spec: str = "own"):
    return ready.cells.captured(ready.get(case, spec), case, workspace_bytes)


def test_a_cell_is_captured_once_and_only_on_a_gpu(endless, graphs):
    (on_cpu,), (on_gpu,) = cases(5), cases(5, device="cuda:1")

    assert capture(endless, on_cpu, 0) is None
    assert graphs.captured == []
    first = capture(endless, on_gpu, 0)
    assert first is not None
    assert capture(endless, on_gpu, 0) is first
    assert len(graphs.captured) == 1


def test_a_cell_that_cannot_be_captured_says_why_and_is_not_tried_again(endless, graphs):
    (case,) = cases(5, device="cuda:1")
    graphs.refusal = Unavailable("it waits for the GPU")

    assert [capture(endless, case, 0) for _ in range(3)] == [None] * 3
    assert endless.get(case).replay == graphs.refusal
    assert len(graphs.captured) == 1


def test_graphs_count_with_their_workspace_and_are_closed_with_their_inputs(graphs, monkeypatch):
    monkeypatch.setattr(prepared_call, "LARGEST_GRAPH", 1.0)
    small, middle, large = cases(3, 5, 7, device="cuda:1")
    ready = Ready(most_bytes=small.tensor_bytes + middle.tensor_bytes + 1000)
    capture(ready, small, 300)
    capture(ready, small, 300, spec="other")
    capture(ready, middle, 400)
    assert graphs.open == [1, 2, 3]

    ready.get(large)

    assert graphs.open == [3]
    assert ready.get(small).replay is None


def test_a_large_graph_is_not_kept_and_costs_no_other_cell_its_own(graphs):
    small, large = cases(3, 5, device="cuda:1")
    ready = Ready(most_bytes=10 * (small.tensor_bytes + large.tensor_bytes))
    kept = capture(ready, small, 0)

    first = capture(ready, large, 10**6)
    assert first is not None
    assert first is not capture(ready, large, 10**6)
    assert ready.get(large).replay is None
    assert capture(ready, small, 0) is kept
