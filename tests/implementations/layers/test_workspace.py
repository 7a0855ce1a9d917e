"""The memory that layers promise by their laws, measured: exact bytes, no clock."""

import pytest
import torch

from bench.machine.workspace import workspace_bytes
from implementations.catalogue import suite
from implementations.interface import Feature, Implementation
from tests.implementations.layers.comparing import draw_memory, draw_x, small_case

TOKEN_BY_TOKEN = ("rnn", "gru", "lstm")  # slow, and alike at any length
LAYERS = [one for one in suite().values() if one.kind == "layer"]


def forward_bytes(layer: Implementation, seq_len: int, num_heads: int = 2) -> int:
    window = 32 if Feature.WINDOW in layer.supports else None
    case = small_case(batch=1, seq_len=seq_len, num_heads=num_heads, head_dim=4, window=window)
    module, x = layer.build(case), draw_x(case).float()
    inputs = (x, draw_memory(case).float()) if layer.needs_memory else (x,)
    with torch.no_grad():
        return workspace_bytes(lambda: (module(*inputs),), "cpu")


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_the_workspace_doubles_or_quadruples_with_the_length_as_the_law_says(layer):
    if "n^2" in layer.workspace_law:
        growth = forward_bytes(layer, 1024) / forward_bytes(layer, 512)
        assert growth == pytest.approx(4.0, rel=0.05)
    else:  # torch's SDPA takes larger blocks from some 768 queries on
        least = 128 if layer.name in TOKEN_BY_TOKEN else 1024
        growth = forward_bytes(layer, 2 * least) / forward_bytes(layer, least)
        assert growth <= 2.05


def test_scores_of_all_heads_take_as_many_times_the_memory_as_there_are_heads():
    layer = suite()["multi_head_matmul"]
    score_matrix = 4 * 1024**2

    assert forward_bytes(layer, 1024, num_heads=2) == pytest.approx(4 * score_matrix, rel=0.05)
    assert forward_bytes(layer, 1024, num_heads=6) == pytest.approx(12 * score_matrix, rel=0.05)
