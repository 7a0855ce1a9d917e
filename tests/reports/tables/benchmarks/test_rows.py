import pytest

from reports.tables.benchmarks.rows import Benchmark, contents_of, sizes_in
from reports.tables.json_values import to_number


def test_parameters_that_are_called_like_a_column_of_ours_are_renamed() -> None:
    params: dict[str, object] = {"round": 3, "status": "cold"}
    contents = contents_of([Benchmark(test="a", params=params, readings=[{"time_s": 0.5}])])
    (row,) = contents.frame.to_dict("records")
    assert (row["param_round"], row["param_status"], row["status"]) == (3, "cold", "measured")
    assert contents.parameters == ("param_round",)


def test_a_benchmark_without_readings_has_a_row_that_says_why() -> None:
    lost = Benchmark(test="a", reason="it crashed")
    skipped = Benchmark(test="a", status="skipped", reason="too large")
    found = contents_of([lost, skipped]).frame[["status", "reason"]].to_numpy().tolist()
    assert found == [["crashed", "it crashed"], ["skipped", "too large"]]


@pytest.mark.parametrize(
    ("texts", "sizes"),
    [
        (["sort -n 64", "sort -n 128"], [{"n": 64}, {"n": 128}]),
        (["size=64 x=1", "size=128 x=1"], [{"size": 64}, {"size": 128}]),
        (["[64, 32]", "[128, 64]"], [{"arg0": 64, "arg1": 32}, {"arg0": 128, "arg1": 64}]),
        (["a_64.txt", "a_128.txt"], [{"arg0": 64}, {"arg0": 128}]),
        (["float32", "float64"], [{}, {}]),
        (["v1.2.3", "v1.2.4"], [{}, {}]),
        (["sort 64", "find 128"], [{}, {}]),
    ],
)
def test_a_number_is_a_size_where_it_alone_differs(
    texts: list[str], sizes: list[dict[str, int]]
) -> None:
    assert [found for _, found in sizes_in(texts)] == sizes


@pytest.mark.parametrize(
    ("text", "number"),
    [("64", 64), ("1e3", 1000), ("-.5", -0.5), ("64k", None), ("nan", None), ("1e999", None)],
)
def test_only_finite_numbers_are_numbers(text: str, number: float | None) -> None:
    assert to_number(text) == number
    assert to_number("1" * 10_000) is None
