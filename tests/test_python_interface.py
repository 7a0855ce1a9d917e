"""The Python interface: fit, verify, sweep and load."""

import pandas as pd
import pytest

import attnscale
from bench.cases import Plan, PlanError, Series
from bench.records import RunError
from implementations.attention.matmul import matmul
from implementations.catalogue import CatalogueError, catalogue


def test_verify_takes_a_function_an_implementation_or_a_name():
    for subject in (matmul, catalogue()["matmul"], "matmul"):
        results = attnscale.verify(subject, dtypes=["float32"])
        assert {result.status for result in results} == {"pass"}
        assert {result.implementation for result in results} == {"matmul"}


def test_verify_finds_what_is_wrong():
    results = attnscale.verify(
        lambda query, key, value: matmul(query, key, value, scale=1.0), dtypes=["float32"]
    )

    assert {result.status for result in results} >= {"fail", "unsupported"}


def test_verify_of_an_unknown_name_is_a_value_error():
    with pytest.raises(CatalogueError, match="no implementation is called 'flashy'"):
        attnscale.verify("flashy")
    with pytest.raises(ValueError, match="dtype must be one of"):
        attnscale.verify(matmul, dtypes=["int8"])


def test_sweep_measures_a_plan_and_gives_the_run(tmp_path, direct_workers):
    series = Series(implementations=("matmul",), seq_lens=(5, 7), d_models=(11,), head_dim=11)
    plan = Plan(series=(series,), rounds=1, visit_s=1e-4, min_samples=2, threads=1)

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
