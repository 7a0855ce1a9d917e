"""At which sizes implementations are compared."""

from __future__ import annotations

import pandas as pd
import pytest

from reports.ranking.few_places import few_places

GRID = [(n, d) for n in (128, 256, 512) for d in (64, 128)]


def places(sizes: list[tuple[int, int]]) -> pd.DataFrame:
    return pd.DataFrame(sizes, columns=["seq_len", "d_model"])


@pytest.mark.parametrize(
    ("sizes", "shared", "expected"),
    [
        (GRID, {}, [(128, 64), (256, 128), (512, 128)]),
        (GRID, {(512, 64): 1, (512, 128): 1}, [(128, 64), (256, 64), (256, 128)]),
        (GRID, {(512, 128): 2}, [(128, 64), (512, 64), (512, 128)]),
        ([(4096, 64), (512, 1024), (128, 64), (192, 64)], {}, [(128, 64), (512, 1024), (4096, 64)]),
        ([(4096, 512)], {}, [(4096, 512)]),
        ([(4096, 512)], {(4096, 512): 1}, [(4096, 512)]),
    ],
    ids=["longest, widest, shortest", "few have it", "all have another", "mixed", "one", "alone"],
)
def test_a_few_sizes_stand_for_all(sizes, shared, expected) -> None:
    where = places(sizes)
    counts = pd.Series([shared.get(size, 4) for size in sizes])

    found = few_places(where, counts)

    assert [sizes[place] for place in found] == expected
