"""The situations that the gate puts a kernel in: where they reach, and what they are made of."""

import json
import math
from dataclasses import asdict, replace

import pytest

from bench.checks.situation import AREAS, CheckCase
from bench.checks.situations import agreement_cases, check_cases, kind_of
from bench.checks.situations.parts import HEAVY_TAIL
from implementations.attention import online_softmax, query_chunked
from implementations.case import DTYPES, Case

CASES = {one.name: one for one in check_cases(["float32"])}
BLOCKS = (16, 32, 64, 128, 256, 512, 1024, 2048)
HEAVY_KEYS = 5
NATIVE_BLOCKS = (query_chunked.ROWS_PER_THREAD, online_softmax.KEYS_PER_BLOCK)


def key_lens() -> set[int]:
    return {one.case.key_len for one in CASES.values()}


def query_lens() -> set[int]:
    return {one.case.seq_len for one in CASES.values()}


def test_situations_of_one_dtype_have_distinct_names():
    assert len(CASES) == len(check_cases(["float32"]))


@pytest.mark.parametrize("block", BLOCKS)
def test_keys_fit_a_block_exactly_and_leave_some_over(block):
    assert block in key_lens()
    assert any(length > block and length % block for length in key_lens())
    assert any(length < block for length in key_lens())


@pytest.mark.parametrize("block", [16, 32, 64, 128, 256])
def test_keys_and_queries_come_one_short_of_a_block_and_one_beyond_it(block):
    for lengths in (key_lens(), query_lens()):
        assert {block - 1, block, block + 1} <= lengths


@pytest.mark.parametrize("block", [1024, 2048])
def test_keys_come_one_beyond_the_larger_blocks(block):
    assert block + 1 in key_lens()


@pytest.mark.parametrize("block", sorted({*BLOCKS, *NATIVE_BLOCKS}))
def test_queries_go_beyond_every_block_and_are_no_multiple_of_it(block):
    assert any(length > block and length % block for length in query_lens())


@pytest.mark.parametrize("block", NATIVE_BLOCKS)
@pytest.mark.parametrize(
    "condition",
    [
        lambda case: case.mask == "none" and not case.is_causal,
        lambda case: case.is_causal,
        lambda case: case.mask == "boolean",
    ],
    ids=["plain", "causal", "masked"],
)
def test_native_blocks_are_left_over_in_every_kind_of_case(block, condition):
    reached = [
        one.case.key_len
        for one in CASES.values()
        if condition(one.case) and one.case.key_len > block
    ]

    assert any(length % block for length in reached)


@pytest.mark.parametrize("block", NATIVE_BLOCKS)
def test_a_heavy_tail_fits_into_what_native_blocks_leave_over(block):
    over = {
        one.case.key_len % block
        for one in CASES.values()
        if HEAVY_TAIL in one.prepare and one.case.key_len > block
    }

    assert any(rest >= HEAVY_KEYS for rest in over)


@pytest.mark.parametrize("area", ["shapes", "causal", "masks"])
def test_queries_outnumber_keys_and_keys_outnumber_queries_in_every_area(area):
    mine = [one.case for one in CASES.values() if one.area == area]

    assert any(0 < one.seq_len < one.key_len for one in mine)
    assert any(one.seq_len > one.key_len > 0 for one in mine)


def test_tensors_have_two_to_five_dimensions():
    assert {len(one.leading) + 2 for one in CASES.values()} == {2, 3, 4, 5}


def test_one_of_anything_and_none_of_anything_are_tried():
    found = [one.case for one in CASES.values()]

    for name in ("seq_len", "key_len", "batch"):
        assert {0, 1} <= {getattr(one, name) for one in found}
    assert any(one.seq_len == one.key_len == 1 for one in found)
    assert any(one.head_dim == 1 for one in found)


def test_values_are_narrower_and_wider_than_keys():
    widths = {one.case.value_dim - one.case.head_dim for one in CASES.values()}

    assert min(widths) < 0 < max(widths)


def test_every_area_but_agreement_has_situations_and_agreement_its_own():
    assert {one.area for one in CASES.values()} == set(AREAS) - {"agreement"}
    assert {one.area for one in agreement_cases()} == {"agreement"}


def test_all_four_dtypes_are_checked_unless_some_are_named():
    assert {one.case.dtype for one in check_cases()} == set(DTYPES)
    for dtype in DTYPES:
        names = [one.name for one in check_cases([dtype]) if not one.name.startswith("round")]
        assert names == [name for name in CASES if not name.startswith("round")]
    assert {one.case.dtype for one in check_cases(["float16"])} == {"float16"}
    assert {one.case.dtype for one in agreement_cases()} == set(DTYPES)


