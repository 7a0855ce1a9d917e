"""Random inputs: seeded, the same for every implementation, of the sizes that the case has."""

from dataclasses import replace

import pytest
import torch

from bench.timing.inputs import make_inputs
from implementations.case import Case, useful_flops

CASE = Case(batch=2, num_heads=3, seq_len=5, key_len=7, head_dim=11, value_dim=13)


def test_inputs_have_the_shapes_of_the_case():
    inputs = make_inputs(replace(CASE, mask="float"))

    assert inputs.query.shape == (2, 3, 5, 11)
    assert inputs.key.shape == (2, 3, 7, 11)
    assert inputs.value.shape == (2, 3, 7, 13)
    assert inputs.grad_output.shape == (2, 3, 5, 13)
    assert inputs.attn_mask is not None
    assert inputs.attn_mask.shape == (5, 7)


def test_the_same_seed_gives_the_same_inputs_and_another_seed_others():
    first, second, other = make_inputs(CASE), make_inputs(CASE), make_inputs(CASE, seed=1)

    assert torch.equal(first.query, second.query)
    assert not torch.equal(first.query, other.query)
    assert not torch.equal(first.key[..., :5, :], first.query)


def test_drawing_inputs_leaves_the_global_random_state_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()

    make_inputs(CASE)

    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("mask", ["boolean", "float"])
def test_everything_is_drawn_on_the_device_of_the_case(borrowed_gpu, mask):
    make_inputs(replace(CASE, device="cuda:1", mask=mask))

    # A generator, and the five tensors.
    assert borrowed_gpu == ["cuda:1"] * 6


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
def test_other_dtypes_see_the_same_numbers_rounded(dtype):
    single, other = make_inputs(CASE), make_inputs(replace(CASE, dtype=dtype))

    assert other.query.dtype == getattr(torch, dtype)
    assert torch.equal(other.query, single.query.to(other.query.dtype))


def test_passes_and_masks_do_not_change_what_is_drawn():
    plain = make_inputs(CASE)
    masked = make_inputs(replace(CASE, mask="boolean", pass_="forward_backward"))

    assert torch.equal(plain.query, masked.query)
    assert torch.equal(plain.grad_output, masked.grad_output)
    assert plain.attn_mask is None
    assert masked.attn_mask is not None
    assert masked.attn_mask.dtype == torch.bool
    assert 0 < int(masked.attn_mask.sum()) < masked.attn_mask.numel()


def test_inputs_are_standard_normal_and_never_zeros():
    values = make_inputs(Case(seq_len=1009, head_dim=64)).query

    assert bool((values != 0).all())
    assert float(values.mean()) == pytest.approx(0.0, abs=0.02)
    assert float(values.std()) == pytest.approx(1.0, abs=0.02)


def test_the_layout_changes_how_inputs_lie_and_nothing_else():
    ours, theirs = make_inputs(CASE), make_inputs(CASE, layout="bshd")

    for name in ("query", "key", "value", "grad_output"):
        mine, other = getattr(ours, name), getattr(theirs, name)
        assert torch.equal(mine, other)
        assert mine.is_contiguous()
        assert not other.is_contiguous()
        assert other.transpose(1, 2).is_contiguous()


@pytest.mark.parametrize("mask", ["boolean", "float"])
def test_masks_lie_as_they_do_in_every_layout(mask):
    case = replace(CASE, mask=mask)

    ours, theirs = make_inputs(case).attn_mask, make_inputs(case, layout="bshd").attn_mask

    assert ours is not None
    assert theirs is not None
    assert torch.equal(ours, theirs)
    assert theirs.is_contiguous()


def test_useful_operations_are_four_n_squared_d_when_nothing_is_masked():
    case = Case(batch=2, num_heads=3, seq_len=5, head_dim=11)

    assert useful_flops(case) == 4 * 2 * 5**2 * 33
    assert useful_flops(replace(case, pass_="forward_backward")) == 3 * useful_flops(case)


def test_useful_operations_count_pairs_and_both_widths_exactly():
    assert useful_flops(CASE) == 2 * 6 * 35 * (11 + 13)
    assert useful_flops(replace(CASE, is_causal=True)) == 2 * 6 * 15 * (11 + 13)
    assert useful_flops(replace(CASE, seq_len=0)) == 0
