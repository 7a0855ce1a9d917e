"""Compiled variants, by an injected back end: torch traces, and no C++ is compiled."""

import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.checks.run_situation import verify_case
from bench.checks.situations import check_cases, first_of_each, kind_of
from bench.worker import operations
from bench.worker import visit as visiting
from implementations.attention import _compiled as module
from implementations.attention._compiled import compiled, lacks
from implementations.attention.matmul import IMPLEMENTATION as MATMUL
from implementations.attention.matmul import matmul
from implementations.case import Case
from implementations.catalogue import suite
from implementations.interface import Feature, Implementation, UnsupportedCaseError

VARIANTS = ("matmul_compiled", "online_softmax_compiled", "query_chunked_compiled")


class TracedShapes:
    """A back end that runs the graph as it was traced, and keeps the shapes of its first input."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Any:
        self.seen.append(tuple(inputs[0].shape))
        return graph.forward


@pytest.fixture
def traced() -> TracedShapes:
    return TracedShapes()


@pytest.fixture
def core(traced) -> Implementation:
    return compiled(MATMUL, traced)


@pytest.fixture
def low_limit() -> Iterator[None]:
    """Torch would compile two kinds of calls to a function, and run further ones as they are."""
    import torch._dynamo.config

    with torch._dynamo.config.patch(recompile_limit=2):
        yield


@pytest.fixture(autouse=True)
def other_peoples_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch's compiler itself
        yield


def test_the_compiled_variants_are_those_that_compile():
    found = {name for name, one in suite().items() if one.compiles}

    assert found == {*VARIANTS, "flex"}
    for name in VARIANTS:
        plain = suite()[name.removesuffix("_compiled")]
        assert suite()[name].supports == plain.supports - {Feature.DROPOUT}
        assert suite()[name].time_law == plain.time_law


@pytest.mark.usefixtures("low_limit")
def test_each_kind_of_call_is_compiled_once_beyond_the_limit_of_torch(core, traced, draw):
    sizes = [5, 7, 11, 13]
    assert core.compilations() == 0

    for _ in range(2):
        for query_len in sizes:
            inputs = draw(query_len=query_len)
            assert torch.equal(core.fn(*inputs), matmul(*inputs))

    assert [shape[-2] for shape in traced.seen] == sizes
    assert core.compilations() == len(sizes)


def test_gradients_and_masks_make_kinds_of_their_own(core, draw):
    query, key, value = draw()
    mask = torch.zeros(5, 7, dtype=query.dtype)

    grouped = {"enable_gqa": True, "scale": 0.5}
    given = ({}, {"is_causal": True}, {"attn_mask": mask}, grouped)
    for expected, keywords in enumerate(given, start=1):
        core.call(query, key, value, **keywords)
        core.call(query, key, value, **dict(reversed(keywords.items())))
        assert core.compilations() == expected
    query.requires_grad_()
    core.call(query, key, value).sum().backward()
    assert core.compilations() == 5
    assert query.grad is not None


class _Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor) -> Tensor:
        output = query.new_zeros(query.shape)
        for head in range(query.shape[-3]):
            scores = _twice(query[..., head, :, :])
            if scores.amax().item() < 100.0:  # a graph break in a loop
                scores = scores + 1.0
            output[..., head, :, :].copy_(scores)
        return output

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> Tensor:
        return grad_output * 2.0


def _twice(scores: Tensor) -> Tensor:
    return scores * 2.0


def _looking(query: Tensor, key: Tensor, value: Tensor, **_: Any) -> Tensor:
    return _Doubled.apply(query)


@pytest.mark.usefixtures("low_limit")
def test_the_pieces_between_graph_breaks_are_compiled_at_every_size_too(traced, draw):
    core = compiled(replace(MATMUL, name="looking", fn=_looking), traced)
    last = 0

    for query_len in (5, 7, 11, 13):
        query, key, value = draw(query_len=query_len)
        for _ in range(2):
            assert torch.equal(core.fn(query, key, value), query * 2.0 + 1.0)
        seen = [shape for shape in traced.seen[last:] if shape[-2] == query_len]
        assert seen, query_len
        assert len(traced.seen) - last == len(seen)
        last = len(traced.seen)


def test_what_was_compiled_first_is_given_up_beyond_a_bound(core, draw, monkeypatch):
    monkeypatch.setattr(module, "MOST_KINDS", 2)

    for query_len in (5, 7, 11, 5):
        core.fn(*draw(query_len=query_len))

    assert core.compilations() == 4


def test_dropout_and_counting_are_refused_and_a_mistake_is_told_as_the_core_tells_it(core, draw):
    query, key, value = draw()
    mask = torch.ones(5, 7, dtype=torch.bool)

    with pytest.raises(ValueError, match="dropout"):
        core.fn(query, key, value, dropout_p=0.5)
    with pytest.raises(ValueError, match="attn_mask and is_causal exclude each other"):
        core.fn(query, key, value, attn_mask=mask, is_causal=True)
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False), pytest.raises(UnsupportedCaseError, match="counted"):
        core.fn(query, key, value)


def test_what_torch_cannot_compile_is_unsupported_with_its_first_line(draw):
    def broken(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Any:
        raise RuntimeError("omp.h not found\nand more")

    with pytest.raises(UnsupportedCaseError, match=r"compile this: RuntimeError: omp.h not found$"):
        compiled(MATMUL, broken).fn(*draw())


def test_without_a_compiler_a_case_is_declined_with_the_reason(monkeypatch, tmp_path):
    core = compiled(MATMUL)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", "no_such_compiler")

    reason = core.unsupported(Case(seq_len=5))

    assert reason is not None
    assert reason.startswith(
        "torch.compile needs a C++ compiler, and 'no_such_compiler' is not found"
    )
    assert "\n" not in reason


def test_without_the_headers_of_python_or_triton_a_case_is_declined(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", sys.executable)  # any program will do
    monkeypatch.setattr(module.sysconfig, "get_path", lambda name: str(tmp_path))
    assert "Python.h" in str(lacks("cpu"))
    (tmp_path / "Python.h").touch()
    assert lacks("cpu") is None

    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    assert "Triton" in str(lacks("cuda"))


def test_the_first_visit_of_a_process_tells_what_compiling_took_and_no_reading_holds_it(
    core, monkeypatch
):
    ticks = iter(range(1, 1000))
    monkeypatch.setattr(visiting, "_clock", lambda: float(next(ticks)))
    monkeypatch.setattr(operations, "_implementation", lambda spec: core)
    visiting.ready_cells.cache_clear()
    case = asdict(Case(seq_len=7, head_dim=5))

    first = operations.trial("mine", case, seed=0)
    second = operations.visit("mine", case, seed=0, check=True)

    assert first["status"] == second["status"] == "measured"
    assert first["compile_s"] == 1.0
    assert "compile_s" not in second
    assert core.compilations() == 1
    visiting.ready_cells.cache_clear()


def test_a_reading_in_which_something_was_compiled_is_none(core, monkeypatch):
    compilations = iter(range(100))
    counted = replace(core, compilations=lambda: next(compilations))
    monkeypatch.setattr(operations, "_implementation", lambda spec: counted)
    visiting.ready_cells.cache_clear()

    with pytest.raises(RuntimeError, match="matmul_compiled compiled in a timed call"):
        operations.visit("mine", asdict(Case(seq_len=7, head_dim=5)), seed=0)
    visiting.ready_cells.cache_clear()


def test_the_gate_asks_two_situations_of_every_kind_that_has_a_long_one():
    cases = check_cases(["float32", "bfloat16"])

    asked = first_of_each(cases)

    kinds = {(one.probe, one.case.dtype, kind_of(one.case)) for one in asked}
    assert len(asked) == len(kinds)
    short, long = (
        {tuple(kind) for probe, *kind in kinds if probe == asked_by}
        for asked_by in ("values", "rows")
    )
    assert short == {(one.case.dtype, kind_of(one.case)) for one in cases}
    assert {kind for kind in short if not (kind[1][2] or kind[1][3])} <= long <= short


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_inductor_passes_what_the_gate_asks_of_it(name):
    if (reason := lacks("cpu")) is not None:
        pytest.skip(reason)
    for case in first_of_each(check_cases(["float32"])):
        results = verify_case(suite()[name], case)
        assert [str(one) for one in results if one.status != "pass"] == []
