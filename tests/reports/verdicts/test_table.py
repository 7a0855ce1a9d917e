"""What reasons mean, fit by fit: one code may have two causes, and each names whom it concerns."""

from __future__ import annotations

import math
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from reports.judge.result import Fit, Regime, Verdict
from reports.text.interval import Interval
from reports.verdicts.reasons import REASONS
from reports.verdicts.table import print_verdicts, verdict_frame
from reports.verdicts.verdict_rows import VerdictRow, causes, verdict_rows
from tests.reports.verdicts.some_fits import judged


def changed(name: str, last: str, *codes: str, **changes: Any) -> Fit:
    regime = Regime(name=last, start=1024, end=8192, evidence=f"evidence for {name}")
    known: dict[str, Any] = {
        "group": {"implementation": name},
        "claim": "n^2*d",
        "verdict": Verdict.CONFIRMED,
        "reasons": (*codes, "regime_change"),
        "regimes": (regime,),
        "sizes": {"n": "seq_len", "d": "d_model"},
        "cells": 24,
    }
    return Fit(**(known | changes))


def test_a_code_with_two_causes_is_listed_once_for_each_with_whom_it_concerns() -> None:
    fits = [
        changed("alpha", "page-fault", "censored_cells"),
        changed("beta", "regime 2"),
        changed("gamma", "page-fault", "censored_cells"),
    ]
    found = causes(verdict_rows(fits))
    assert [(one.code, one.who) for one in found] == [
        ("censored_cells", "alpha and gamma"),
        ("regime_change", "alpha and gamma"),
        ("regime_change", "beta"),
    ]
    assert "page faults begin" in found[1].sentence
    assert "--allocator pinned" in found[1].next_step
    assert found[2].sentence == REASONS["regime_change"].sentence


def test_the_terminal_explains_a_recorded_cause_even_where_the_claim_is_confirmed() -> None:
    console = Console(width=80, record=True, file=StringIO())
    print_verdicts([changed("alpha", "page-fault"), changed("beta", "regime 2")], console)
    text = " ".join(console.export_text().split())
    assert "evidence for alpha" in text
    assert "evidence for beta" not in text
    assert "Measure with --allocator pinned, which keeps the memory" in text


def test_what_holds_for_eighteen_groups_is_said_once_with_whom_it_holds_for() -> None:
    few = [
        Fit(
            group={"kernel": f"k{number:02d}"},
            claim="n^2",
            verdict=Verdict.INCONCLUSIVE,
            reasons=("too_few_sizes",),
            sizes={"n": "n"},
            levels={"n": 5},
            cells=5,
        )
        for number in range(18)
    ]
    (cause,) = causes(verdict_rows(few))
    assert cause.who == "k00, k01, k02, k03, k04, k05, k06, k07 and 10 more"
    text = printed(few)
    assert text.count("5 cells are too few for n^2, which needs 7 or more.") == 1
    assert text.count("neither") == 0
    assert text.count("k09") == 1


def test_numbers_that_differ_have_a_line_each_below_the_sentence_that_is_said_once() -> None:
    few = [
        Fit(
            group={"kernel": name},
            claim="n^2",
            verdict=Verdict.INCONCLUSIVE,
            reasons=("too_few_sizes",),
            levels={"n": cells},
            cells=cells,
        )
        for name, cells in (("a", 5), ("b", 6), ("c", 5))
    ]
    (cause,) = causes(verdict_rows(few))
    assert cause.who == "a, b and c"
    assert cause.shared == ""
    assert [(one.who, one.text) for one in cause.several] == [
        ("a and c", "5 cells are too few for n^2, which needs 7 or more."),
        ("b", "6 cells are too few for n^2, which needs 7 or more."),
    ]
    text = printed(few)
    assert text.count(REASONS["too_few_sizes"].sentence) == 1
    assert f"{REASONS['too_few_sizes'].next_step} a and c: 5 cells are" in text


