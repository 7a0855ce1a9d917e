"""The bytes of inputs, outputs and gradients, as a polynomial in the sizes of a law."""

import pandas as pd
import pytest

from reports.cells.call_tensors import call_tensors
from reports.cells.case_columns import SIZES

HEAD, ELEMENT = 64, 4
CORE = {
    "implementation": "sdpa",
    "kind": "core",
    "pass": "forward",
    "device": "cpu",
    "dtype": "float32",
    "mask": "none",
    "batch": 3,
    "head_dim": HEAD,
    "workspace_bytes": 0,
}


def rows(**changes):
    """Records of two lengths and two widths, of heads of 64 features."""
    return pd.DataFrame(
        [
            CORE
            | {"seq_len": n, "key_len": n, "d_model": d, "num_heads": d // HEAD}
            | {name: of(n, d) if callable(of) else of for name, of in changes.items()}
            for n in (128, 256)
            for d in (128, 512)
        ]
    )


def terms(table, columns=SIZES, info=None):
    found = call_tensors(table, columns, info or {})
    return {str(term): value for term, value in found.terms.items()}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"n*d": 4 * 3 * ELEMENT}),
        ({"dtype": "bfloat16"}, {"n*d": 4 * 3 * 2}),
        ({"pass": "forward_backward"}, {"n*d": 8 * 3 * ELEMENT}),
        ({"query_len": 1}, {"d": 2 * 3 * ELEMENT, "n*d": 2 * 3 * ELEMENT}),
        # Keys and values of a quarter of the heads, and of one head.
        ({"num_kv_heads": lambda n, d: d // HEAD / 2}, {"n*d": 3 * 3 * ELEMENT}),
        ({"num_kv_heads": 1}, {"n*d": 2 * 3 * ELEMENT, "n": 2 * 3 * ELEMENT * HEAD}),
        ({"mask": "boolean"}, {"n*d": 4 * 3 * ELEMENT, "n^2": 1}),
        ({"mask": "float"}, {"n*d": 4 * 3 * ELEMENT, "n^2": ELEMENT}),
        ({"kind": "layer"}, {"n*d": 2 * 3 * ELEMENT}),
    ],
)
def test_every_tensor_of_a_call_counts(changes, expected):
    assert terms(rows(**changes)) == expected


def test_a_window_given_as_a_mask_and_a_memory_count_where_the_run_tells_of_them():
    info = {"implementations": {"sdpa": {"takes_window_as_mask": True, "needs_memory": True}}}

    assert terms(rows(window=7), info=info) == {"n*d": 4 * 3 * ELEMENT, "n^2": 1}
    assert terms(rows(window=7)) == {"n*d": 4 * 3 * ELEMENT}
    assert terms(rows(kind="layer"), info=info) == {"n*d": 3 * 3 * ELEMENT}


def test_a_claimed_batch_is_a_letter_and_an_unclaimed_one_no_size_at_all():
    grown = rows(batch=lambda n, d: n // 128)

    assert terms(grown, {**SIZES, "b": "batch"}) == {"n*d*b": 4 * ELEMENT}
    assert call_tensors(rows(batch=lambda n, d: n % 3 + d % 7), SIZES, {}) is None


def test_a_size_that_stands_still_keeps_its_letter():
    table = rows()

    assert terms(table[table["d_model"] == 128]) == {"n*d": 4 * 3 * ELEMENT}


def test_nothing_is_told_of_several_implementations_or_of_a_table_without_shapes():
    mixed = pd.concat([rows(), rows(implementation="mine")])

    assert call_tensors(mixed, SIZES, {}) is None
    assert call_tensors(rows().drop(columns="head_dim"), SIZES, {}) is None
