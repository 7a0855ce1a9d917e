"""All the memory of a call, and what fits into a machine."""

import pandas as pd
import pytest

from bench.counting.counter import Formula
from bench.counting.largest import longest
from bench.counting.lattice import fitted
from implementations.case import Case
from implementations.catalogue import suite
from reports.judge.fit import fit
from reports.predict.memory import largest_in_memory

GIB = 2**30
CONDITIONS = ("implementation", "pass", "device", "dtype", "is_causal", "mask")
INFO = {"machine": {"memory_bytes": 8 * GIB, "gpu_free_bytes": GIB}}
LENGTHS, HEADS = (128, 256, 512, 1024, 2048), (1, 2, 4, 8, 16)


@pytest.fixture
def rows(record):
    """Records of one sequence and heads of 64, with a workspace of so many bytes."""

    def make(workspace=lambda n, h: 0, **changes):
        return pd.DataFrame(
            [
                record(
                    batch=1,
                    num_heads=h,
                    head_dim=64,
                    d_model=64 * h,
                    seq_len=n,
                    key_len=n,
                    workspace_bytes=workspace(n, h),
                    **changes,
                )
                for n in LENGTHS
                for h in HEADS
            ]
        )

    return make


def workspace_fit(table, info=INFO):
    return fit(table, value="workspace_bytes", claim="n*d", info=info)


def bytes_at(n, d, workspace=0):
    return 4 * 4 * n * d + workspace


def test_a_kernel_without_workspace_fits_as_far_as_its_inputs_and_output(rows):
    found = largest_in_memory(rows(), None, INFO)

    assert (found.estimate, found.at) == (8 * GIB // (16 * 1024), {"d": 1024})
    assert found.low == found.high == found.estimate
    assert "stays within 8 GiB (inputs, output and no workspace; by count)" in found.text


def test_a_workspace_is_read_once_a_cell_and_not_in_every_round(rows):
    table = pd.concat([rows(), rows(lambda n, h: None)])

    assert largest_in_memory(table, None, INFO).estimate == 8 * GIB // (16 * 1024)


def test_the_workspace_is_counted_beside_inputs_and_output(rows):
    table = rows(lambda n, h: 4 * h * n * n + 4096 * n)

    found = largest_in_memory(table, workspace_fit(table), INFO, at={"d": 512})

    n = found.estimate
    assert found.at == {"d": 512}
    assert bytes_at(n, 512, 32 * n * n + 4096 * n) <= 8 * GIB
    assert bytes_at(n + 1, 512, 32 * (n + 1) ** 2 + 4096 * (n + 1)) > 8 * GIB
    assert "(inputs, output and workspace; by count)" in found.text


def blocks(n, h):
    """Bytes of a workspace of whole blocks of 512 rows."""
    return 2**20 * -(-n // 512) + 4 * h * n


def test_a_run_and_counts_name_the_same_largest_size(rows):
    law = fitted(lambda point: blocks(point.n, point.h), 8192)
    recorded = {
        "terms": law.polynomial.to_plain(),
        "valid": law.lattice.to_plain(),
        **{name: rows()[name].iloc[0] for name in CONDITIONS},
    }
    info = {"workspace_laws": [recorded], **INFO}
    formula = Formula(
        fitted=law, is_unknown=False, is_by_formula=False, is_lower_bound=False, reason=None
    )
    case = Case(seq_len=1, head_dim=64, num_heads=8)
    counted = longest(suite()["matmul"], case, formula, 8 * GIB).seq_len

    table = rows(blocks)
    one_cell = table[(table["seq_len"] == 512) & (table["num_heads"] == 8)]

    for measured in (table, one_cell):
        answer = largest_in_memory(measured, workspace_fit(measured, info), info, at={"d": 512})
        assert (answer.estimate, answer.estimate % 512) == (counted, 0)


def test_the_parameters_of_a_layer_are_said_to_be_left_out(rows):
    found = largest_in_memory(rows(kind="layer"), None, INFO)

    assert "(input, output and no workspace, without parameters; by count)" in found.text


def test_a_gpu_has_a_memory_of_its_own(rows):
    found = largest_in_memory(rows(device="cuda"), None, INFO)

    assert found.budget == GIB


@pytest.mark.parametrize("info", [{}, {"machine": {}}, {"machine": {"memory_bytes": None}}])
def test_without_a_known_memory_there_is_no_answer(rows, info):
    assert largest_in_memory(rows(), None, info) is None


def test_without_a_known_workspace_there_is_no_answer(rows):
    assert largest_in_memory(rows(lambda n, h: None), None, INFO) is None