def test_another_statistics_verdict_is_said_once_for_those_that_it_holds_for() -> None:
    disputed = [
        changed(name, "regime 2", other_verdict=Verdict.INCONCLUSIVE) for name in ("alpha", "beta")
    ]
    said = "alpha and beta: By the minimum of readings it would be inconclusive."
    assert printed(disputed).count(said) == 1


def test_the_range_that_all_groups_share_stands_above_the_table() -> None:
    wide = [changed(name, "regime 2", ranges={"n": (128.0, 8192.0)}) for name in "ab"]
    assert printed(wide).startswith("Time over n 128–8192 ")
    assert printed([*wide, changed("c", "regime 2")]).startswith("Time implementation")


def printed(fits: list[Fit]) -> str:
    console = Console(width=80, record=True, file=StringIO())
    print_verdicts(fits, console)
    return " ".join(console.export_text().split())


class Walked(list[VerdictRow]):
    """Rows that count how often somebody goes through all of them."""

    walks = 0

    def __iter__(self) -> Iterator[VerdictRow]:
        self.walks += 1
        return super().__iter__()


def test_many_groups_are_gone_through_no_more_often_than_few_and_never_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def compared(one: object, other: object) -> bool:
        raise AssertionError("rows were compared by all that they hold")

    def walks(groups: int) -> int:
        fits = [
            changed(f"k{i}", "regime 2", "censored_cells", censored=i + 2) for i in range(groups)
        ]
        rows = Walked(verdict_rows(fits))
        of_censored = causes(rows)[0]
        assert len(of_censored.several) == groups
        return rows.walks

    monkeypatch.setattr(VerdictRow, "__eq__", compared)
    assert walks(100) == walks(10) > 0


def test_of_several_costs_each_is_named_with_its_groups() -> None:
    fits = [
        changed("sdpa", "regime 2", "censored_cells"),
        changed("loop", "regime 2", "censored_cells", value="workspace_bytes"),
        changed("flash", "regime 2", value="workspace_bytes"),
    ]
    censored, regimes = causes(verdict_rows(fits))
    assert censored.who == "time: sdpa; workspace: loop"
    assert regimes.who == "time: sdpa; workspace: loop and flash"


def test_labels_name_only_what_varies_among_the_fits() -> None:
    fits = [
        judged("a", Verdict.CONFIRMED, group={"implementation": "a", "dtype": t, "pass": "forward"})
        for t in ("float32", "float64")
    ]
    assert [row.label for row in verdict_rows(fits)] == ["a [float32]", "a [float64]"]


def test_the_terminals_table_fits_80_columns_and_takes_names_literally() -> None:
    fits = [
        judged("[bold]x[/bold] :smile:", Verdict.INCONCLUSIVE, reasons=("overhead_dominates",)),
        judged("a_rather_long_name_of_an_implementation", Verdict.CONFIRMED),
        judged("m", Verdict.REFUTED, value="workspace_bytes"),
    ]
    wide = {name: Interval(estimate=2.0, low=1.9876, high=2.0123) for name in "ndhb"}
    fits.append(judged("four", Verdict.CONFIRMED, value="workspace_bytes", exponents=wide))
    page = StringIO()
    print_verdicts(fits, Console(file=page, width=80))
    text = page.getvalue()
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "[bold]x[/bold]" in text
    assert ":smile:" in text
    assert "overhead_dominates" in text
    assert "? inconclusive" in text
    assert "h 2.00 [1.99, 2.01]" in text


def test_the_verdict_frame_keeps_missing_numbers_empty() -> None:
    unbounded = {"n": Interval(estimate=1.5, low=None, high=None)}
    row = verdict_frame([judged("a", Verdict.REFUTED, exponents=unbounded)]).iloc[0]
    assert row["n_exponent"] == 1.5
    assert row["n_low"] is None or math.isnan(row["n_low"])
