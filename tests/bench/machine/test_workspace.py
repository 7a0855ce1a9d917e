"""What counts as workspace: the peak of a call beyond its inputs and outputs."""

from contextlib import nullcontext
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.machine import workspace
from bench.machine.workspace import (
    Allocation,
    ResidentGrowth,
    peak_beyond,
    profile_call,
    unexplained,
    workspace_bytes,
)


def events(*pairs: tuple[int, int]) -> list[Allocation]:
    return [Allocation(address=address, size=size) for address, size in pairs]


def test_peak_is_the_highest_sum_of_live_bytes():
    assert peak_beyond(events((1, 100), (2, 50), (1, -100), (3, 70), (3, -70)), set()) == 150


def test_outputs_are_left_out_however_long_they_live():
    assert peak_beyond(events((1, 1000), (2, 50), (2, -50)), {1}) == 50
    assert peak_beyond(events((1, 1000), (2, 50), (2, -50), (1, -1000)), {1}) == 50


def test_only_the_last_tenant_of_an_address_is_the_output():
    reused = events((1, 100), (1, -100), (2, 30), (1, 100))

    assert peak_beyond(reused, {1}) == 100


def test_memory_given_back_that_was_taken_before_the_call_counts_for_nothing():
    assert peak_beyond(events((9, -500), (1, 70), (8, -40), (2, 30)), set()) == 100


def test_an_address_may_be_foreign_first_and_taken_later():
    assert peak_beyond(events((1, -500), (1, 70), (1, -70), (1, -70), (2, 60)), set()) == 70


def test_a_call_without_allocations_has_no_workspace():
    assert peak_beyond([], {1, 2}) == 0


@given(st.lists(st.integers(1, 1000), max_size=20))
def test_temporaries_one_after_another_peak_at_the_largest(sizes):
    in_turn = [pair for size in sizes for pair in ((5, size), (5, -size))]

    assert peak_beyond(events(*in_turn), set()) == max(sizes, default=0)


@given(st.lists(st.integers(1, 1000), max_size=20))
def test_temporaries_that_live_together_add_up(sizes):
    together = list(enumerate(sizes))

    assert peak_beyond(events(*together), set()) == sum(sizes)


def test_a_real_call_is_charged_for_its_temporaries_and_not_for_its_output():
    left = torch.ones(1009, 503)

    def call() -> tuple[torch.Tensor]:
        doubled = left + left  # 4 · 1009 · 503 bytes, alive beside its successor
        return (doubled + left,)

    assert workspace_bytes(call, "cpu") == 4 * 1009 * 503


def test_every_output_of_a_call_is_left_out():
    source = torch.ones(1009)

    assert workspace_bytes(lambda: (source + source, source * source), "cpu") == 0


@dataclass
class Taken:
    """What the profiler says of one allocation; given back where the size is below 0."""

    device: torch.device
    ptr: int
    alloc_size: int


def profiled(*fields: object) -> Any:
    """A profiler that saw these in turn, later ones as children of the first, as torch nests."""
    events = [
        SimpleNamespace(
            typed=("", one),
            name=getattr(one, "name", "[memory]"),
            start_time_ns=time,
            id=time,
            children=[],
            parent=None,
        )
        for time, one in enumerate(fields)
    ]
    events[0].children = events[:0:-1]
    results = SimpleNamespace(experimental_event_tree=lambda: events[:1])
    return SimpleNamespace(profiler=SimpleNamespace(kineto_results=results))


def test_on_a_gpu_its_own_memory_counts_and_the_kernel_that_ran_is_named(monkeypatch):
    gpu, cpu, output = torch.device("cuda:0"), torch.device("cpu"), torch.ones(3)
    seen = profiled(
        SimpleNamespace(name="aten::_scaled_dot_product_cudnn_attention"),
        Taken(device=gpu, ptr=1, alloc_size=512),
        Taken(device=cpu, ptr=2, alloc_size=7000),
        Taken(device=gpu, ptr=output.untyped_storage().data_ptr(), alloc_size=1024),
        Taken(device=gpu, ptr=3, alloc_size=2048),
        Taken(device=gpu, ptr=1, alloc_size=-512),
        Taken(device=gpu, ptr=4, alloc_size=1536),
    )
    done = []
    monkeypatch.setattr(workspace, "_ExtraFields_Allocation", Taken)
    monkeypatch.setattr(workspace, "profile", lambda **_: nullcontext(seen))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: done.append(f"wait {device}"))

    def call() -> tuple[torch.Tensor]:
        done.append("call")
        return (output,)

    found = profile_call(call, "cuda:0")

    assert found.workspace_bytes == 2048 + 1536
    assert found.attention_kernel == "_scaled_dot_product_cudnn_attention"
    # What libraries take for good, they take in the first call.
    assert done == ["call", "wait cuda:0"] * 2


def test_growth_is_read_from_the_highest_since_the_peak_was_forgotten(tmp_path):
    status = "VmHWM:\t  {} kB\nVmRSS:\t  {} kB\n".format
    (tmp_path / "clear_refs").write_text("")
    (tmp_path / "status").write_text(status(900, 100))

    growth = ResidentGrowth(tmp_path)
    (tmp_path / "status").write_text(status(250, 90))

    assert (tmp_path / "clear_refs").read_text() == "5"
    assert growth.bytes() == 150 * 1024


def test_growth_is_unknown_where_the_system_does_not_tell(tmp_path):
    assert ResidentGrowth(tmp_path).bytes() is None
    assert unexplained(0, None) is None


def test_what_a_process_grows_by_beside_torch_is_told_beyond_a_slack():
    assert unexplained(10 * 2**20, 27 * 2**20) is None
    assert "grew by 29 MiB, torch's tensors explain 10 MiB" in str(
        unexplained(10 * 2**20, 29 * 2**20)
    )
