import json
from typing import Any

import pytest

from reports.tables.benchmarks.pytest_benchmark import (
    benchmark_contents,
    is_benchmark_json,
)
from reports.tables.columns import TableWarning

RAW = [0.25, 0.125, 0.5]


def benchmark(test: str = "test_sort", module: str = "a", **params: Any) -> dict[str, Any]:
    ident = "-".join(map(str, params.values()))
    return {
        "group": None,
        "name": f"{test}[{ident}]",
        "fullname": f"tests/test_{module}.py::{test}[{ident}]",
        "params": params or None,
        "param": ident or None,
        "extra_info": {},
        "stats": {"median": 0.25, "min": 0.125, "data": RAW},
    }


def rows_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in row.items() if value is None or value == value}
        for row in benchmark_contents(document).frame.astype(object).to_dict("records")
    ]


def rows(*entries: dict[str, Any]) -> list[dict[str, Any]]:
    return rows_of({"benchmarks": list(entries)})


def test_a_benchmark_is_one_row_and_its_readings_are_no_replicates() -> None:
    (row,) = rows(benchmark(n=7))
    assert (row["time_s"], row["time_min_s"], row["status"]) == (0.25, 0.125, "measured")
    assert (row["n"], row["param"], row["implementation"]) == (7, "7", "test_sort")
    assert "round" not in row
    assert json.loads(row["params"]) == {"n": 7}


def test_numbers_of_extra_info_are_columns_and_win_over_parameters() -> None:
    (row,) = rows(benchmark(n=7, k=3) | {"extra_info": {"n": 49, "depth": 2.5, "host": "lab"}})
    assert (row["n"], row["k"], row["depth"], row["host"]) == (49, 3, 2.5, "lab")


def test_parameters_that_are_no_numbers_and_differ_name_the_implementation() -> None:
    entries = [benchmark(n=7, how=how, mode="fast", cached=True) for how in ("merge", "quick")]
    assert [row["implementation"] for row in rows(*entries)] == [
        "test_sort[merge]",
        "test_sort[quick]",
    ]
    entries = [benchmark(n=7, cached=cached) for cached in (True, False, None)]
    assert [row["implementation"] for row in rows(*entries)] == [
        "test_sort[cached=true]",
        "test_sort[cached=false]",
        "test_sort[cached=null]",
    ]


def test_what_differs_only_between_tests_is_not_in_their_names() -> None:
    found = rows(benchmark("test_sort", how="merge"), benchmark("test_find", how="linear"))
    assert [row["implementation"] for row in found] == ["test_sort", "test_find"]


def test_tests_of_one_name_in_two_files_are_two_implementations() -> None:
    found = rows(benchmark(n=7), benchmark(n=7, module="b"))
    assert [row["implementation"] for row in found] == [
        "tests/test_a.py::test_sort",
        "tests/test_b.py::test_sort",
    ]


@pytest.mark.parametrize(
    ("written", "column", "value"),
    [
        ("UNSERIALIZABLE[np.int64(128)]", "n", 128),
        ("UNSERIALIZABLE[128]", "n", 128),
        ("UNSERIALIZABLE[Decimal('0.5')]", "n", 0.5),
        ([3, 5], "n_1", 5),
        (["UNSERIALIZABLE[np.int64(3)]", 5], "n_0", 3),
    ],
)
def test_numbers_that_json_cannot_hold_or_holds_in_lists_are_sizes(
    written: Any, column: str, value: float
) -> None:
    document = {"benchmarks": [benchmark(n=written)]}
    assert rows_of(document)[0][column] == value
    assert column in benchmark_contents(document).parameters


def with_id(ident: str | None, **params: Any) -> dict[str, Any]:
    name = "test_sort" if ident is None else f"test_sort[{ident}]"
    return benchmark(**params) | {"param": ident, "name": name, "fullname": f"test_a.py::{name}"}


def function(name: str, address: str) -> str:
    return f"UNSERIALIZABLE[<function {name} at {address}>]"


def implementations(*entries: dict[str, Any]) -> list[str]:
    return [row["implementation"] for row in rows(*entries)]


def test_functions_as_parameters_are_called_by_their_names() -> None:
    entries = [
        with_id(f"7-{name}", n=7, fn=function(name, address))
        for name, address in (("merge", "0x7f81"), ("quick", "0x7f82"))
    ]
    assert implementations(*entries) == ["test_sort[merge]", "test_sort[quick]"]
    assert [row["fn"] for row in rows(*entries)] == ["merge", "quick"]


@pytest.mark.parametrize("sizes_first", [True, False])
def test_lambdas_are_told_apart_and_called_what_the_test_ids_call_them(sizes_first: bool) -> None:
    entries = []
    for name, address in (("<lambda>0", "0x7f81"), ("<lambda>1", "0x7f82")):
        for n in (64, 128):
            parts = [str(n), name] if sizes_first else [name, str(n)]
            entries.append(with_id("-".join(parts), n=n, fn=function("<lambda>", address)))
    assert implementations(*entries) == [
        "test_sort[<lambda>0]",
        "test_sort[<lambda>0]",
        "test_sort[<lambda>1]",
        "test_sort[<lambda>1]",
    ]


