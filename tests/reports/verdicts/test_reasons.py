from dataclasses import replace

import pandas as pd
import pytest

from reports.judge.fit import fit
from reports.judge.result import Fit, Regime, Verdict
from reports.text.interval import Interval
from reports.verdicts.reasons import REASONS, reason_of, remark

CODES = (
    "exponent_outside_tolerance",
    "claimed_term_absent",
    "faster_growing_term",
    "lack_of_fit",
    "overhead_dominates",
    "too_few_sizes",
    "range_too_short",
    "sizes_collinear",
    "noisy_measurements",
    "regime_change",
    "models_undecided",
    "counted_elsewhere",
    "mixed_readings",
    "censored_cells",
)


def test_every_reason_code_has_one_sentence_and_a_next_step() -> None:
    assert tuple(REASONS) == CODES
    for reason in REASONS.values():
        for text in (reason.sentence, reason.next_step):
            assert text[0].isupper()
            assert text.endswith(".")
            assert ". " not in text


def fitted(**changes: object) -> Fit:
    known: dict[str, object] = {
        "group": {},
        "claim": "n^2*d",
        "verdict": Verdict.CONFIRMED,
        "exponents": {
            "n": Interval(estimate=2.004, low=1.98, high=2.02),
            "d": Interval(estimate=-0.001, low=-0.01, high=1.01),
        },
        "cells": 35,
        "rms_residual": 0.0134,
        "ranges": {"n": (128, 4096), "d": (64, 64)},
    }
    return Fit(**(known | changes))  # type: ignore[arg-type]  # fields by name


@pytest.mark.parametrize(
    ("overhead", "sentence", "step"),
    [
        (0.83, "so much of the cost that its growth hardly shows.", "Measure larger sizes."),
        (0.023, "most of the cost in half of the cells,", "Measure more of the large sizes."),
    ],
)
def test_overhead_that_is_small_at_the_largest_size_is_not_said_to_hide_the_growth_there(
    overhead: float, sentence: str, step: str
) -> None:
    reason = reason_of(fitted(overhead=overhead), "overhead_dominates")
    assert sentence in reason.sentence
    assert reason.next_step == step


def test_where_there_is_no_cell_at_all_more_sizes_are_not_asked_for() -> None:
    assert "nothing to judge" in reason_of(fitted(cells=0), "too_few_sizes").sentence
    assert reason_of(fitted(cells=5), "too_few_sizes") == REASONS["too_few_sizes"]


def test_nothing_that_is_said_points_to_what_the_terminal_does_not_print() -> None:
    for reason in REASONS.values():
        for unseen in ("terms list", "slopes", "regimes", "their reasons", "exponents show"):
            assert unseen not in reason.sentence + reason.next_step


def test_a_declared_claim_that_is_no_law_is_said_to_be_none() -> None:
    assert remark(fitted(claim="n^2@d", exponents={})).startswith(
        'The declared claim cannot be read, so nothing was judged: unexpected "@" at column 4 of'
    )


@pytest.mark.parametrize(("statistic", "other"), [("median", "minimum"), ("min", "median")])
def test_a_dispute_between_statistics_is_told_last(statistic: str, other: str) -> None:
    text = remark(fitted(statistic=statistic, counted="n^2*d", other_verdict=Verdict.REFUTED))
    assert text.endswith(f". By the {other} of readings it would be refuted.")


@pytest.mark.parametrize(
    ("name", "sentence", "step"),
    [
        ("page-fault", "page faults begin", "--allocator pinned, which keeps the memory; see docs"),
        ("memory-bound", "the working set outgrows a cache", "beyond the cache"),
        ("regime 2", "coefficients jump within the range", "Measure more sizes"),
    ],
)
def test_a_regime_change_says_its_cause_where_that_was_recorded(
    name: str, sentence: str, step: str
) -> None:
    last = Regime(name=name, start=1024, end=8192, evidence="evidence of it")
    found = Fit(
        group={},
        claim="n^2*d",
        verdict=Verdict.INCONCLUSIVE,
        reasons=("regime_change", "censored_cells"),
        sizes={"n": "seq_len", "d": "d_model"},
        regimes=(replace(last, name="regime 1"), last),
    )
    reason = reason_of(found, "regime_change")
    assert sentence in reason.sentence
    assert step in reason.next_step
    assert reason_of(found, "censored_cells") == REASONS["censored_cells"]


def test_a_counted_cost_is_not_said_to_have_caches_or_page_faults() -> None:
    n = [2**k for k in range(5, 14)]
    table = pd.DataFrame({"n": n, "workspace_bytes": [max(size, 256) ** 2 for size in n]})
    found = fit(table, sizes={"n": "n"}, value="workspace_bytes", claim="n^2")
    assert (found.verdict, found.reasons) == (Verdict.CONFIRMED, ("regime_change",))

    reason = reason_of(found, "regime_change")
    assert reason.sentence.startswith("The small sizes follow another polynomial")
    assert reason.next_step.startswith("The verdict is that of the larger sizes")
    for cause in ("cache", "page", "pinn"):
        assert cause not in reason.sentence + reason.next_step
