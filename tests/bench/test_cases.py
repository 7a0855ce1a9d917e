"""The grid: sizes as people write them, plans from files, and what narrowing does to them."""

import json
import tomllib
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bench.cases import (
    MAX_SIZE,
    HeadDimWarning,
    Plan,
    PlanError,
    Series,
    load_config,
    load_preset,
    narrow,
    parse_sizes,
    presets,
    read_plan,
)

sizes = st.integers(1, MAX_SIZE)


def a_series(**changes):
    row = {"implementations": ["matmul"], "seq_lens": [5, 7], "d_models": [11], "head_dim": 11}
    return {**row, **changes}


def a_plan(*series, **top):
    return read_plan({"series": list(series) or [a_series()], **top}, "plan.toml")


def refused(source) -> str:
    with pytest.raises(PlanError) as refusal:
        read_plan(source, "plan.toml")
    message = str(refusal.value)
    assert "\n" not in message
    assert message.startswith("plan.toml: ")
    return message


@given(st.lists(sizes, min_size=1))
def test_listed_sizes_come_back_ascending_and_once_each(numbers):
    assert parse_sizes(",".join(map(str, numbers)), "--seq-lens") == tuple(sorted(set(numbers)))


@given(sizes, sizes)
def test_a_range_doubles_from_its_start_and_never_passes_its_end(first, last):
    assume(first <= last)

    found = parse_sizes(f"{first}:{last}", "--seq-lens")

    assert found[0] == first
    assert found[-1] <= last < 2 * found[-1]
    assert all(later == 2 * earlier for earlier, later in pairwise(found))


@given(st.lists(st.tuples(sizes, st.integers(0, 9)), min_size=1, max_size=5))
def test_ranges_and_lists_may_be_mixed(parts):
    ranges = [(first, min(first << doublings, MAX_SIZE)) for first, doublings in parts]
    text = " , ".join(f"{first} : {last}" for first, last in ranges)

    found = parse_sizes(text, "--seq-lens")

    expected = {size for part in ranges for size in parse_sizes(f"{part[0]}:{part[1]}", "x")}
    assert found == tuple(sorted(expected))


def test_the_example_of_the_manual():
    assert parse_sizes("128:8192", "x") == (128, 256, 512, 1024, 2048, 4096, 8192)
    assert parse_sizes("96,192,500", "x") == (96, 192, 500)
    assert parse_sizes("8:20,5", "x") == (5, 8, 16)


@pytest.mark.parametrize(
    "text",
    ["12x", "8:4", "0", "", " ", "1,,2", "4:", ":4", "-3", "1.5", "1e3", "1:2:3", "١٢", "12²"],
)
def test_what_is_no_size_is_refused_with_the_option_and_the_part_named(text):
    with pytest.raises(PlanError, match="--seq-lens: '") as refusal:
        parse_sizes(f"5,{text}" if text.strip() else text, "--seq-lens")
    assert text.strip().split(",")[0] in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("text", [str(MAX_SIZE + 1), f"1:{MAX_SIZE + 1}", "9" * 30, "9" * 5000])
def test_sizes_beyond_any_memory_are_refused(text):
    with pytest.raises(PlanError, match="--d-models: '"):
        parse_sizes(text, "--d-models")


@given(st.text(max_size=12))
def test_any_text_is_either_sizes_or_one_line(text):
    try:
        found = parse_sizes(text, "--seq-lens")
    except PlanError as problem:
        refusal = str(problem)
    else:
        assert found == tuple(sorted(set(found)))
        assert found[0] > 0
        return
    assert refusal.startswith("--seq-lens: ")
    assert len(refusal.splitlines()) == 1


