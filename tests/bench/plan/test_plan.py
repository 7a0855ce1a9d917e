"""The grid: plans from presets and files, and one line for each that does not fit."""

import json
import tomllib
from collections import defaultdict

import pytest

from bench.plan.plan import PlanError, Series, load_config, load_preset, presets, read_plan


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


def test_queries_of_a_number_meet_keys_that_grow():
    series = Series(
        implementations=("x",), seq_lens=(5, 7), d_models=(22,), head_dim=11, query_len=3
    )

    assert [(c.seq_len, c.key_len) for c in series.cases()] == [(3, 5), (3, 7)]


@pytest.mark.parametrize(
    ("kv_heads", "expected"), [("h", [6, 12]), ("h/3", [2, 4]), ("2", [2, 2]), ("1", [1, 1])]
)
def test_heads_of_keys_grow_with_those_of_queries_or_are_a_number(kv_heads, expected):
    series = Series(
        implementations=("x",), seq_lens=(5,), d_models=(66, 132), head_dim=11, kv_heads=kv_heads
    )

    assert [c.kv_heads for c in series.cases()] == expected


def test_a_plan_reads_windows_and_heads_of_keys():
    (series,) = a_plan(a_series(window=3, kv_heads=1, d_models=[33])).series

    assert (series.window, series.kv_heads) == (3, "1")
    assert [(c.window, c.kv_heads) for c in series.cases()] == [(3, 1), (3, 1)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"query_len": 6}, "query_len must lie from 1 to the shortest of seq_lens, 5, got 6"),
        ({"query_len": 0}, "query_len must lie from 1 to the shortest of seq_lens, 5, got 0"),
        ({"query_len": 1, "is_causal": True}, "query_len and is_causal exclude each other"),
        ({"query_len": 1, "window": 3}, "query_len and window exclude each other"),
        ({"window": 0}, "window must be at least 1, got 0"),
        ({"window": 3, "mask": "boolean"}, "window and mask 'boolean' exclude each other"),
        ({"kv_heads": "h/2"}, "kv_heads h/2 does not divide 1 heads"),
        ({"kv_heads": "some"}, "kv_heads must be a number such as 1, or h/4, got 'some'"),
        ({"kv_heads": 0}, "kv_heads must be a number such as 1, or h/4, got '0'"),
    ],
)
def test_lengths_windows_and_heads_that_do_not_fit_are_refused(changes, message):
    assert message in refused({"series": [a_series(**changes)]})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, "a plan needs at least one"),
        ({"series": []}, "a plan needs at least one"),
        ({"series": 5}, "a plan needs at least one"),
        ({"series": [5]}, "must be a table, got 5"),
        ({"series": [a_series()], "round": 3}, "unknown field 'round'; there are "),
        ({"series": [a_series()], "rounds": "3"}, "rounds must be int | None, got '3'"),
        ({"series": [a_series()], "rounds": True}, "rounds must be int | None, got True"),
        ({"series": [a_series()], "rounds": 0}, "rounds must be positive, got 0"),
        ({"series": [a_series()], "turn_s": -1.0}, "turn_s must be positive, got -1.0"),
        ({"series": [a_series()], "turn_s": float("nan")}, "turn_s must be"),
        ({"series": [a_series()], "precision": 0}, "precision must be positive, got 0"),
        ({"series": [a_series()], "visit_s": 0.2}, "unknown field 'visit_s'; there are "),
        ({"series": [a_series()], "call_limit_s": float("inf")}, "call_limit_s must be"),
        ({"series": [a_series()], "threads": "two"}, "threads must be int | None, got 'two'"),
        ({"series": [a_series()], "threads": -1}, "threads must be"),
        ({"series": [a_series()], "specs": "a.py:f"}, "specs must be"),
        ({"series": [a_series()], "specs": 5}, "specs must be"),
        ({"series": [a_series()], "allocator": "odd"}, "allocator must be pinned or default"),
        ({"series": [a_series()], "time_budget_s": 9.9}, "time_budget_s must be at least 10, got"),
        ({"series": [a_series()], "time_budget_s": float("inf")}, "time_budget_s must be"),
        ({"series": [a_series()], "time_budget_s": float("nan")}, "time_budget_s must be"),
        (
            {"series": [a_series()], "time_budget_s": "90s"},
            "time_budget_s must be float, got '90s'",
        ),
        ({"series": [a_series()], "energy": 1}, "energy must be bool, got 1"),
        ({"series": [a_series(heads=2)]}, "unknown field 'heads'; there are "),
        ({"series": [a_series(is_causal=1)]}, "is_causal must be bool, got 1"),
        ({"series": [a_series(open_ended=1)]}, "open_ended must be bool, got 1"),
        ({"series": [a_series(is_causal=True, mask="float")]}, "exclude each other"),
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
        a_series(num_heads=11, seq_lens="4:32/2", open_ended=True),
        rounds=5,
        turn_s=7.0,
        precision=0.03,
        specs=["kernel.py:f"],
        threads=2,
        time_budget_s=90,
        energy=True,
    )

    assert read_plan(json.loads(json.dumps(plan.to_dict())), "run.json") == plan


def test_every_preset_loads_and_survives_being_written():
    assert {"quick", "full", "cuda", "smoke"} <= set(presets())
    for name in presets():
        plan = load_preset(name)
        assert plan.title
        assert read_plan(json.loads(json.dumps(plan.to_dict())), name) == plan


def test_every_preset_names_implementations_that_exist():
    from implementations.catalogue import suite

    for name in presets():
        for series in load_preset(name).series:
            assert set(series.implementations) <= set(suite()), name


@pytest.mark.parametrize("preset", ["quick", "full"])
def test_what_is_judged_spans_four_doublings_in_n_and_in_d_and_has_two_dozen_cells(preset):
    points = defaultdict(set)
    for series in load_preset(preset).series:
        for case in series.cases():
            for name in series.implementations:
                condition = (name, case.dtype, case.pass_, case.is_causal, case.growth)
                points[condition].add((case.seq_len, case.d_model))

    for condition, cells in points.items():
        assert len(cells) >= 24, condition
        for sizes in zip(*cells, strict=True):
            assert max(sizes) >= 2**4 * min(sizes), condition


def test_the_quick_preset_has_all_six_cores_and_ends_when_exponents_are_known():
    plan = load_preset("quick")
    names = {name for series in plan.series for name in series.implementations}

    assert names >= {"loop", "row_loop", "matmul", "sdpa", "query_chunked", "online_softmax"}
    assert (plan.precision, plan.rounds) == (0.03, None)
    assert plan.time_budget_s <= 300


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
