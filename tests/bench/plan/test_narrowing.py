"""What the command line asks for, put in place of what a plan says itself."""

import pytest

from bench.plan.plan import Plan, PlanError, load_preset, read_plan
from bench.plan.request import HeadDimWarning, narrow


def a_series(**changes):
    row = {"implementations": ["matmul"], "seq_lens": [5, 7], "d_models": [11], "head_dim": 11}
    return {**row, **changes}


def a_plan(*series, **top):
    return read_plan({"series": list(series) or [a_series()], **top}, "plan.toml")


def test_narrowing_by_name_keeps_the_series_that_have_it():
    plan = a_plan(
        a_series(implementations=["matmul", "sdpa"]),
        a_series(implementations=["row_loop"]),
        a_series(implementations=["sdpa"], dtype="bfloat16"),
    )

    found = narrow(plan, names=["sdpa"])

    assert [(s.implementations, s.dtype) for s in found.series] == [
        (("sdpa",), "float32"),
        (("sdpa",), "bfloat16"),
    ]


def test_a_name_that_the_plan_lacks_and_a_kernel_of_ones_own_join_the_first_series():
    plan = a_plan(a_series(), a_series(implementations=["sdpa"], dtype="bfloat16"))

    found = narrow(plan, names=["row_loop"], specs=[("mine", "mine=kernel.py:f")])

    assert [s.implementations for s in found.series] == [("row_loop", "mine")]
    assert found.specs == ("mine=kernel.py:f",)


def test_naming_only_kernels_of_ones_own_keeps_the_plan():
    plan = a_plan(a_series(), a_series(implementations=["sdpa"], dtype="bfloat16"))

    found = narrow(plan, specs=[("mine", "kernel.py:mine")])

    assert [s.implementations for s in found.series] == [("matmul", "mine"), ("sdpa",)]


def test_kernels_that_a_config_brings_stay_when_it_is_narrowed():
    plan = a_plan(a_series(implementations=["theirs"]), specs=["kernel.py:theirs"])

    assert narrow(plan).specs == ("kernel.py:theirs",)
    more = narrow(plan, specs=[("mine", "kernel.py:mine")])
    assert more.specs == ("kernel.py:theirs", "kernel.py:mine")


def test_flags_replace_what_every_series_says():
    plan = a_plan(a_series(), a_series(num_heads=1))

    found = narrow(
        plan,
        seq_lens=(13,),
        d_models=(22,),
        dtype="float64",
        device="cuda",
        pass_="forward_backward",
    )

    for series in found.series:
        assert (series.seq_lens, series.d_models) == ((13,), (22,))
        assert (series.dtype, series.device, series.pass_) == (
            "float64",
            "cuda",
            "forward_backward",
        )


def test_a_series_is_open_ended_only_as_long_as_nobody_names_sizes():
    plan = a_plan(a_series(open_ended=True))

    assert narrow(plan, dtype="float64").series[0].open_ended
    for sizes in ({"seq_lens": (13,)}, {"d_models": (22,)}):
        assert not narrow(plan, **sizes).series[0].open_ended


def test_series_that_differ_in_nothing_else_become_one():
    plan = a_plan(
        a_series(), a_series(implementations=["matmul", "sdpa"], seq_lens=[3]), a_series(batch=2)
    )

    found = narrow(plan, seq_lens=(13,))

    assert [s.implementations for s in found.series] == [("matmul", "sdpa"), ("matmul",)]


def test_widths_below_one_head_make_the_head_smaller():
    plan = load_preset("smoke")

    with pytest.warns(HeadDimWarning, match="head_dim is 16, the smallest width, instead of 64"):
        found = narrow(plan, names=["sdpa"], d_models=(16, 32))

    assert found.series[0].head_dim == 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtype": "int8"}, "dtype must be one of"),
        ({"pass_": "sideways"}, "pass must be one of"),
        ({"d_models": (22, 100)}, "d_model 100 is not a multiple of head_dim 11"),
    ],
)
def test_narrowing_to_what_cannot_be_is_refused_in_one_line(changes, message):
    with pytest.raises(PlanError, match=message) as refusal:
        narrow(a_plan(), **changes)
    assert str(refusal.value).startswith("the command line: ")


def test_settings_replace_fields_of_the_plan_and_are_checked():
    found = narrow(a_plan(rounds=7), settings={"allocator": "default", "time_budget_s": 90.0})

    assert (found.rounds, found.allocator, found.time_budget_s) == (7, "default", 90.0)
    with pytest.raises(PlanError, match="the command line: allocator must be pinned or default"):
        narrow(a_plan(), settings={"allocator": "jemalloc"})


def test_narrowing_keeps_everything_else():
    plan = a_plan(rounds=7, seed=3, precision=0.5, allocator="default")

    found = narrow(plan, seq_lens=(5,))

    assert isinstance(found, Plan)
    assert (found.rounds, found.seed, found.precision, found.allocator) == (7, 3, 0.5, "default")


def test_a_kernel_of_ones_own_joins_every_series_that_the_first_implementations_have():
    plan = narrow(load_preset("quick"), specs=[("mine", "mine.py:mine")])

    cases = [case for one in plan.series if "mine" in one.implementations for case in one.cases()]
    assert len({case.seq_len for case in cases}) >= 8
    assert len({case.d_model for case in cases}) >= 5
