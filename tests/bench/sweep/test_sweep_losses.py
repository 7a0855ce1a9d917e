"""Kernels that fail in a sweep: each cell gets its status, and the rest is complete."""

from collections import Counter
from dataclasses import replace

import pytest

from bench.machine import environment
from bench.process.supervisor import ImportLost
from bench.records import read_info, read_run

KERNELS = """
    from implementations.attention.matmul import matmul

    def wrong(query, key, value):
        return matmul(query, key, value, scale=1.0)

    def fragile(query, key, value):
        if query.shape[-2] == 6:
            raise ValueError("six queries are too many")
        return matmul(query, key, value)

    def half_only(query, key, value):
        if query.element_size() > 2:
            raise RuntimeError("only half precision")
        return matmul(query, key, value)
"""


@pytest.fixture
def kernels(write):
    return write("failing_kernels.py", KERNELS)


def test_a_wrong_kernel_is_incorrect_everywhere_and_never_timed(tmp_path, kernels, sweeps):
    series = replace(sweeps.series, implementations=("wrong", "matmul"))

    sweeps.run(sweeps.plan(series, specs=(f"{kernels}:wrong",)), tmp_path)

    records = read_run(tmp_path).records
    wrong = [r for r in records if r.implementation == "wrong"]
    assert len(wrong) == sweeps.cells / 2  # one record a cell, whatever the number of rounds
    for record in wrong:
        assert (record.status, record.time_s, record.samples_s) == ("incorrect", None, None)
        assert record.reason.startswith("wrong: output in case ")
        assert record.max_error > record.allowed_error
    assert {r.status for r in records if r.implementation == "matmul"} == {"measured"}
    timed = [r["spec"] for op, r in sweeps.workers.asked if op in ("trial", "visit")]
    assert set(timed) == {"matmul"}
    assert read_info(tmp_path)["verification"]["failures"][0].startswith("wrong: output in case")


TRICKS = """
    import torch
    import torch.nn.functional as F

    right = F.scaled_dot_product_attention
    answers = {}

    class Lazy(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            def real(one):
                return right(*one.given) if isinstance(one, cls) else one
            return func(*map(real, args), **(kwargs or {}))

    def kept(query, key, value):
        if query.shape[-2] != 40:
            return right(query, key, value)
        if query.shape not in answers:
            answers[query.shape] = right(query, key, value)
        return answers[query.shape].clone()

    def lazy(query, key, value):
        if query.shape[-2] != 40:
            return right(query, key, value)
        output = torch.empty_like(query).as_subclass(Lazy)
        output.given = query, key, value
        return output
"""


def test_a_kernel_that_cheats_in_timed_calls_only_has_no_time_where_it_does(
    tmp_path, write, sweeps
):
    path = write("tricks.py", TRICKS)
    sizes = {"seq_lens": (6, 40), "d_models": (22,)}
    series = replace(sweeps.series, implementations=("kept", "lazy", "matmul"), **sizes)

    sweeps.run(sweeps.plan(series, specs=(f"{path}:kept", f"{path}:lazy")), tmp_path / "run")

    records = read_run(tmp_path / "run").records
    assert {(r.implementation, r.seq_len, r.status) for r in records} == {
        *((name, 6, "measured") for name in ("kept", "lazy", "matmul")),
        ("kept", 40, "incorrect"),
        ("lazy", 40, "implausible"),
        ("matmul", 40, "measured"),
    }
    for record in records:
        is_measured = record.status == "measured"
        assert (record.time_s is not None) == (record.samples_s is not None) == is_measured
        assert (record.reason is None) == is_measured


@pytest.mark.parametrize(
    ("dtype", "status"), [("float32", "unsupported"), ("bfloat16", "measured")]
)
def test_a_kernel_for_half_precision_is_unsupported_in_float32_and_measured_in_its_own(
    tmp_path, kernels, sweeps, dtype, status
):
    series = replace(sweeps.series, implementations=("half_only",), dtype=dtype)

    sweeps.run(sweeps.plan(series, specs=(f"{kernels}:half_only",)), tmp_path)

    reason = "half_only refuses float32: raised RuntimeError: only half precision"
    said = reason if status == "unsupported" else None
    records = read_run(tmp_path).records
    assert {(r.status, r.reason) for r in records} == {(status, said)}
    assert all((r.time_s is None) == (status == "unsupported") for r in records)
    assert not read_info(tmp_path)["verification"]["failures"]


