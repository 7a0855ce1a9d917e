"""A run's directory: fresh, resumed, or refused with what differs."""

import json
from dataclasses import replace

import pytest

from bench.machine import environment
from bench.plan.plan import Plan, PlanError, Series
from bench.plan.run_directory import LONGEST_VALUE, check_machine, prepare, resumable_plan
from bench.records import RECORDS_FILE, RUN_FILE, RunError, read_info

SERIES = Series(implementations=("matmul", "sdpa"), seq_lens=(5, 7), d_models=(11,), head_dim=11)
PLAN = Plan(series=(SERIES, replace(SERIES, dtype="float64")), rounds=3, threads=3, seed=2)


@pytest.fixture(autouse=True)
def no_checkout(monkeypatch):
    monkeypatch.setattr(environment, "git_state", lambda folder: None)


@pytest.fixture
def folder(tmp_path):
    begun = tmp_path / "run"
    prepare(PLAN, begun, resume=False, preset="tiny")
    return begun


def refused(folder, plan: Plan) -> str:
    before = (folder / RUN_FILE).read_bytes()
    with pytest.raises(PlanError) as refusal:
        prepare(plan, folder, resume=True, preset=None)
    message = str(refusal.value)
    assert "\n" not in message
    assert message.startswith(f"{folder} was made with other settings: ")
    assert message.endswith("; resume it without naming any, or choose another --out")
    assert (folder / RUN_FILE).read_bytes() == before
    return message.removeprefix(f"{folder} was made with other settings: ").rpartition(";")[0]


def changed(position: int, **changes) -> Plan:
    series = list(PLAN.series)
    series[position] = replace(series[position], **changes)
    return replace(PLAN, series=tuple(series))


def test_a_fresh_directory_holds_the_plan_before_anything_is_measured(folder):
    info = read_info(folder)

    assert (info["preset"], info["seed"], info["allocator"]) == ("tiny", 2, "pinned")
    assert resumable_plan(folder) == PLAN
    assert not (folder / RECORDS_FILE).exists()


@pytest.mark.parametrize("file", [RUN_FILE, RECORDS_FILE])
def test_what_holds_a_part_of_a_run_holds_a_run(tmp_path, file):
    (tmp_path / file).touch()

    with pytest.raises(RunError, match="already holds a run; add --resume, or choose another"):
        prepare(PLAN, tmp_path, resume=False, preset=None)


def test_the_same_plan_is_resumed_and_what_was_known_is_kept(folder):
    before = read_info(folder)

    assert json.loads(json.dumps(prepare(PLAN, folder, resume=True, preset=None))) == before


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"rounds": 7}, "rounds 3 there, 7 asked for"),
        ({"allocator": "default"}, "allocator pinned there, default asked for"),
        ({"threads": None}, "threads 3 there, None asked for"),
        ({"rounds": 7, "seed": 0}, "rounds 3 there, 7 asked for; seed 2 there, 0 asked for"),
    ],
)
def test_what_differs_is_said_with_both_values(folder, changes, shown):
    assert refused(folder, replace(PLAN, **changes)) == shown


@pytest.mark.parametrize(
    ("position", "changes", "shown"),
    [
        (0, {"seq_lens": (5, 11)}, "series 1: seq_lens 5,7 there, 5,11 asked for"),
        (1, {"dtype": "float16"}, "series 2: dtype float64 there, float16 asked for"),
        (
            1,
            {"is_causal": True, "batch": 2},
            "series 2: batch 1 there, 2 asked for; series 2: is_causal False there, True asked for",
        ),
        (
            0,
            {"implementations": ("sdpa", "matmul")},
            "series 1: implementations matmul,sdpa there, sdpa,matmul asked for",
        ),
    ],
)
def test_what_differs_in_a_series_is_said_with_its_number(folder, position, changes, shown):
    assert refused(folder, changed(position, **changes)) == shown


def test_another_number_of_series_is_refused_in_one_line(folder):
    assert refused(folder, replace(PLAN, series=PLAN.series[:1])) == "series 2 there, 1 asked for"


def test_of_many_differences_the_first_are_told(folder):
    shown = refused(folder, changed(1, batch=2, dtype="float16", mask="float", head_dim=1))

    assert shown.startswith("series 2: head_dim 11 there, 1 asked for; series 2: batch 1 there")
    assert shown.endswith("; …")
    assert shown.count("asked for") == 3


def test_long_values_are_cut(folder):
    shown = refused(folder, changed(0, seq_lens=tuple(range(1, 500))))

    assert "…" in shown
    assert len(shown) < 3 * LONGEST_VALUE


@pytest.mark.parametrize(("before", "now"), [(0.03, None), (None, 0.03), (0.03, 0.01)])
def test_time_and_precision_may_be_others_and_are_what_counts_from_then_on(tmp_path, before, now):
    prepare(replace(PLAN, precision=before), tmp_path, resume=False, preset=None)
    longer = replace(PLAN, time_budget_s=300.0, precision=now, call_limit_s=7.0)

    info = prepare(longer, tmp_path, resume=True, preset=None)

    assert (info["config"]["time_budget_s"], info["config"]["precision"]) == (300.0, now)
    assert info["created"] == read_info(tmp_path)["created"]
    assert refused(tmp_path, replace(longer, seed=5)) == "seed 2 there, 5 asked for"


def test_a_plan_that_a_later_version_wrote_is_one_line(folder):
    info = read_info(folder)
    info["config"]["colour"] = "blue"
    (folder / RUN_FILE).write_text(json.dumps(info))

    with pytest.raises(PlanError, match="unknown field 'colour'") as refusal:
        prepare(PLAN, folder, resume=True, preset=None)
    assert "\n" not in str(refusal.value)


def test_records_without_a_run_json_are_not_continued(tmp_path):
    (tmp_path / RECORDS_FILE).touch()

    with pytest.raises(RunError, match=r"has no run\.json; it is not a run"):
        prepare(PLAN, tmp_path, resume=True, preset=None)


def test_the_same_machine_may_go_on_and_another_may_not(tmp_path):
    cpu = environment.describe_machine()["cpu"]
    torch = environment.versions()["torch"]
    info = {"machine": {"cpu": cpu, "gpu": "G"}, "threads": 3, "versions": {"torch": torch}}

    check_machine(info, gpu="G", threads=3, folder=tmp_path)
    with pytest.raises(PlanError, match="measured with gpu G, here it is None; choose another"):
        check_machine(info, gpu=None, threads=3, folder=tmp_path)
    with pytest.raises(PlanError, match="measured with threads 3, here it is 5; choose another"):
        check_machine(info, gpu="G", threads=5, folder=tmp_path)
