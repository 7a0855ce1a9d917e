"""How parameters are drawn and counted."""

import pytest
import torch

from implementations.case import Case
from implementations.catalogue import suite
from implementations.parameters import parameter_count, seeded


def test_parameters_are_counted_without_memory_for_them():
    huge = Case(seq_len=1, num_heads=2**10, head_dim=2**12)

    assert parameter_count(suite()["feed_forward"], huge) == 8 * 2**44 + 5 * 2**22


def test_a_core_has_no_parameters_to_count():
    with pytest.raises(ValueError, match="expected a layer, got the core sdpa"):
        parameter_count(suite()["sdpa"], Case(seq_len=1))


def test_parameters_are_as_large_as_torch_draws_them_and_differ_from_one_another():
    layer = seeded(lambda case: torch.nn.Linear(case.d_model, case.d_model))
    weight = layer(Case(seq_len=1, num_heads=1, head_dim=101)).weight.detach()

    assert float(weight.abs().max()) == pytest.approx(101**-0.5, rel=1e-2)
    assert float(weight.abs().max()) <= 101**-0.5
    assert weight.unique().numel() > 0.99 * weight.numel()
