"""What the command line asks for, as a plan and a directory."""

import json
from dataclasses import replace

import pytest
import torch

from bench.plan.arguments import check_device
from bench.plan.plan import PlanError, load_preset
from bench.plan.request import Request
from bench.records import RECORDS_FILE, RUN_FILE, RunError
from implementations.catalogue import load
from implementations.naming import CatalogueError


def refused(kind: type[Exception], **options) -> str:
    with pytest.raises(kind) as refusal:
        Request(**options).plan(load)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_nothing_asked_for_is_the_quick_preset():
    request = Request()

    assert request.name == "quick"
    assert request.plan(load) == load_preset("quick")
    assert request.folder.parts[0] == "results"
    assert request.folder.name.endswith("-quick")


def test_options_narrow_the_preset():
    plan = Request(
        names=["sdpa"],
        preset="smoke",
        seq_lens="16:64",
        d_models="64",
        dtype="float64",
        pass_="forward_backward",
    ).plan(load)

    (series,) = plan.series
    assert series.implementations == ("sdpa",)
    assert (series.seq_lens, series.d_models) == ((16, 32, 64), (64,))
    assert (series.dtype, series.pass_) == ("float64", "forward_backward")


def test_what_is_said_of_the_measuring_itself_goes_into_the_plan():
    base = load_preset("smoke")

    plan = Request(preset="smoke", allocator="default", precision=0.07, energy=True).plan(load)

    assert plan == replace(base, allocator="default", precision=0.07, energy=True)
    assert Request(preset="smoke").plan(load) == base


def test_time_alone_is_used_up_and_a_precision_may_end_it_earlier():
    base = load_preset("quick")

    alone = Request(time_budget="5min").plan(load)
    both = Request(time_budget="5min", precision=0.07).plan(load)

    assert alone == replace(base, time_budget_s=300.0, precision=None)
    assert both == replace(base, time_budget_s=300.0, precision=0.07)


def test_sizes_that_are_named_are_not_skipped_for_the_limit_of_the_preset():
    base = load_preset("quick")

    named = Request(seq_lens="512:4096", d_models="512").plan(load)
    few = Request(names=["sdpa", "matmul"], seq_lens="4096,8192", d_models="512").plan(load)
    one = Request(seq_lens="4096", d_models="512", time_budget="3min").plan(load)

    assert base.call_limit_s == 0.1
    assert named.call_limit_s == pytest.approx(base.time_budget_s / 100)
    assert few.call_limit_s == pytest.approx(base.time_budget_s / (9 * 2 * 2))
    assert one.call_limit_s == 180.0


def test_a_limit_that_somebody_set_stays(write):
    text = 'call_limit_s = 0.3\n[[series]]\nimplementations = ["sdpa"]\nseq_lens = [5]\n'
    plan = write("plan.toml", f"{text}d_models = [64]")

    assert Request(config=plan, seq_lens="7", d_models="64").plan(load).call_limit_s == 0.3
    assert Request(seq_lens="7", d_models="64", call_limit="2s").plan(load).call_limit_s == 2.0
    assert Request(call_limit="0.5").plan(load) == replace(load_preset("quick"), call_limit_s=0.5)
    assert "--call-limit: expected at least 0.001s, got 0s" in refused(PlanError, call_limit="0s")
    assert "--call-limit: 'long' is no duration" in refused(PlanError, call_limit="long")


def test_threads_are_a_number_or_all(monkeypatch):
    monkeypatch.setattr("bench.plan.request.usable_cores", lambda: 4)

    found = [Request(preset="quick", threads=text).plan(load).threads for text in ("1", "4", "all")]

    assert found == [1, 4, None]
    for wrong in ("0", "5", "-1", "two", "2.0", ""):
        message = refused(PlanError, preset="quick", threads=wrong)
        assert "--threads: expected all, or 1 to 4" in message
        assert repr(wrong) in message


def test_kernels_of_ones_own_join_the_plan_by_their_names(write):
    path = write("own.py", "def mine(query, key, value): return value")

    plan = Request(preset="smoke", specs=[f"{path}:mine", f"other={path}:mine"]).plan(load)

    assert plan.series[0].implementations[-2:] == ("mine", "other")
    assert plan.specs == (f"{path}:mine", f"other={path}:mine")


