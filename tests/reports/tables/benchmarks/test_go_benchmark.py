import pytest

from reports.tables.benchmarks.go_benchmark import go_contents, is_go_benchmark

PRINTED = """goos: linux
pkg: example.org/sort
BenchmarkSort/merge/n=64-8         \t 1000\t      1500 ns/op\t      16 B/op\t       1 allocs/op
BenchmarkSort/merge/n=64-8         \t 1000\t      1600 ns/op
BenchmarkSort/quick/n=128/8-8      \t  500\t      2.5e3 ns/op\t 12.5 MB/s
PASS
"""


def test_each_line_is_a_reading_with_the_sizes_of_its_name() -> None:
    assert is_go_benchmark(PRINTED)
    contents = go_contents(PRINTED)
    frame = contents.frame
    assert list(frame["implementation"]) == ["Sort/merge", "Sort/merge", "Sort/quick"]
    assert list(frame["time_s"]) == pytest.approx([1500e-9, 1600e-9, 2500e-9])
    assert list(frame["n"]) == [64, 64, 128]
    assert frame["arg0"][2] == 8
    assert contents.parameters == ("n", "arg0")
    assert (frame["allocated_bytes"][0], frame["allocations"][0]) == (16, 1)


def test_a_number_at_the_end_is_no_processor_count_where_names_differ_in_it() -> None:
    text = "BenchmarkSort-64 1 5 ns/op\nBenchmarkSort-128 1 9 ns/op\n"
    assert list(go_contents(text).frame["implementation"]) == ["Sort-64", "Sort-128"]


def test_the_table_of_jmh_is_not_taken_for_go() -> None:
    assert not is_go_benchmark("Benchmark  (n)  Mode  Cnt  Score  Units\nA  3  avgt  5  1  ns/op\n")
