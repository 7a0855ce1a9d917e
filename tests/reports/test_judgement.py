import json
import math

import numpy as np
import pytest

from reports.judgement import Fit, Interval, Regime, Term, Verdict


def test_predict_sums_the_terms_whatever_their_exponents() -> None:
    fit = Fit(
        group={},
        claim="n^2*d",
        verdict=Verdict.INCONCLUSIVE,
        terms=(
            Term(term="n^1.5*d", coefficient=2.0, share_at_largest=0.9),
            Term(term="1", coefficient=3.0, share_at_largest=0.1),
        ),
    )
    np.testing.assert_allclose(fit.predict({"n": [4.0, 9.0], "d": [5.0, 7.0]}), [83.0, 381.0])


def test_predict_without_terms_says_why_not() -> None:
    fit = Fit(group={}, claim="n", verdict=Verdict.INCONCLUSIVE)
    with pytest.raises(ValueError, match="nothing was fitted"):
        fit.predict({"n": [1.0]})


def test_a_fit_is_json_without_nan() -> None:
    fit = Fit(
        group={"implementation": "sdpa"},
        claim="n^2*d",
        verdict=Verdict.REFUTED,
        reasons=("claimed_term_absent",),
        exponents={"n": Interval(estimate=math.nan, low=None, high=math.inf)},
        regimes=(Regime(name="regime 1", start=128, end=512, evidence="few cells"),),
        rms_residual=math.nan,
    )
    document = json.loads(json.dumps(fit.to_dict(), allow_nan=False))
    assert document["exponents"]["n"] == {"estimate": None, "low": None, "high": None}
    assert document["regimes"] == [
        {"name": "regime 1", "from": 128, "to": 512, "evidence": "few cells"}
    ]
    assert document["rms_residual"] is None
