"""One point of the grid."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from implementations.case import Case, useful_flops

sizes = st.integers(0, 23)


@given(sizes, sizes, st.booleans(), st.none() | st.integers(1, 29))
def test_pairs_are_counted_as_enumeration_counts_them(query_len, key_len, is_causal, window):
    case = Case(seq_len=query_len, key_len=key_len, is_causal=is_causal, window=window)

    assert case.pairs == sum(
        (not is_causal or j <= i) and (window is None or abs(i - j) < window)
        for i in range(query_len)
        for j in range(key_len)
    )


def test_key_len_and_value_dim_default_to_seq_len_and_head_dim():
    case = Case(seq_len=5, head_dim=11, num_heads=3)

    assert (case.key_len, case.value_dim, case.d_model) == (5, 11, 33)
    assert Case(seq_len=5, key_len=0).key_len == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seq_len": -3}, "seq_len must not be negative, got -3"),
        ({"seq_len": 5, "dtype": "int8"}, "dtype must be one of float32.*; got 'int8'"),
        ({"seq_len": 5, "pass_": "sideways"}, "pass must be one of forward.*; got 'sideways'"),
        ({"seq_len": 5, "mask": "sparse"}, "mask must be one of none.*; got 'sparse'"),
        ({"seq_len": 5, "window": 0}, "window must be at least 1, got 0"),
        ({"seq_len": 5, "window": 3, "mask": "float"}, "window and mask 'float' exclude"),
        ({"seq_len": 5, "num_heads": 6, "num_kv_heads": 4}, "multiple of num_kv_heads, got 6 and"),
        ({"seq_len": 5, "num_heads": 6, "num_kv_heads": 0}, "multiple of num_kv_heads, got 6 and"),
    ],
)
def test_a_case_that_cannot_exist_is_refused_with_the_field_named(values, message):
    with pytest.raises(ValueError, match=message):
        Case(**values)


SIZES = {"batch": 2, "num_heads": 3, "seq_len": 5, "key_len": 7, "head_dim": 11, "value_dim": 13}
# Query and output, key and value, each in three heads of two batches.
ELEMENTS = 6 * (5 * 11 + 5 * 13 + 7 * 11 + 7 * 13)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, 4 * ELEMENTS),
        ({"dtype": "float64"}, 8 * ELEMENTS),
        ({"dtype": "bfloat16"}, 2 * ELEMENTS),
        ({"mask": "boolean"}, 4 * ELEMENTS + 5 * 7),
        ({"mask": "float"}, 4 * (ELEMENTS + 5 * 7)),
        ({"mask": "float", "pass_": "forward_backward"}, 4 * (2 * ELEMENTS + 5 * 7)),
        ({"is_causal": True}, 4 * ELEMENTS),
    ],
)
def test_tensors_are_inputs_mask_and_output_and_once_more_their_gradients(conditions, expected):
    assert Case(**SIZES, **conditions).tensor_bytes == expected


def test_a_case_describes_itself_with_everything_that_differs_from_the_default():
    case = Case(
        seq_len=5,
        key_len=7,
        num_heads=3,
        head_dim=11,
        value_dim=13,
        batch=2,
        device="cuda:1",
        pass_="forward_backward",
        mask="float",
    )

    assert str(case) == (
        "n=5 key_len=7 d=33 (3x11) value_dim=13 batch=2 float32 forward_backward cuda:1 float mask"
    )
    assert str(Case(seq_len=5, is_causal=True)) == "n=5 d=64 (1x64) float32 forward causal"
    assert case.device_type == "cuda"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({}, 2 * 4 * (5 * 2 + 7 * 2) * 11 * 6 // 2),
        ({"dtype": "bfloat16"}, 2 * (5 * 2 + 7 * 2) * 11 * 6),
        ({"dtype": "float64", "pass_": "forward_backward"}, 2 * 8 * (5 * 2 + 7 * 2) * 11 * 6),
        ({"mask": "boolean"}, 4 * (5 * 2 + 7 * 2) * 11 * 6 + 35),
        ({"mask": "float"}, 4 * (5 * 2 + 7 * 2) * 11 * 6 + 4 * 35),
    ],
)
def test_tensor_bytes_count_inputs_output_mask_and_gradients(condition, expected):
    point = Case(batch=2, num_heads=3, seq_len=5, key_len=7, head_dim=11, **condition)

    assert point.tensor_bytes == expected


def test_query_heads_that_share_keys_need_fewer_bytes_and_as_many_operations():
    own, shared = (
        Case(batch=2, num_heads=6, num_kv_heads=number, seq_len=5, key_len=7, head_dim=11)
        for number in (6, 3)
    )

    assert (own.is_grouped, own.kv_heads) == (False, 6)
    assert (shared.is_grouped, shared.kv_heads) == (True, 3)
    assert own == Case(batch=2, num_heads=6, seq_len=5, key_len=7, head_dim=11)
    assert own.tensor_bytes - shared.tensor_bytes == 4 * 2 * 3 * 7 * 22
    assert useful_flops(own) == useful_flops(shared)
    assert "kv_heads=3" in str(shared)
