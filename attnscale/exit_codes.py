"""With which code does a command exit?"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.judge.result import Fit
    from reports.judge.together import Together

DONE, FAILED, WRONG_REQUEST, INCONCLUSIVE, INTERRUPTED = 0, 1, 2, 3, 130
MEANINGS = {
    DONE: "done and good",
    FAILED: "done, and something failed: a check, a crashed cell, a refuted claim, a regression",
    WRONG_REQUEST: "the request was wrong, or stdout takes nothing; one line says how",
    INCONCLUSIVE: "done, but inconclusive, or nothing could be measured or counted",
    INTERRUPTED: "interrupted, and one line says so; everything measured so far is kept",
}


def code_of(fits: Sequence[Fit], joint: Together | None = None) -> int:
    """The code for some verdicts, and for the one on all groups together, if there is one."""
    verdicts = {str(fit.verdict) for fit in fits}
    if joint is not None and joint.verdict != "inconclusive":
        # What groups have too few sizes to say, they say together.
        verdicts = {str(fit.verdict) for fit in fits if "too_few_sizes" not in fit.reasons}
        verdicts.add(str(joint.verdict))
    return code_of_verdicts(verdicts)


def code_of_verdicts(verdicts: Collection[str]) -> int:
    """The code for these answers: `confirmed`, `refuted` and `inconclusive`."""
    if "refuted" in verdicts:
        return FAILED
    return DONE if set(verdicts) == {"confirmed"} else INCONCLUSIVE