def test_growing_heads_keep_head_dim_and_a_growing_head_keeps_their_number():
    heads = Series(implementations=("x",), seq_lens=(5,), d_models=(22, 33), head_dim=11)
    head = Series(implementations=("x",), seq_lens=(5,), d_models=(22, 33), num_heads=11)

    assert [(c.num_heads, c.head_dim, c.growth) for c in heads.cases()] == [
        (2, 11, "heads"),
        (3, 11, "heads"),
    ]
    assert [(c.num_heads, c.head_dim, c.growth) for c in head.cases()] == [
        (11, 2, "head_dim"),
        (11, 3, "head_dim"),
    ]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, "a plan needs at least one"),
        ({"series": []}, "a plan needs at least one"),
        ({"series": 5}, "a plan needs at least one"),
        ({"series": [5]}, "must be a table, got 5"),
        ({"series": [a_series()], "round": 3}, "unknown field 'round'; there are "),
        ({"series": [a_series()], "rounds": "3"}, "rounds must be int, got '3'"),
        ({"series": [a_series()], "rounds": True}, "rounds must be int, got True"),
        ({"series": [a_series()], "rounds": 0}, "rounds must be positive, got 0"),
        ({"series": [a_series()], "visit_s": -1.0}, "visit_s must be positive, got -1.0"),
        ({"series": [a_series()], "visit_s": float("nan")}, "visit_s must be"),
        ({"series": [a_series()], "call_limit_s": float("inf")}, "call_limit_s must be"),
        ({"series": [a_series()], "threads": "two"}, "threads must be int | None, got 'two'"),
        ({"series": [a_series()], "threads": -1}, "threads must be"),
        ({"series": [a_series()], "specs": "a.py:f"}, "specs must be"),
        ({"series": [a_series()], "specs": 5}, "specs must be"),
        ({"series": [a_series()], "allocator": "odd"}, "allocator must be pinned or default"),
        ({"series": [a_series(heads=2)]}, "unknown field 'heads'; there are "),
        ({"series": [a_series(is_causal=1)]}, "is_causal must be bool, got 1"),
        ({"series": [a_series(head_dim="x")]}, "head_dim must be int, got 'x'"),
        ({"series": [a_series(head_dim=0)]}, "d_model 11 is not a multiple of head_dim 0"),
        ({"series": [a_series(head_dim=7)]}, "d_model 11 is not a multiple of head_dim 7"),
        ({"series": [a_series(num_heads=2)]}, "d_model 11 is not a multiple of num_heads 2"),
        ({"series": [a_series(batch=-1)]}, "batch must not be negative, got -1"),
        ({"series": [a_series(dtype="int8")]}, "dtype must be one of"),
        ({"series": [a_series(**{"pass": "back"})]}, "pass must be one of"),
        ({"series": [a_series(mask="window")]}, "mask must be one of"),
        ({"series": [a_series(seq_lens="12x")]}, "seq_lens: '12x' is not a size"),
        ({"series": [a_series(seq_lens=[])]}, "seq_lens: '' is not a size"),
        ({"series": [a_series(seq_lens=[1.5])]}, "seq_lens: '1.5' is not a size"),
        ({"series": [a_series(seq_lens=12.5)]}, "seq_lens"),
        ({"series": [a_series(implementations="matmul")]}, "must be a list of names"),
        ({"series": [a_series(implementations=[])]}, "must be a list of names"),
        ({"series": [a_series(implementations=5)]}, "must be a list of names"),
        ({"series": [a_series(implementations=[5])]}, "must be a list of names"),
        ({"series": [{"implementations": ["matmul"], "seq_lens": [5]}]}, "d_models is missing"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_with_the_field_named(source, message):
    assert message in refused(source)


def test_a_single_number_is_a_list_of_one_size():
    assert a_plan(a_series(seq_lens=13)).series[0].seq_lens == (13,)


def test_a_plan_survives_being_written_as_json():
    plan = a_plan(
        a_series(is_causal=True, **{"pass": "forward_backward"}),
        a_series(num_heads=11, seq_lens="4:32"),
        rounds=5,
        specs=["kernel.py:f"],
        threads=2,
    )

    assert read_plan(json.loads(json.dumps(plan.to_dict())), "run.json") == plan


def test_every_preset_loads_and_survives_being_written():
    assert {"quick", "full", "cuda", "smoke"} <= set(presets())
    for name in presets():
        plan = load_preset(name)
        assert plan.title
        assert read_plan(json.loads(json.dumps(plan.to_dict())), name) == plan


def test_every_preset_names_implementations_that_exist():
    from implementations.catalogue import catalogue

    for name in presets():
        for series in load_preset(name).series:
            assert set(series.implementations) <= set(catalogue()), name


@pytest.mark.parametrize("preset", ["quick", "full"])
def test_the_presets_that_are_judged_span_five_doublings_in_n_and_in_d(preset):
    for series in load_preset(preset).series:
        for values in (series.seq_lens, series.d_models):
            assert values[-1] >= 2**5 * values[0], series
            assert len(values) >= 6, series


def test_the_quick_preset_has_all_six_cores():
    names = {name for series in load_preset("quick").series for name in series.implementations}

    assert names >= {"loop", "row_loop", "matmul", "sdpa", "query_chunked", "online_softmax"}
    assert load_preset("quick").rounds >= 3


def test_an_unknown_preset_is_answered_with_the_known_ones():
    with pytest.raises(PlanError, match=r"there is no preset 'quik'; there are .*quick"):
        load_preset("quik")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"rounds = ", "not TOML"),
        (b"\xff\xfe", "not TOML"),
        (b"rounds = 3", "needs at least one"),
    ],
)
def test_a_config_that_cannot_be_read_is_named(tmp_path, content, message):
    path = tmp_path / "plan.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(PlanError, match=message) as refusal:
        load_config(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_config_is_read_as_the_presets_are(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text('rounds = 2\n[[series]]\nimplementations = ["sdpa"]\nseq_lens = "4:16"\n')
    with pytest.raises(PlanError, match="d_models is missing"):
        load_config(path)
    path.write_text(path.read_text() + "d_models = [64]\n")

    assert load_config(path) == read_plan(tomllib.loads(path.read_text()), "x")


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


def test_narrowing_keeps_everything_else():
    plan = a_plan(rounds=7, seed=3, precision=0.5, allocator="default")

    found = narrow(plan, seq_lens=(5,))

    assert isinstance(found, Plan)
    assert (found.rounds, found.seed, found.precision, found.allocator) == (7, 3, 0.5, "default")
