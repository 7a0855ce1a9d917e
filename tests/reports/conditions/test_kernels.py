"""The page says where another attention kernel ran than the one that was expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from reports.cells.cell_table import cell_table
from reports.conditions.caveats import caveats
from reports.conditions.kernels import unexpected_kernels

Make = Callable[..., dict[str, Any]]
MATH, FLASH = "_scaled_dot_product_attention_math", "_scaled_dot_product_flash_attention"


def told(*records: dict[str, Any]) -> list[str]:
    return unexpected_kernels(cell_table(pd.DataFrame(records)))


def series(record: Make, *kernels: str | None, **changes: Any) -> list[dict[str, Any]]:
    """Cells of n 101, 202, …, each of whose kernel stands in the first of three rounds."""
    return [
        record(
            seq_len=101 * place,
            key_len=101 * place,
            round=round_,
            attention_kernel=None if round_ else kernel,
            **changes,
        )
        for place, kernel in enumerate(kernels, start=1)
        for round_ in range(3)
    ]


def test_a_fused_implementation_that_ran_the_math_formula_is_named_with_its_cells(
    record: Make,
) -> None:
    records = series(record, MATH, MATH, MATH)
    (line,) = told(*records)

    assert line == (
        "sdpa ran torch's math formula (_scaled_dot_product_attention_math), not a fused kernel, "
        "in 3 of 3 cells (n 101 to 303, head_dim 64). The formula holds all scores in memory."
    )
    frame = pd.DataFrame(records)
    assert line in caveats(frame, cell_table(frame), {})


def test_a_series_whose_kernel_changed_says_which_ran_where(record: Make) -> None:
    cudnn = "_scaled_dot_product_cudnn_attention"
    assert told(*series(record, cudnn, FLASH, cudnn, FLASH, FLASH)) == [
        f"sdpa ran different kernels: {cudnn} in 2 of 5 cells (n 101 to 303, head_dim 64) and "
        f"{FLASH} in 3 of 5 cells (n 202 to 505, head_dim 64). One law may not hold for all."
    ]


def test_a_series_that_fell_back_at_some_sizes_says_both(record: Make) -> None:
    fell_back, changed = told(*series(record, FLASH, FLASH, MATH))

    assert "not a fused kernel, in 1 of 3 cells (n 303, head_dim 64)." in fell_back
    assert changed.startswith("sdpa ran different kernels: ")


def test_the_kernel_that_is_pinned_is_expected_and_no_other(record: Make) -> None:
    pinned = {"expected_kernel": "math", "implementation": "sdpa_math"}
    assert told(*series(record, MATH, MATH, **pinned)) == []

    pinned = {"expected_kernel": "flash_attention", "implementation": "sdpa_flash"}
    assert told(*series(record, f"{FLASH}_for_cpu", **pinned)) == []
    assert told(*series(record, MATH, **pinned)) == [
        f"sdpa_flash ran {MATH}, not flash_attention, in 1 of 1 cell (n 101, head_dim 64)."
    ]


def test_conditions_are_series_of_their_own(record: Make) -> None:
    records = [
        *series(record, FLASH, FLASH),
        *series(record, MATH, MATH, dtype="bfloat16"),
        *series(record, None, None, implementation="matmul"),
    ]
    (line,) = told(*records)

    assert line.startswith("sdpa [bfloat16] ran torch's math formula")


@pytest.mark.parametrize("changes", [{}, {"status": "incorrect", "time_s": None}])
def test_cells_without_a_kernel_or_without_a_time_tell_nothing(
    record: Make, changes: dict[str, Any]
) -> None:
    assert told(*series(record, MATH if changes else None, **changes)) == []
    assert told({"seq_len": 7, "time_s": 0.5}) == []
    assert told(record()) == []
