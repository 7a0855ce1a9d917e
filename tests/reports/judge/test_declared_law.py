"""Declared laws of sizes that nobody sweeps: constants, and sizes in proportion to one that is."""

import itertools

import pandas as pd
import pytest

from reports.cells.case_columns import SIZES
from reports.judge.declared_law import declared_law
from reports.judge.fit_groups import fit_groups
from reports.judge.result import Verdict
from reports.laws.grammar import parse
from reports.verdicts.exponents import outside_claim

LENGTHS, WIDTHS = (512, 1024, 2048, 4096, 8192), (64, 128, 256, 512, 1024)


def swept(growth="heads", window=None, cost=lambda n, d, h: n * d):
    """Records of self-attention in which heads of one width, or the width of a head, grow."""
    rows = []
    for n, d in itertools.product(LENGTHS, WIDTHS):
        h = d // 64 if growth == "heads" else 1
        sizes = {"seq_len": n, "key_len": n, "d_model": d, "num_heads": h, "head_dim": d // h}
        rows.append({**sizes, "window": window, "growth": growth, "time_s": 1e-9 * cost(n, d, h)})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("declared", "rows", "meant"),
    [
        ("n*d^2/h", swept("heads"), "n*d"),
        ("n*d^2/h", swept("head_dim"), "n*d^2"),
        ("n*m*d", swept(), "n^2*d"),
        ("n*w*d", swept(window=256), "n*d"),
        ("n*w*d", swept(), "n^2*d"),
        ("n^2*d + n*d^2/h", swept("heads"), "n^2*d + n*d"),
    ],
)
def test_a_declared_law_is_one_of_the_sizes_that_were_swept(declared, rows, meant):
    law, columns = declared_law(rows, declared, SIZES)

    assert law == meant
    assert set(columns) == {"n", "d"}


def test_a_size_that_moves_for_itself_stays():
    rows = pd.concat([swept(window=64), swept(window=256)])

    law, _ = declared_law(rows, "n*w*d", SIZES)

    assert law == "n*d*w"


@pytest.mark.parametrize("growth", ["heads", "head_dim"])
def test_a_cost_of_heads_is_judged_however_the_width_grows(growth):
    rows = swept(growth, cost=lambda n, d, h: n * d**2 / h)

    (right,) = fit_groups(rows.assign(claim="n*d^2/h"), by=["claim"])
    (wrong,) = fit_groups(rows.assign(claim="n^2*d"), by=["claim"])

    assert (right.verdict, right.claim) == (Verdict.CONFIRMED, "n*d^2/h")
    assert wrong.verdict is Verdict.REFUTED


def test_a_claim_in_keys_is_shown_as_it_is_and_judged_in_the_size_that_was_swept():
    rows = swept(cost=lambda n, d, _: n**1.5 * d).assign(query_len=1, schema=2)

    (declared,) = fit_groups(rows.assign(claim="m*d"), by=["claim"])
    (asked,) = fit_groups(rows, by=["growth"], claim="m*d")

    for found in (declared, asked):
        assert found.verdict is Verdict.REFUTED
        assert (parse(found.claim), found.law) == (parse("m*d"), "n*d")
        assert {**found.sizes} == SIZES
        assert outside_claim(found) == ["the exponent of n lies above the claimed 1"]
