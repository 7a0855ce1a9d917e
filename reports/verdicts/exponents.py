"""Which exponents of a fit lie outside what its claim allows, and which reach beyond it."""

from __future__ import annotations

import math

from reports.judge.findings import allowed_exponents
from reports.judge.result import Fit
from reports.laws.grammar import LawError, parse_declared
from reports.text.wording import by_text, listed

_ROUNDING = 1e-9


def outside_claim(fit: Fit) -> list[str]:
    """The exponents whose intervals lie wholly above or below the claim."""
    outside = []
    for name, power, (least, most) in allowed_exponents_of(fit):
        interval = fit.exponents[name]
        above = interval.low is not None and interval.low > most
        if above or (interval.high is not None and interval.high < least):
            side = "above" if above else "below"
            outside.append(f"the exponent of {name} lies {side} the claimed {power:g}")
    return outside


def reaching_beyond_claim(fit: Fit) -> str | None:
    """Which intervals reach from the claim beyond what it allows; None where none does."""
    reaching = []
    for name, power, (least, most) in allowed_exponents_of(fit):
        interval = fit.exponents[name]
        if interval.low is None or interval.high is None:
            continue
        below, above = interval.low < least, interval.high > most
        if (below or above) and interval.low <= most and interval.high >= least:
            past = min(power - least if below else math.inf, most - power if above else math.inf)
            if past < fit.tolerance - _ROUNDING:
                reaching.append((f"half of the claimed logarithm of {name}", name))
            else:
                reaching.append((f"the claim ± {past:.3g}", name))
    parts = [
        f"the interval{'s' * (len(names) > 1)} of {listed(names)} "
        f"reach{'es' * (len(names) == 1)} beyond {bound}"
        for bound, names in by_text(reaching).items()
    ]
    return "; ".join(parts) or None


def allowed_exponents_of(fit: Fit) -> list[tuple[str, float, tuple[float, float]]]:
    """Each size with its claimed exponent, and the least and the most that it may be.

    None where the claim is no law. Of a cost that was counted, exponents are known without a fit,
    so that no share of a fitted cost widens the tolerance.
    """
    try:
        leading = parse_declared(fit.law, fit.sizes).leading
    except LawError:
        return []
    powers = {name: max(float(term.power(name)) for term in leading) for name in fit.exponents}
    bounds = {name: (at - fit.tolerance, at + fit.tolerance) for name, at in powers.items()}
    if fit.basis is not None and fit.counted is None:
        setting, fitted = fit.basis.setting, fit.basis.fitted
        allowed = allowed_exponents(setting, fitted, fit.tolerance)
        bounds |= zip(setting.names, allowed, strict=True)
    return [(name, power, bounds[name]) for name, power in powers.items()]
