"""The memory that the implementations promise, measured: exact bytes, no clock."""

from collections.abc import Callable
from functools import cache

import pytest

from bench.counting.direct import count
from bench.machine.workspace import workspace_bytes
from bench.timing.inputs import make_inputs
from bench.timing.prepared_call import prepare
from implementations.case import PASSES, Case
from implementations.catalogue import suite

Measure = Callable[..., int]
LARGEST = 8192


@pytest.fixture(scope="module")
def workspace() -> Measure:
    @cache
    def measure(name: str, seq_len: int, **condition: object) -> int:
        case = Case(seq_len=seq_len, head_dim=64, **condition)
        ready = prepare(suite()[name], make_inputs(case), case)
        return workspace_bytes(ready.run, "cpu")

    return measure


@pytest.fixture(scope="module")
def whole() -> Callable[[str], int]:
    """What `matmul` needs at the largest length: counted, since it would take long and 1 GiB."""

    @cache
    def counted(pass_: str, seq_len: int = LARGEST) -> int:
        case = Case(seq_len=seq_len, head_dim=64, pass_=pass_)
        return count(suite()["matmul"], case).value("workspace_bytes")

    return counted


def score_matrix_bytes(seq_len: int) -> int:
    return 4 * seq_len**2


@pytest.mark.parametrize("seq_len", [2048, 4096])
def test_matmul_holds_two_score_matrices(workspace, seq_len):
    assert workspace("matmul", seq_len) == pytest.approx(2 * score_matrix_bytes(seq_len), rel=0.01)


@pytest.mark.parametrize("pass_", PASSES)
def test_what_is_counted_of_matmul_is_what_it_needs(workspace, whole, pass_):
    assert whole(pass_, 2048) == pytest.approx(workspace("matmul", 2048, pass_=pass_), rel=0.01)


def test_query_chunked_needs_twice_the_memory_for_twice_the_length(workspace):
    assert workspace("query_chunked", 4096) / workspace("query_chunked", 2048) == pytest.approx(
        2, rel=0.05
    )
    assert workspace("query_chunked", LARGEST) / workspace("query_chunked", 4096) == pytest.approx(
        2, rel=0.05
    )


def test_online_softmax_needs_the_same_memory_at_any_length(workspace):
    assert workspace("online_softmax", 2048) == workspace("online_softmax", LARGEST)


def test_sdpa_needs_no_score_matrix(workspace):
    assert workspace("sdpa", 2048) < score_matrix_bytes(2048) / 10


def test_chunked_cores_need_a_thirtieth_and_a_hundredth_of_the_memory_of_matmul(workspace, whole):
    assert workspace("query_chunked", LARGEST) <= whole("forward") / 30
    assert workspace("online_softmax", LARGEST) <= whole("forward") / 100


@pytest.mark.parametrize("name", ["query_chunked", "online_softmax"])
def test_recomputing_backward_passes_need_under_a_tenth_of_matmuls_memory(workspace, whole, name):
    needed = workspace(name, LARGEST // 2, pass_="forward_backward")

    assert needed < whole("forward_backward", LARGEST // 2) / 10


@pytest.mark.parametrize("name", ["query_chunked", "online_softmax"])
def test_recomputing_backward_passes_grow_at_most_linearly(workspace, name):
    half = workspace(name, 2048, pass_="forward_backward")

    assert workspace(name, LARGEST // 2, pass_="forward_backward") <= 2.05 * half


@pytest.mark.parametrize("name", ["query_chunked", "online_softmax"])
@pytest.mark.parametrize("condition", [{"is_causal": True}, {"mask": "boolean"}])
def test_masks_do_not_bring_the_score_matrix_back(workspace, name, condition):
    plain = workspace(name, 2048)

    # Under the causal mask the buffer grows from tile to tile, the old one beside the new one.
    assert workspace(name, 2048, **condition) <= 2 * plain


@pytest.mark.parametrize("name", ["query_chunked", "online_softmax"])
def test_strided_inputs_are_not_copied_whole(name):
    case = Case(seq_len=2048, head_dim=64)
    inputs = make_inputs(case)
    strided = [t.transpose(1, 2).contiguous().transpose(1, 2) for t in (inputs.query, inputs.key)]

    plain = workspace_bytes(
        lambda: (suite()[name].fn(inputs.query, inputs.key, inputs.value),), "cpu"
    )
    found = workspace_bytes(lambda: (suite()[name].fn(*strided, inputs.value),), "cpu")

    assert found == plain