def test_a_config_takes_the_place_of_the_preset(write):
    path = write(
        "plan.toml",
        """
        rounds = 2
        [[series]]
        implementations = ["matmul"]
        seq_lens = [5, 7]
        d_models = [11]
        head_dim = 11
        """,
    )
    request = Request(config=path)

    assert request.name is None
    assert request.folder.name.endswith("-plan")
    assert request.plan(load).rounds == 2


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (PlanError, {"preset": "quik"}, "there is no preset 'quik'"),
        (PlanError, {"preset": "quick", "config": "x.toml"}, "exclude each other; give one"),
        (PlanError, {"resume": True}, "--resume needs --out"),
        (PlanError, {"against": "main"}, "--against needs --impl, your kernel in a git repository"),
        (PlanError, {"seq_lens": "12x"}, "--seq-lens: '12x' is not a size"),
        (PlanError, {"d_models": "8:4"}, "--d-models: '8:4' must lie"),
        (PlanError, {"dtype": "int8"}, "dtype must be one of"),
        (PlanError, {"pass_": "both"}, "pass must be one of"),
        (PlanError, {"device": "tpu"}, "--device: expected cpu or cuda, got 'tpu'"),
        (PlanError, {"device": "meta"}, "--device: expected cpu or cuda, got 'meta'"),
        (PlanError, {"allocator": "jemalloc"}, "allocator must be pinned or default, got 'jem"),
        *(
            (PlanError, {"precision": half_width}, "--precision: expected between 0 and 1, such as")
            for half_width in (0.0, 1.0, -0.1, float("nan"), float("inf"))
        ),
        (PlanError, {"time_budget": "soon"}, "--time-budget: 'soon' is no duration; durations"),
        (PlanError, {"time_budget": "9s"}, "--time-budget: expected at least 10s, got 9s"),
        (CatalogueError, {"names": ["flashy"]}, "no implementation is called 'flashy'"),
        (CatalogueError, {"specs": ["nosuch.py:f"]}, "there is no file nosuch.py"),
    ],
)
def test_a_wrong_request_is_one_line_that_names_it(kind, options, message):
    assert message in refused(kind, **options)


def test_cuda_where_there_is_none_is_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    assert "torch sees no CUDA device here; use --device cpu" in refused(PlanError, device="cuda")
    assert "--device cuda:0: torch sees no CUDA" in refused(PlanError, device="cuda:0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert check_device("cuda") == "cuda"


def test_the_processor_has_no_number_and_a_gpu_one_that_there_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    assert [check_device(one) for one in ("cpu:0", "cuda:1")] == ["cpu", "cuda:1"]
    assert "--device cuda:2: expected an index below 2, got 2" in refused(
        PlanError, device="cuda:2"
    )


def test_resuming_without_options_takes_the_plan_of_the_run(tmp_path):
    plan = load_preset("smoke")
    (tmp_path / RUN_FILE).write_text(json.dumps({"config": plan.to_dict()}))

    request = Request(out=tmp_path, resume=True)

    assert request.plan(load) == plan
    assert request.folder == tmp_path
    assert request.name is None


def test_resuming_may_bring_more_time_or_another_precision_and_is_refused_rubbish(tmp_path):
    plan = load_preset("quick")
    (tmp_path / RUN_FILE).write_text(json.dumps({"config": plan.to_dict()}))
    resumed = {"out": tmp_path, "resume": True}

    assert Request(**resumed, time_budget="90s").plan(load) == replace(
        plan, time_budget_s=90.0, precision=None
    )
    assert Request(**resumed, precision=0.01).plan(load) == replace(plan, precision=0.01)
    assert "is no duration" in refused(PlanError, **resumed, time_budget="x")


@pytest.mark.parametrize("options", [{}, {"preset": "smoke"}, {"time_budget": "90s"}])
def test_resuming_a_directory_without_a_run_is_one_line(tmp_path, options):
    whys = {tmp_path: "it has no run.json", tmp_path / "nothing": "there is no such directory"}
    for out, why in whys.items():
        message = refused(RunError, out=out, resume=True, **options)
        assert message == (
            f"{out} holds no run to resume, since {why}; leave --resume out to begin one"
        )
    assert not (tmp_path / "nothing").exists()


def test_a_directory_that_cannot_take_a_new_run_is_refused_before_anything_is_imported(tmp_path):
    (tmp_path / RUN_FILE).write_text("{}")
    held = tmp_path / RUN_FILE / "below"

    for out, why in ((tmp_path, "already holds a run"), (held, "Not a directory")):
        with pytest.raises(RunError, match=why):
            Request(out=out)


def test_a_name_in_a_plan_of_ones_own_is_looked_for_before_anything_is_imported(write):
    path = write(
        "plan.toml",
        """
        [[series]]
        implementations = ["sdap"]
        seq_lens = [5]
        d_models = [64]
        """,
    )

    with pytest.raises(CatalogueError, match="no implementation is called 'sdap'; did you mean"):
        Request(config=path)


def test_resuming_a_part_of_a_run_is_one_line(tmp_path):
    (tmp_path / RECORDS_FILE).touch()
    assert "has no run.json; it is not a run" in refused(RunError, out=tmp_path, resume=True)
    (tmp_path / RUN_FILE).write_text("{}")
    assert "a plan needs at least one" in refused(PlanError, out=tmp_path, resume=True)
