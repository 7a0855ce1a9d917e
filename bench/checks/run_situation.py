"""The correctness gate: every situation, by the probe that judges it, before any timing.

`bench.checks.situations` says what is asked, `bench.checks.error_bound` how far off an answer may
be, and `bench.checks.probes` how each kind of question is put.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence

from bench.checks.probes.asking import check_asking
from bench.checks.probes.dropout import check_dropout
from bench.checks.probes.layer import check_layer
from bench.checks.probes.mask_gradient import check_mask_gradient
from bench.checks.probes.properties import check_properties
from bench.checks.probes.rows import check_output_rows, check_rows
from bench.checks.probes.scaling import check_scaling
from bench.checks.probes.state import check_state
from bench.checks.probes.trial import Trial
from bench.checks.probes.values import check_output, check_values
from bench.checks.results import CheckResult
from bench.checks.situation import CheckCase
from bench.checks.situations import asked_of
from bench.process.answers import one_line
from bench.process.global_state import RANDOM, restored_state
from implementations.interface import Feature, Implementation, UnsupportedCaseError

PROBES: dict[str, Callable[[Trial], Iterator[CheckResult]]] = {
    "values": check_values,
    "output": check_output,
    "agreement": check_output,  # against others: probes.agreement
    "rows": check_rows,
    "output_rows": check_output_rows,
    "asking": check_asking,
    "mask_gradient": check_mask_gradient,
    "state": check_state,
    "dropout": check_dropout,
    "properties": check_properties,
    "scaling": check_scaling,
    "layer": check_layer,
}
# How torch says that a kernel has no variant for a dtype or a device.
NOT_THERE = "not implemented for"


def verify(
    implementation: Implementation, cases: Sequence[CheckCase], *, seed: int = 0
) -> Iterator[CheckResult]:
    """Check one implementation case by case; a failing or raising case does not end the others.

    Cases for the other kind of implementations are left out.
    """
    for case in asked_of(implementation, cases):
        yield from verify_case(implementation, case, seed=seed)


def verify_case(
    implementation: Implementation, case: CheckCase, *, seed: int = 0
) -> list[CheckResult]:
    """All checks of one situation; whatever the kernel raises, or exits with, becomes a result."""
    trial = Trial(implementation=implementation, case=case, seed=seed)
    reason = unsupported_reason(implementation, case)
    if reason is not None:
        return trial.unsupported(["output"], reason)
    results: list[CheckResult] = []
    with restored_state() as changes:
        try:
            # A kernel's own warnings are its business; the gate judges numbers.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                results.extend(PROBES[case.probe](trial))
        except (UnsupportedCaseError, NotImplementedError) as problem:
            results += trial.unsupported(["output"], str(problem) or type(problem).__name__)
        except (Exception, SystemExit) as problem:
            if NOT_THERE in str(problem):
                results += trial.unsupported(["output"], one_line(problem))
            else:
                results.append(trial.raised("output", problem))
    if case.probe == "dropout" and RANDOM in changes:
        changes.remove(RANDOM)
    if changes:
        results.append(trial.failed("global_state", f"changed {' and '.join(changes)}"))
    elif case.probe == "state" and {one.status for one in results} == {"pass"}:
        results.append(trial.result("global_state", "pass"))
    return results


def unsupported_reason(implementation: Implementation, case: CheckCase) -> str | None:
    """Why the implementation does not take the situation, by what it declares; None if it does."""
    # A missing backward pass narrows what is checked; it does not excuse the forward pass.
    reason = implementation.unsupported(case.under(pass_="forward").case)
    if reason is not None:
        return reason
    dimensions = "takes (batch, num_heads, rows, head_dim) only"
    for needed, feature, why in (
        (len(case.leading) != 2, Feature.LEADING_DIMS, dimensions),
        (case.probe == "dropout", Feature.DROPOUT, "does not take dropout_p"),
        (case.scale is not None, Feature.SCALE, "does not take scale"),
    ):
        if needed and feature not in implementation.supports:
            return f"{implementation.name} {why}"
    return None
