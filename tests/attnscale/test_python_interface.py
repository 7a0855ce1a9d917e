"""The Python interface: fit, verify, sweep and load."""

from typing import Any

import pandas as pd
import pytest

import attnscale
from bench.checks import gate, situations
from bench.checks.situation import CheckCase
from bench.checks.situations import check_cases
from bench.plan.plan import Plan, PlanError, Series
from bench.records import RunError
from implementations.attention.matmul import matmul
from implementations.catalogue import suite
from implementations.naming import CatalogueError
from implementations.specs import from_function, in_layout

CHECKED = ("plain", "more_keys", "causal", "three_dimensions")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four situations in place of all."""

    def chosen(*dtypes: Any, **options: Any) -> list[CheckCase]:
        return [one for one in check_cases(*dtypes, **options) if one.name in CHECKED]

    monkeypatch.setattr(situations, "check_cases", chosen)
    monkeypatch.setattr(gate, "check_cases", chosen)


def heads_third(query, key, value):
    return matmul(*(t.transpose(1, 2) for t in (query, key, value))).transpose(1, 2)


def test_verify_takes_a_function_an_implementation_or_a_name():
    for subject in (matmul, suite()["matmul"], "matmul"):
        results = attnscale.verify(subject, dtypes=["float32"])
        assert {result.status for result in results} == {"pass"}
        assert {result.implementation for result in results} == {"matmul"}


def test_verify_finds_what_is_wrong():
    results = attnscale.verify(
        lambda query, key, value: matmul(query, key, value, scale=1.0), dtypes=["float32"]
    )

    assert {result.status for result in results} >= {"fail", "unsupported"}


def test_verify_of_the_forward_pass_asks_for_no_gradients():
    def detached(query, key, value):
        return matmul(query, key, value).detach()

    forward = attnscale.verify(detached, dtypes=["float32"], passes=["forward"])

    assert "fail" not in {result.status for result in forward}
    assert any(result.bad for result in attnscale.verify(detached, dtypes=["float32"]))


def test_verify_takes_kernels_of_another_layout():
    right = attnscale.verify(heads_third, dtypes=["float32"], layout="bshd")

    assert {result.status for result in right} == {"pass", "unsupported"}
    assert any(result.bad for result in attnscale.verify(heads_third, dtypes=["float32"]))


def test_verify_takes_an_implementation_that_says_its_layout_itself():
    adapted = in_layout(from_function(heads_third), "bshd")

    results = attnscale.verify(adapted, dtypes=["float32"])

    assert not any(result.bad for result in results)


def test_what_an_undeclared_kernel_refuses_is_unsupported():
    def four(query, key, value):
        assert query.dim() == 4, "four dimensions"
        return matmul(query, key, value)

    results = attnscale.verify(four, dtypes=["float32"])

    assert not any(result.bad for result in results)
    reasons = {result.reason for result in results if result.case.name == "three_dimensions"}
    assert reasons == {"four refuses 3 dimensions: raised AssertionError: four dimensions"}


def test_a_dtype_that_an_undeclared_kernel_refuses_is_unsupported_though_no_other_was_asked_for():
    def half_only(query, key, value):
        if query.element_size() > 2:
            raise RuntimeError("only half precision")
        return matmul(query, key, value)

    results = attnscale.verify(half_only, dtypes=["float32"])

    assert {result.status for result in results} == {"unsupported"}
    assert {result.case.case.dtype for result in results} == {"float32"}
    reasons = {result.reason for result in results if result.case.name == "plain"}
    assert reasons == {"half_only refuses float32: raised RuntimeError: only half precision"}


def test_verify_of_an_unknown_name_is_a_value_error():
    with pytest.raises(CatalogueError, match="no implementation is called 'flashy'"):
        attnscale.verify("flashy")
    with pytest.raises(ValueError, match="dtype must be one of"):
        attnscale.verify(matmul, dtypes=["int8"])


def test_sweep_measures_a_plan_and_gives_the_run(tmp_path, direct_workers):
    series = Series(implementations=("matmul",), seq_lens=(5, 7), d_models=(11,), head_dim=11)
    plan = Plan(series=(series,), rounds=1, turn_s=1e-9, threads=1)

    run = attnscale.sweep(plan, tmp_path / "run")

    assert [record.status for record in run.records] == ["measured"] * 2
    assert attnscale.load(tmp_path / "run").records == run.records
    again = attnscale.sweep(plan, tmp_path / "run", resume=True)
    assert again.records == run.records


def test_sweep_of_an_unknown_preset_is_a_value_error(tmp_path):
    with pytest.raises(PlanError, match="there is no preset 'quik'"):
        attnscale.sweep("quik", tmp_path)


def test_load_of_nothing_is_a_value_error(tmp_path):
    with pytest.raises(RunError, match="is not a run directory"):
        attnscale.load(tmp_path / "nothing")


def test_fit_judges_a_table():
    sizes = [(n, d) for n in (64, 128, 256, 512, 1024, 2048) for d in (32, 64, 128, 256, 512)]
    table = pd.DataFrame(sizes, columns=["length", "width"])
    table["seconds"] = 1e-9 * table.length**2 * table.width + 1e-6

    found = attnscale.fit(table, sizes={"n": "length", "d": "width"}, value="seconds")

    assert found.verdict == "confirmed"
    assert found.to_dict()["claim"] == "n^2*d"


def test_a_path_in_place_of_a_table_is_one_line_that_says_what_to_do():
    with pytest.raises(TypeError, match="expected a pandas DataFrame, got str; read a file with"):
        attnscale.fit("times.csv")
