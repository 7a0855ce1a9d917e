from typing import Any

import pytest

from reports.tables.benchmarks.hyperfine import hyperfine_contents, is_hyperfine


def result(command: str, **changes: Any) -> dict[str, Any]:
    return {
        "command": command,
        "mean": 0.25,
        "median": 0.25,
        "times": [0.25, 0.26],
        "exit_codes": [0, 0],
    } | changes


def rows(*results: dict[str, Any]) -> list[dict[str, Any]]:
    return hyperfine_contents({"results": list(results)}).frame.to_dict("records")


def test_each_run_of_a_command_is_a_reading_with_the_parameters_of_the_command() -> None:
    found = rows(
        *(
            result(f"sort {n}.txt --by {how}", parameters={"n": str(n), "how": how})
            for how in ("merge", "quick")
            for n in (64, 128)
        )
    )
    assert [row["time_s"] for row in found] == [0.25, 0.26] * 4
    assert [row["n"] for row in found] == [64, 64, 128, 128] * 2
    assert {row["implementation"] for row in found} == {
        "sort {n}.txt --by merge",
        "sort {n}.txt --by quick",
    }


def test_a_number_that_is_no_parameter_stays_in_the_command() -> None:
    found = rows(
        *(result(f"run -j 1 --n {n}", parameters={"n": str(n), "m": str(n)}) for n in (1, 2, 10)),
        result("named", parameters={"n": "20", "m": "20"}),
    )
    assert {row["implementation"] for row in found} == {"run -j 1 --n {n}", "named"}


def test_without_parameters_the_numbers_in_which_commands_differ_are_the_sizes() -> None:
    contents = hyperfine_contents(
        {"results": [result(f"./sort --size {n} --seed 7 out_{n}.txt") for n in (64, 128)]}
    )
    assert contents.parameters == ("size", "arg0")
    assert list(contents.frame["size"].unique()) == [64, 128]
    assert set(contents.frame["implementation"]) == {"./sort --size {size} --seed 7 out_{arg0}.txt"}


def test_the_median_stands_for_runs_that_were_not_kept() -> None:
    (row,) = rows(result("a", times=None))
    assert (row["time_s"], row["status"]) == (0.25, "measured")
    (row,) = rows({"command": "a"})
    assert (row["status"], row["reason"]) == ("crashed", "hyperfine recorded no time")


def test_runs_that_failed_are_counted_aloud() -> None:
    with pytest.warns(UserWarning, match="1 runs ended with an exit code other than 0"):
        rows(result("a", exit_codes=[0, 2]))


def test_other_documents_with_results_are_not_taken_for_hyperfine() -> None:
    assert is_hyperfine({"results": [result("a")]})
    assert not is_hyperfine({"results": [{"n": 3}]})
    assert not is_hyperfine({"results": {"time_a": 3}})
