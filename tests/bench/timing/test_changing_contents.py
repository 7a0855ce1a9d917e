"""Contents that change without a trace in the tensors."""

import random

import pytest
import torch

from bench.timing.changing_contents import ChangingInputs, Pool
from bench.timing.inputs import make_inputs
from implementations.case import DTYPES, Case

NAMES = ("query", "key", "value", "grad_output")


def changing(layout="bhsd", **values):
    case = Case(seq_len=37, num_heads=2, head_dim=11, mask="boolean", **values)
    inputs = make_inputs(case, layout=layout)
    return ChangingInputs(inputs, Pool(), random.Random(0))


def contents(inputs):
    return [getattr(inputs, name).clone() for name in NAMES]


def traces(inputs):
    tensors = [getattr(inputs, name) for name in NAMES]
    return [(id(one), one.data_ptr(), one._version, one.stride()) for one in tensors]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["bhsd", "bshd"])
def test_rewriting_changes_every_tensor_and_leaves_no_trace(dtype, layout):
    inputs = changing(layout, dtype=dtype)
    before, trace, mask = contents(inputs.inputs), traces(inputs.inputs), inputs.inputs.attn_mask

    inputs.rewrite()

    after = contents(inputs.inputs)
    assert all((a != b).double().mean() > 0.9 for a, b in zip(before, after, strict=True))
    assert all(0.8 < one.double().std() < 1.2 for one in (after[0], *after[2:]))
    assert traces(inputs.inputs) == trace
    assert inputs.inputs.attn_mask is mask


def test_no_two_of_the_tensors_have_a_row_in_common():
    inputs = changing()
    inputs.rewrite()
    query, key, _, _ = contents(inputs.inputs)

    rows = {tuple(row.tolist()) for row in query.flatten(0, 2)}
    assert rows.isdisjoint(tuple(row.tolist()) for row in key.flatten(0, 2))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["bhsd", "bshd"])
def test_a_touch_turns_a_heavy_key_and_the_sign_of_an_element_each_of_query_and_value(
    dtype, layout
):
    inputs = changing(layout, dtype=dtype)
    inputs.rewrite()
    trace = traces(inputs.inputs)
    for _ in range(9):
        before = contents(inputs.inputs)
        inputs.touch()
        after = contents(inputs.inputs)
        query, key, value, upstream = (
            (a != b).nonzero() for a, b in zip(before, after, strict=True)
        )
        assert (len(query), len(value), len(upstream)) == (1, 1, 0)
        assert len(key) == 2 * 11  # a row in both heads
        assert len(key[:, 2].unique()) == 1
        assert all(torch.equal(a.abs(), b.abs()) for a, b in zip(before, after, strict=True))
    assert traces(inputs.inputs) == trace


def test_the_last_key_and_few_others_outweigh_the_rest():
    inputs = changing()
    for _ in range(5):
        inputs.rewrite()
        lengths = inputs.inputs.key[0, 0].norm(dim=-1)
        heavy = (lengths > 3 * lengths.median()).nonzero().flatten().tolist()
        assert 36 in heavy
        assert len(heavy) <= 3


def test_leaves_that_require_gradients_are_written_too():
    inputs = changing()
    query = inputs.inputs.query.requires_grad_()
    before = query.detach().clone()

    inputs.rewrite()
    inputs.touch()

    assert query.is_leaf
    assert not torch.equal(before, query)


def test_empty_tensors_have_nothing_to_change():
    inputs = ChangingInputs(make_inputs(Case(seq_len=0, head_dim=4)), Pool())

    inputs.rewrite()
    inputs.touch()

    assert [one.numel() for one in contents(inputs.inputs)] == [0] * 4
