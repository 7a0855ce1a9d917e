"""Cells: implementations at cases, each once, and the records that stand for them."""

from dataclasses import replace

import pytest

from bench.plan.cells import by_implementation, case_of, cells_of, unmeasured_record
from bench.plan.plan import Plan, Series
from bench.records import Record
from implementations.naming import CatalogueError

SERIES = Series(
    implementations=("matmul", "sdpa"), seq_lens=(5, 7, 11), d_models=(22, 33), head_dim=11
)


def plan(*series: Series, **changes) -> Plan:
    return Plan(series=series or (SERIES,), **changes)


def test_every_implementation_meets_every_case():
    keys = [cell.key for cell in cells_of(plan())]

    assert len(keys) == len(set(keys)) == 2 * 3 * 2


def test_a_cell_that_two_series_share_is_there_once():
    overlapping = replace(SERIES, implementations=("sdpa",), seq_lens=(7, 13))

    cells = cells_of(plan(SERIES, replace(overlapping, open_ended=True)))

    keys = [cell.key for cell in cells]
    assert len(keys) == len(set(keys)) == 12 + 2
    assert {cell.case.seq_len for cell in cells if cell.open_ended} == {13}


def test_growing_heads_and_a_growing_head_are_different_cells():
    one_head = replace(SERIES, num_heads=1, d_models=(11,))
    heads = replace(SERIES, d_models=(11,))

    assert len(cells_of(plan(one_head, heads))) == 12


def test_kernels_of_ones_own_are_loaded_by_their_spec(write):
    path = write("own_cells.py", "def mine(query, key, value): return value")
    series = replace(SERIES, implementations=("mine", "sdpa"))

    found = {cell.implementation.name for cell in cells_of(plan(series, specs=(f"{path}:mine",)))}

    assert found == {"mine", "sdpa"}


def test_an_unknown_implementation_in_a_plan_is_refused():
    with pytest.raises(CatalogueError, match="no implementation is called 'flashy'"):
        cells_of(plan(replace(SERIES, implementations=("flashy",))))


def test_cells_are_grouped_by_implementation_in_order():
    groups = [(one.name, len(own)) for one, own in by_implementation(cells_of(plan()))]

    assert groups == [("matmul", 6), ("sdpa", 6)]


@pytest.mark.parametrize(
    "condition",
    [
        {},
        {"num_heads": 11},
        {"is_causal": True, "dtype": "bfloat16"},
        {"mask": "float", "pass_": "forward_backward", "batch": 2},
    ],
)
def test_a_record_leads_back_to_its_cell(condition):
    for cell in cells_of(plan(replace(SERIES, **condition))):
        record = Record.from_dict(unmeasured_record(cell).to_dict())

        assert (record.implementation, case_of(record)) == cell.key
        assert record.status == "skipped"
        assert record.d_model == cell.case.d_model
        assert record.claim == cell.implementation.time_law
        assert record.flops is not None
        assert record.flops > 0


def test_a_kernel_of_the_user_s_among_the_names_says_where_it_belongs():
    plan = Plan(series=(Series(implementations=("mine.py:mine",), seq_lens=(4,), d_models=(4,)),))

    with pytest.raises(CatalogueError, match=r"expected a name, got 'mine.py:mine'; put .* specs"):
        cells_of(plan)


def test_a_record_of_decoding_says_how_long_the_sequence_is_and_how_many_queries_meet_it():
    series = replace(SERIES, implementations=("matmul",), query_len=1, kv_heads="h", window=None)

    for cell in cells_of(plan(series)):
        record = unmeasured_record(cell)

        assert (record.seq_len, record.key_len) == (cell.case.key_len,) * 2
        assert (record.query_len, cell.case.seq_len) == (1, 1)
        assert (record.claim, record.workspace_claim) == ("m*d", "m*d")
        assert case_of(record) == cell.case


def test_a_record_keeps_window_and_heads_of_keys():
    series = replace(SERIES, implementations=("matmul",), d_models=(66,), window=3, kv_heads="h/3")

    for cell in cells_of(plan(series)):
        record = Record.from_dict(unmeasured_record(cell).to_dict())

        assert (record.window, record.num_kv_heads, record.kv_heads) == (3, 2, "h/3")
        assert case_of(record) == cell.case


def test_a_record_of_self_attention_names_neither_queries_nor_heads_of_keys():
    cell = cells_of(plan())[0]
    record = unmeasured_record(cell)

    assert (record.query_len, record.num_kv_heads, record.kv_heads) == (None, None, None)
    assert case_of(record) == cell.case


@pytest.mark.parametrize(
    ("laws", "expected"),
    [
        (("n^2*d", "n^2*d"), ("m*d", "m*d")),
        (("n^2*d", "n"), ("m*d", None)),
        (("n*d^2/h", "n*d"), ("m*d^2/h", None)),
    ],
)
def test_where_queries_are_fixed_laws_are_those_of_keys(laws, expected):
    (cell, *_) = cells_of(plan(replace(SERIES, query_len=1)))
    time_law, workspace_law = laws
    one = replace(cell.implementation, time_law=time_law, workspace_law=workspace_law)

    record = unmeasured_record(replace(cell, implementation=one))

    assert (record.claim, record.workspace_claim) == expected
