"""Small inputs with distinct prime sizes, so that a transposed axis cannot pass."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

Draw = Callable[..., tuple[Tensor, Tensor, Tensor]]


def draw_inputs(
    leading: tuple[int, ...] = (2, 3),
    query_len: int = 5,
    key_len: int = 7,
    head_dim: int = 11,
    value_dim: int = 11,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def normal(rows: int, columns: int) -> Tensor:
        return torch.randn(*leading, rows, columns, generator=generator, dtype=dtype)

    return normal(query_len, head_dim), normal(key_len, head_dim), normal(key_len, value_dim)


@pytest.fixture
def draw() -> Draw:
    return draw_inputs
