import pytest

from reports.judgement import Fit, Interval, Verdict
from reports.verdict import REASONS, explain

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


def test_an_explanation_carries_the_numbers() -> None:
    assert explain(fitted()) == (
        "Time grows as n^2.00 [1.98, 2.02] · d^0.00 [-0.01, 1.01] over n 128–4096. "
        "The claim n²·d is confirmed (35 cells, residual 1.3%)."
    )


@pytest.mark.parametrize(
    ("verdict", "words"),
    [(Verdict.REFUTED, "is refuted"), (Verdict.INCONCLUSIVE, "is neither confirmed nor refuted")],
)
def test_an_explanation_says_why_it_is_not_confirmed(verdict: Verdict, words: str) -> None:
    text = explain(fitted(verdict=verdict, reasons=("lack_of_fit", "censored_cells")))
    assert words in text
    assert text.endswith(REASONS["lack_of_fit"].sentence)


def test_what_could_not_be_fitted_is_explained_without_numbers() -> None:
    nothing = Interval(estimate=None, low=None, high=None)
    text = explain(
        fitted(
            verdict=Verdict.INCONCLUSIVE,
            reasons=("too_few_sizes",),
            exponents={"n": nothing, "d": nothing},
            cells=1,
            rms_residual=None,
            value="workspace_bytes",
            ranges={},
        )
    )
    assert text == (
        "The claim n²·d is neither confirmed nor refuted (1 cell). "
        + REASONS["too_few_sizes"].sentence
    )