def test_names_that_the_user_gave_to_sizes_are_no_part_of_the_groups_name() -> None:
    entries = [
        with_id(f"{size}-{own}-float32", n=n, fn=function("<lambda>", address), dtype="float32")
        for own, address in (("by-merging", "0x7f81"), ("naive", "0x7f82"))
        for size, n in (("small", 64), ("large", 4096))
    ]
    assert implementations(*entries) == [
        "test_sort[by-merging]",
        "test_sort[by-merging]",
        "test_sort[naive]",
        "test_sort[naive]",
    ]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("<built-in function sorted>", "sorted"),
        ("<class 'numpy.float32'>", "numpy.float32"),
        ("<function make.<locals>.<lambda> at 0x7f81>", "make.<locals>.<lambda>"),
        ("<bound method Sort.run of <a.Sort object at 0x7f81>>", "Sort.run"),
        ("torch.float32", "torch.float32"),
    ],
)
def test_without_an_id_an_object_is_called_by_its_own_name(written: str, name: str) -> None:
    (row,) = rows(with_id(None, how=f"UNSERIALIZABLE[{written}]"))
    assert row["how"] == name


def test_an_address_tells_lambdas_apart_where_no_id_does() -> None:
    entries = [
        with_id(None, n=n, fn=function("<lambda>", address))
        for address in ("0x7f81", "0x7f82")
        for n in (64, 128)
    ]
    assert sorted(set(implementations(*entries))) == [
        "test_sort[<lambda> at 0x7f81]",
        "test_sort[<lambda> at 0x7f82]",
    ]


def test_objects_are_told_apart_unless_each_is_the_input_of_one_size() -> None:
    sorters = [
        with_id(f"how{i}-{n}", n=n, how=f"UNSERIALIZABLE[<a.Sorter object at 0x{i}>]")
        for i in (0, 1)
        for n in (64, 128)
    ]
    assert sorted(set(implementations(*sorters))) == ["test_sort[how0]", "test_sort[how1]"]
    inputs = [
        with_id(f"data{i}", data=f"UNSERIALIZABLE[<a.Data object at 0x{i}>]")
        | {"extra_info": {"count": count}}
        for i, count in enumerate((64, 128, 256))
    ]
    assert set(implementations(*inputs)) == {"test_sort"}


def test_a_long_list_of_numbers_is_data_and_no_shape() -> None:
    (row,) = rows(benchmark(n=7, data=list(range(100))))
    assert not [column for column in row if column.startswith("data_")]


def test_only_numbers_are_parameters_of_size() -> None:
    entries = [benchmark(n=7, how="merge", cached=True), benchmark(k=2.5)]
    assert benchmark_contents({"benchmarks": entries}).parameters == ("n", "k")


def test_a_case_of_ours_tells_its_sizes_itself_and_silences_the_others() -> None:
    case = {"implementation": "sdpa", "seq_len": 128, "d_model": 64}
    document = {"benchmarks": [benchmark(n=7) | {"extra_info": case}, benchmark("test_other", k=3)]}
    with pytest.warns(TableWarning, match=r"1 benchmarks .* test_other\[3\]"):
        found = benchmark_contents(document)
    (row,) = found.frame.to_dict("records")
    assert row.items() >= case.items()
    assert "n" not in row
    assert found.parameters == ()


class Incomparable(dict[str, Any]):
    """A benchmark that nobody may compare by all that it holds: it may hold many readings."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("benchmarks were compared with each other")

    __hash__ = None  # type: ignore[assignment]  # as of any dictionary


def test_cases_of_ours_are_told_from_others_without_comparing_them() -> None:
    case = {"implementation": "sdpa", "seq_len": 128}
    entries = [Incomparable(benchmark(n=n) | {"extra_info": case}) for n in (7, 11)]
    others = [Incomparable(benchmark("test_other", k=k)) for k in (3, 5)]
    with pytest.warns(TableWarning, match=r"2 benchmarks .* test_other\[3\], test_other\[5\]$"):
        assert len(rows(*others, *entries)) == 2


def test_only_objects_of_the_same_name_are_told_apart_by_their_address() -> None:
    entries = [
        with_id(None, n=n, fn=function(name, address))
        for name, address in (("<lambda>", "0x1"), ("<lambda>", "0x2"), ("merge", "0x3"))
        for n in (64, 128)
    ]
    assert sorted(set(implementations(*entries))) == [
        "test_sort[<lambda> at 0x1]",
        "test_sort[<lambda> at 0x2]",
        "test_sort[merge]",
    ]


def test_a_benchmark_without_statistics_has_a_reason_and_no_time() -> None:
    (row,) = rows(benchmark(n=7) | {"stats": None})
    assert ("time_s" in row, row["status"]) == (False, "crashed")
    assert row["reason"] == "the benchmark has no median"


def test_what_a_document_does_not_tell_of_the_machine_is_null() -> None:
    info = benchmark_contents({"benchmarks": []}).info
    assert info["machine"] == {"cpu": None, "cores_logical": None, "os": None}
    assert info["git"] == {"commit": None, "dirty": None}


def test_documents_of_others_are_not_taken_for_ours() -> None:
    assert is_benchmark_json({"benchmarks": [benchmark()]})
    assert is_benchmark_json({"benchmarks": [], "machine_info": {}})
    assert not is_benchmark_json({"benchmarks": [{"mean": 3}]})
