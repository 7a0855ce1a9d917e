"""What reasons mean, fit by fit: one code may have two causes, and each names whom it concerns."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console

from reports.judgement import Fit, Regime, Verdict
from reports.verdict import REASONS
from reports.verdict_table import causes, print_verdicts, verdict_rows


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