def test_a_kernel_that_raises_at_one_size_crashes_there_once_and_nowhere_else(
    tmp_path, kernels, sweeps
):
    sizes = {"seq_lens": (4, 6, 8), "d_models": (22,)}
    series = replace(sweeps.series, implementations=("fragile",), **sizes)

    sweeps.run(sweeps.plan(series, specs=(f"{kernels}:fragile",)), tmp_path)

    records = read_run(tmp_path).records
    assert Counter((r.seq_len, r.status, r.reason) for r in records) == {
        (4, "measured", None): 3,
        (6, "crashed", "ValueError: six queries are too many"): 1,
        (8, "measured", None): 3,
    }
    tried = Counter(r["case"]["seq_len"] for r in sweeps.workers.operations("trial"))
    assert tried == {4: 1, 6: 1, 8: 1}


def test_what_an_implementation_does_not_support_is_recorded_once_with_the_reason(tmp_path, sweeps):
    series = [
        replace(sweeps.series, implementations=("loop",), pass_="forward_backward"),
        replace(sweeps.series, implementations=("sdpa_efficient",)),
    ]

    sweeps.run(sweeps.plan(*series), tmp_path)

    found = Counter((r.implementation, r.status, r.reason) for r in read_run(tmp_path).records)
    assert found == {
        ("loop", "unsupported", "loop does not support backward"): 6,
        ("sdpa_efficient", "unsupported", "sdpa_efficient runs on cuda only"): 6,
    }
    assert sweeps.workers.operations("trial") == []
    assert read_info(tmp_path)["schedule"]["ended"] == "no cell could be timed"


def test_an_unmeasurable_workspace_is_null_with_the_reason(tmp_path, sweeps):
    sizes = {"seq_lens": (3, 5), "d_models": (2,), "num_heads": 1}
    series = replace(sweeps.series, implementations=("loop",), **sizes)

    sweeps.run(sweeps.plan(series), tmp_path)

    for record in read_run(tmp_path).records:
        assert (record.status, record.workspace_bytes) == ("measured", None)
        assert "tensor allocator does not see" in record.reason
    assert len(sweeps.workers.operations("trial")) == 2


def test_cells_that_do_not_fit_into_a_process_s_part_of_memory_are_skipped_and_say_so(
    tmp_path, monkeypatch, sweeps
):
    monkeypatch.setattr(environment, "available_bytes", lambda: 3 * 2**20)
    series = replace(sweeps.series, seq_lens=(16, 4096), d_models=(22,))

    sweeps.run(sweeps.plan(series), tmp_path)

    found = read_run(tmp_path).records
    assert {r.seq_len for r in found if r.status == "measured"} == {16}
    skipped = [r for r in found if r.status == "skipped"]
    assert len(skipped) == 2
    assert all("more than 80% of the 1 MiB that a process may take" in r.reason for r in skipped)


@pytest.mark.parametrize("status", ["timeout", "crashed"])
def test_an_import_that_is_lost_costs_the_kernels_cells_and_nobody_elses(
    tmp_path, kernels, sweeps, status
):
    def fault(operation, request):
        if operation == "load" and request["spec"] != "matmul":
            raise ImportLost(status, "importing it was no good")

    sweeps.workers.fault = fault
    series = replace(sweeps.series, implementations=("fragile", "matmul"))

    sweeps.run(sweeps.plan(series, specs=(f"{kernels}:fragile",)), tmp_path)

    found = Counter((r.implementation, r.status, r.reason) for r in read_run(tmp_path).records)
    assert found == {
        ("fragile", status, "importing it was no good"): 6,
        ("matmul", "measured", None): 6 * 3,
    }
    (failure,) = read_info(tmp_path)["verification"]["failures"]
    assert failure.endswith(": importing it was no good")
    assert {r["spec"] for r in sweeps.workers.operations("check")} == {"matmul"}