def test_gradients_are_checked_unless_passes_say_otherwise():
    assert {one.case.pass_ for one in check_cases(["float32"])} == {"forward_backward"}

    both = check_cases(["float32"], passes=["forward", "forward_backward"])

    assert len(both) == 2 * len(CASES)
    assert {one.case.pass_ for one in both} == {"forward", "forward_backward"}


@pytest.mark.parametrize(
    "like",
    [
        Case(seq_len=5),
        Case(seq_len=5, is_causal=True),
        Case(seq_len=5, mask="boolean"),
        Case(seq_len=5, window=3),
        Case(seq_len=5, window=2, is_causal=True),
    ],
    ids=str,
)
def test_the_kind_of_a_cell_narrows_the_situations(like):
    found = check_cases(["float32"], kinds=[kind_of(like)])

    assert {kind_of(one.case) for one in found} == {kind_of(like)}
    assert [one.name for one in found] == [
        one.name for one in CASES.values() if kind_of(one.case) == kind_of(like)
    ]


def test_another_device_changes_nothing_but_the_device():
    assert [
        replace(one, case=replace(one.case, device="cpu"))
        for one in check_cases(["float32"], device="cuda:1")
    ] == list(CASES.values())


def test_rates_of_dropout_are_small_middling_and_large_and_keys_go_beyond_blocks():
    dropping = [one for one in CASES.values() if one.probe == "dropout"]

    assert {0.1, 0.3, 0.5, 0.9} <= {one.dropout_p for one in dropping}
    assert {64 < one.case.key_len <= 128 for one in dropping} == {True, False}
    assert max(one.case.key_len for one in dropping) > 1024
    assert not any(one.dropout_p for one in CASES.values() if one.probe != "dropout")


def test_no_situation_asks_for_a_mask_and_a_triangle_at_once():
    assert not [one for one in CASES.values() if one.case.is_causal and one.case.mask != "none"]


def test_leading_dimensions_multiply_to_batch_and_heads():
    for name in CASES:
        one = CASES[name]
        assert math.prod(one.leading) == one.case.batch * one.case.num_heads


def test_a_situation_survives_the_way_between_processes():
    for name in CASES:
        sent = json.loads(json.dumps(asdict(CASES[name])))
        assert CheckCase.from_plain(asdict(CASES[name])) == CASES[name]
        assert CheckCase.from_plain(sent) == CASES[name]


@pytest.mark.parametrize("name", ["plain", "scale", "two_dimensions", "masked_rows_float"])
def test_the_data_of_a_situation_names_things_as_records_do(name):
    row = CASES[name].to_dict()

    assert list(row) == [
        "name",
        "area",
        "seq_len",
        "head_dim",
        "batch",
        "num_heads",
        "num_kv_heads",
        "key_len",
        "value_dim",
        "dtype",
        "device",
        "pass",
        "is_causal",
        "mask",
        "window",
        "leading",
        "scale",
        "dropout_p",
    ]
    assert json.loads(json.dumps(row, allow_nan=False)) == row


def test_size_counts_the_elements_of_inputs_and_scores():
    case = Case(batch=2, num_heads=3, seq_len=5, key_len=7, head_dim=11, value_dim=13)
    one = CheckCase(name="one", area="shapes", case=case, leading=(2, 3))

    assert one.size == 6 * (5 * 11 + 7 * 11 + 7 * 13 + 5 * 7)


def test_what_is_small_and_of_usual_shape_takes_the_least_effort():
    names = ["long_keys", "zero_keys", "two_dimensions", "plain", "single_pair", "five_dimensions"]

    ordered = sorted((CASES[name] for name in names), key=lambda one: one.effort)

    assert [one.name for one in ordered] == [
        "single_pair",
        "plain",
        "long_keys",
        "two_dimensions",
        "five_dimensions",
        "zero_keys",
    ]


def test_resizing_keeps_the_recipe_and_sets_batch_and_heads_with_the_leading_dimensions():
    one = CASES["boolean_mask_65x131"].resized(leading=[5, 2, 3], key_len=17)

    assert (one.leading, one.case.batch, one.case.num_heads) == ((5, 2, 3), 10, 3)
    assert (one.case.seq_len, one.case.key_len) == (65, 17)
    assert one.prepare == CASES["boolean_mask_65x131"].prepare
    assert CASES["plain"].resized(leading=()).case.num_heads == 1


def test_the_forward_form_of_a_situation_differs_in_its_pass_only():
    one = CASES["causal"].under(pass_="forward")

    assert one.case.pass_ == "forward"
    assert replace(one, case=replace(one.case, pass_="forward_backward")) == CASES["causal"]
