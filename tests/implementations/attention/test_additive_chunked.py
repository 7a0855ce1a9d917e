"""Additive attention in blocks: the same numbers, in the memory of a few blocks."""

import pytest
import torch

from bench.counting.direct import count
from implementations import blocks
from implementations.attention import additive_chunked as module
from implementations.attention.additive import additive
from implementations.attention.additive_chunked import additive_chunked
from implementations.case import PASSES, Case
from implementations.catalogue import suite


def workspace_bytes(name, pass_, **sizes):
    found = count(suite()[name], Case(head_dim=64, pass_=pass_, **sizes)).workspace_bytes
    assert found is not None
    return found


@pytest.fixture(params=[3, 97, 4099])
def small_blocks(request, monkeypatch):
    """Blocks of some keys, of which less than a row, some rows, or several heads fit at once."""
    for where in (blocks, module):
        monkeypatch.setattr(where, "scores_per_tile", lambda device, working: request.param)
    monkeypatch.setattr(module, "KEYS_PER_BLOCK", 3)


@pytest.mark.parametrize("kind", ["none", "causal", "boolean", "float"])
@pytest.mark.parametrize(("query_len", "key_len"), [(5, 7), (13, 11)])
def test_blocks_give_the_output_and_the_gradients_of_the_plain_formula(
    draw, small_blocks, kind, query_len, key_len
):
    drawn = torch.linspace(-2, 2, query_len * key_len, dtype=torch.float64)
    drawn = drawn.reshape(query_len, key_len).sin()
    kept = drawn > 0
    kept[2] = False
    options = {
        "none": {"scale": 0.3},
        "causal": {"is_causal": True},
        "boolean": {"attn_mask": kept},
        "float": {"attn_mask": drawn},
    }[kind]

    def results(core):
        leaves = [
            one.requires_grad_() for one in draw(query_len=query_len, key_len=key_len, value_dim=13)
        ]
        output = core(*leaves, **options)
        return output, *torch.autograd.grad(output, leaves, torch.ones_like(output).cumsum(-2))

    for found, expected in zip(results(additive_chunked), results(additive), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("pass_", PASSES)
def test_chunks_need_a_twentieth_of_the_workspace_of_the_plain_formula(pass_):
    plain = workspace_bytes("additive", pass_, seq_len=1024)

    assert workspace_bytes("additive_chunked", pass_, seq_len=1024) <= plain / 20


def test_the_workspace_grows_neither_with_n_nor_with_heads():
    least = workspace_bytes("additive_chunked", "forward", seq_len=1024)

    assert workspace_bytes("additive_chunked", "forward", seq_len=2048) == least
    assert workspace_bytes("additive_chunked", "forward", seq_len=1024, num_heads=3) == least


@pytest.mark.parametrize("name", ["additive", "additive_chunked"])
def test_every_query_key_and_feature_takes_one_tanh(name):
    sizes = {"seq_len": 61, "key_len": 67, "head_dim": 5, "num_heads": 3}

    counts = count(suite()[name], Case(**sizes))

    softmax = 3 * 61 * 67
    assert counts.transcendentals is not None
    assert 0 <= counts.transcendentals - 5 * softmax - softmax <= 3 * 61
