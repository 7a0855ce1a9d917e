"""Sizes and durations as people write them on the command line and in plans."""

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bench.plan.plan import MAX_SIZE, SHORTEST_BUDGET_S, PlanError, parse_duration, parse_sizes

sizes = st.integers(1, MAX_SIZE)


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


@given(sizes, sizes)
def test_a_range_by_half_octaves_has_one_size_more_between_two_where_it_is_whole(first, last):
    assume(first <= last)
    doubling = parse_sizes(f"{first}:{last}", "--seq-lens")

    found = parse_sizes(f"{first}:{last}/2", "--seq-lens")

    between = {3 * size // 2 for size in doubling if size % 2 == 0 and 3 * size <= 2 * last}
    assert found == tuple(sorted({*doubling, *between}))


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
    assert parse_sizes("192,256:1024/2", "x") == (192, 256, 384, 512, 768, 1024)
    assert parse_sizes("5 : 20 / 2", "x") == (5, 10, 15, 20)


@pytest.mark.parametrize(
    "text",
    [
        "12x",
        "8:4",
        "0",
        "",
        " ",
        "1,,2",
        "4:",
        ":4",
        "-3",
        "1.5",
        "1e3",
        "1:2:3",
        "١٢",
        "12²",
        "8/2",
        "4:8/3",
    ],
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


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90.0),
        ("90", 90.0),
        ("5min", 300.0),
        ("5m", 300.0),
        ("1.5h", 5400.0),
        (" 0.5 min ", 30.0),
        ("10s", 10.0),
    ],
)
def test_durations_are_numbers_with_a_unit(text, seconds):
    assert parse_duration(text, "--time-budget") == seconds


@pytest.mark.parametrize(
    "text",
    ["", " ", "s", "five", "-90s", "90 days", "1e3", "1:30", "٩٠s", "90ss", "1.s", "inf", "nan"],
)
def test_what_is_no_duration_is_refused_with_examples(text):
    with pytest.raises(PlanError, match="durations look like 90s, 5min or 1h") as refusal:
        parse_duration(text, "--time-budget")
    assert str(refusal.value).startswith(f"--time-budget: {text!r} is no duration")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("text", ["0", "0s", "9.9s", "0.1min"])
def test_a_budget_that_would_not_even_start_the_processes_is_refused(text):
    with pytest.raises(PlanError, match="--time-budget: expected at least 10s, got ") as refusal:
        parse_duration(text, "--time-budget")
    assert text in str(refusal.value)


@given(st.text(max_size=12))
def test_any_text_is_either_a_duration_or_one_line(text):
    try:
        seconds = parse_duration(text, "--time-budget")
    except PlanError as problem:
        refusal = str(problem)
    else:
        assert SHORTEST_BUDGET_S <= seconds < float("inf")
        return
    assert refusal.startswith("--time-budget: ")
    assert len(refusal.splitlines()) == 1
