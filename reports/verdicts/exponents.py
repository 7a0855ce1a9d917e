"""Which exponents of a fit lie outside what its claim allows, and which reach beyond it."""

from __future__ import annotations

import math

from reports.judge.findings import allowed_exponents
from reports.judge.result import Fit
from reports.laws.grammar import LawError, parse_declared
from reports.text.wording import listed

_ROUNDING = 1e-9


def outside_claim(fit: Fit) -> list[str]:
    """The exponents whose intervals lie wholly above or below the claim."""
    outside = []
    for name, power in _claimed_powers(fit).items():
        interval, (least, most) = fit.exponents[name], _allowed(fit, name, power)
        above = interval.low is not None and interval.low > most
        below = interval.high is not None and interval.high < least
        if above or below:
            side = "above" if above else "below"
            outside.append(f"the exponent of {name} lies {side} the claimed {power:g}")
    return outside


def reaching_beyond_claim(fit: Fit) -> str | None:
    """Which intervals reach from the claim beyond what it allows; None where none does."""
    found: dict[str, list[str]] = {}
    for name, power in _claimed_powers(fit).items():
        interval, (least, most) = fit.exponents[name], _allowed(fit, name, power)
        if interval.low is None or interval.high is None:
            continue
        below, above = interval.low < least, interval.high > most
        if (below or above) and interval.low <= most and interval.high >= least:
            past = min(power - least if below else math.inf, most - power if above else math.inf)
            if past < fit.tolerance - _ROUNDING:
                bound = f"half of the claimed logarithm of {name}"
            else:
                bound = f"the claim ± {past:.3g}"
            found.setdefault(bound, []).append(name)
    parts = [
        f"the interval{'s' * (len(names) > 1)} of {listed(names)} "
        f"reach{'es' * (len(names) == 1)} beyond {bound}"
        for bound, names in found.items()
    ]
    return "; ".join(parts) or None


def _claimed_powers(fit: Fit) -> dict[str, float]:
    """The claimed exponent of each size that has one; none where the claim is no law."""
    try:
        leading = parse_declared(fit.claim, fit.sizes).leading
    except LawError:
        return {}
    return {name: max(float(term.power(name)) for term in leading) for name in fit.exponents}


def _allowed(fit: Fit, name: str, power: float) -> tuple[float, float]:
    """The least and the most that an exponent may be."""
    basis = fit.basis
    if basis is None or name not in basis.setting.names:
        return power - fit.tolerance, power + fit.tolerance
    found = allowed_exponents(basis.setting, basis.fitted, fit.tolerance)
    return found[basis.setting.names.index(name)]
