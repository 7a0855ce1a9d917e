"""The band of a sliding window: what it sees, what it does not, and what it costs."""

import pytest
import torch

from bench.counting.direct import count
from implementations import blocks
from implementations.attention import sliding_window as module
from implementations.attention.matmul import matmul
from implementations.attention.sliding_window import IMPLEMENTATION, sliding_window
from implementations.case import PASSES, Case

both_ways = pytest.mark.parametrize("is_causal", [False, True])
LENGTHS = [(131, 137), (137, 131), (23, 127), (127, 23), (1, 17), (17, 1)]


def sees(query_len, key_len, window, is_causal):
    """Which query sees which key, as the definition has it."""
    ahead = torch.arange(query_len)[:, None] - torch.arange(key_len)
    return (ahead < window) & (ahead >= 0 if is_causal else ahead > -window)


def results(attend, tensors):
    leaves = [one.clone().requires_grad_() for one in tensors]
    output = attend(*leaves)
    return output, *torch.autograd.grad(output, leaves, torch.ones_like(output).cumsum(-2))


@both_ways
@pytest.mark.parametrize("window", [1, 2, 7, 19, 53, 139])
@pytest.mark.parametrize(("query_len", "key_len"), LENGTHS)
def test_the_band_equals_the_masked_formula(draw, query_len, key_len, window, is_causal):
    tensors = draw(query_len=query_len, key_len=key_len, value_dim=13)
    mask = sees(query_len, key_len, window, is_causal)

    found = results(
        lambda *given: sliding_window(*given, is_causal=is_causal, window=window), tensors
    )

    expected = results(lambda *given: matmul(*given, attn_mask=mask), tensors)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@both_ways
@pytest.mark.parametrize("room", [1, 151, 4099])
@pytest.mark.parametrize("leading", [(), (3,), (2, 5)])
def test_the_band_is_the_same_however_it_is_cut(draw, monkeypatch, leading, room, is_causal):
    monkeypatch.setattr(module, "scores_per_tile", lambda device, working: room)
    monkeypatch.setattr(module, "FEWEST_ROWS", 2)
    tensors = draw(leading=leading, query_len=29, key_len=31)
    mask = sees(29, 31, 7, is_causal)

    found = results(lambda *given: sliding_window(*given, is_causal=is_causal, window=7), tensors)

    expected = results(lambda *given: matmul(*given, attn_mask=mask), tensors)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@both_ways
def test_sliding_window_ignores_keys_outside_the_band(draw, is_causal):
    query, key, value = draw(query_len=67, key_len=71)
    seen = sees(67, 71, 5, is_causal)
    options = {"is_causal": is_causal, "window": 5}
    before = sliding_window(query, key, value, **options)

    for row in (0, 4, 33, 66):
        hidden = ~seen[row]
        other_key, other_value = key.clone(), value.clone()
        other_key[..., hidden, :] *= 1e30
        other_value[..., hidden, :] = 1e30
        after = sliding_window(query, other_key, other_value, **options)

        assert torch.equal(after[..., row, :], before[..., row, :])


@both_ways
def test_keys_outside_the_band_get_no_gradient(draw, is_causal):
    tensors = draw(query_len=67, key_len=71)
    leaves = [one.requires_grad_() for one in tensors]

    output = sliding_window(*leaves, is_causal=is_causal, window=5)
    _, grad_key, grad_value = torch.autograd.grad(output[..., 33, :].sum(), leaves)

    seen = sees(67, 71, 5, is_causal)[33]
    for gradient in (grad_key, grad_value):
        assert torch.equal(gradient[..., ~seen, :], torch.zeros_like(gradient[..., ~seen, :]))
    assert bool((grad_value[..., seen, :] != 0).all())


@both_ways
def test_queries_beyond_the_window_of_the_last_key_give_zeros(draw, is_causal):
    tensors = draw(query_len=97, key_len=7)

    found = results(lambda *given: sliding_window(*given, is_causal=is_causal, window=11), tensors)

    output, grad_query, *others = found
    for one in (output, grad_query):
        assert torch.equal(one[..., 17:, :], torch.zeros_like(one[..., 17:, :]))
        assert bool((output[..., :17, :] != 0).all())
    assert all(bool(one.isfinite().all()) for one in others)


@both_ways
def test_without_a_window_every_key_is_seen(draw, is_causal):
    tensors = draw()

    found = sliding_window(*tensors, is_causal=is_causal)

    torch.testing.assert_close(found, matmul(*tensors, is_causal=is_causal))
    torch.testing.assert_close(found, sliding_window(*tensors, is_causal=is_causal, window=6 + 1))


def test_a_window_that_sees_nothing_is_refused_in_one_line(draw):
    with pytest.raises(ValueError, match="window must be at least 1, got 0; 1 sees a single key"):
        sliding_window(*draw(), window=0)


def counted(quantity, **sizes):
    found = count(IMPLEMENTATION, Case(head_dim=64, **sizes)).value(quantity)
    assert found
    return found


@both_ways
@pytest.mark.parametrize("pass_", PASSES)
def test_the_products_follow_n_and_the_window(pass_, is_causal):
    options = {"pass_": pass_, "is_causal": is_causal}
    least = counted("matmul_flops", seq_len=4096, window=128, **options)

    longer = counted("matmul_flops", seq_len=8192, window=128, **options)
    wider = counted("matmul_flops", seq_len=4096, window=256, **options)

    assert longer == 2 * least
    assert wider == pytest.approx(2 * least, rel=0.01)


@both_ways
def test_the_products_are_few_more_than_the_band_needs(is_causal):
    band = int(sees(4096, 4096, 128, is_causal).sum())

    computed = counted("matmul_flops", seq_len=4096, window=128, is_causal=is_causal)

    assert 2 * 2 * 64 * band < computed < 1.6 * 2 * 2 * 64 * band


@pytest.mark.parametrize("pass_", PASSES)
def test_the_workspace_grows_with_neither_length_window_nor_heads(pass_):
    most = counted("workspace_bytes", seq_len=4096, window=64, pass_=pass_)
    room = 4 * blocks.scores_per_tile(torch.device("cpu"), torch.float32)

    for sizes in ({"seq_len": 8192}, {"window": 512}, {"num_heads": 3}):
        case = {"seq_len": 4096, "window": 64, "pass_": pass_, **sizes}
        assert counted("workspace_bytes", **case) <= 1.5 * max(most, room)
