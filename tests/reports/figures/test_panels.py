"""Which series share a panel."""

from __future__ import annotations

import pandas as pd

from reports.figures.drawing.looks import looks_for
from reports.figures.drawing.panels import Panel, choose_panels
from reports.figures.drawing.view import Series


def series(name: str, sizes: list[int], widths: tuple[int, ...] = (64,)) -> Series:
    cells = pd.DataFrame(
        [{"seq_len": n, "d_model": d, "time_s": 1e-9 * n * n * d} for n in sizes for d in widths]
    )
    return Series(label=name, look=looks_for([name])[name], cells=cells)


def panels(*every: Series) -> tuple[Panel, ...]:
    return choose_panels(every, along="seq_len", fixed="d_model")


def shown(*every: Series) -> list[list[str]]:
    return [[one.label for one, _ in panel.members] for panel in panels(*every)]


LONG = [256, 512, 1024, 2048, 4096]


def test_a_series_with_much_smaller_sizes_has_a_panel_of_its_own():
    found = shown(series("loop", [8, 16, 32, 64]), series("matmul", LONG), series("sdpa", LONG))
    assert found == [["loop"], ["matmul", "sdpa"]]


def test_series_that_both_stop_early_share_the_panel_beside_the_others():
    early = series("loop", [8, 16, 32, 64]), series("row_loop", [16, 32, 64, 128])
    assert shown(*early, series("sdpa", LONG)) == [["loop", "row_loop"], ["sdpa"]]


def test_a_series_that_goes_on_much_longer_stays_with_the_others():
    found = shown(series("matmul", [128, 256, 512]), series("sdpa", [128, 512, 2048, 8192, 32768]))
    assert found == [["matmul", "sdpa"]]


def test_a_series_that_is_shown_already_is_not_shown_again_beside_a_smaller_one():
    fast = series("sdpa", LONG, (64, 256)), series("matmul", LONG, (64, 256))
    found = panels(series("loop", [8, 16, 32]), *fast, series("row_loop", [16, 32, 64], (256,)))
    assert [(one.value, len(one.members)) for one in found] == [(64, 1), (256, 1), (256, 2)]


def test_a_single_size_is_no_panel_of_its_own():
    assert shown(series("loop", [8]), series("sdpa", LONG)) == [["loop", "sdpa"]]
