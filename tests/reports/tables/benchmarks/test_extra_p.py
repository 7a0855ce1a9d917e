import json
from pathlib import Path
from typing import Any

import pytest

from reports.tables.benchmarks.extra_p import extra_p_text_contents
from reports.tables.columns import TableError
from reports.tables.formats import read_json

TEXT = """# two parameters
PARAMETER n
PARAMETER d
POINTS (64 8) (128 8)

REGION main->sort
METRIC time
DATA 1 1.5
DATA 2 2.5
METRIC flops
DATA 100 100
DATA 200
"""


def test_regions_are_implementations_and_metrics_are_columns() -> None:
    contents = extra_p_text_contents(TEXT)
    assert contents.parameters == ("n", "d")
    assert set(contents.frame["implementation"]) == {"main->sort"}
    found = contents.frame[["n", "d", "time", "flops"]].to_numpy().tolist()
    assert found[:3] == [[64, 8, 1, 100], [64, 8, 1.5, 100], [128, 8, 2, 200]]
    assert found[3][:3] == [128, 8, 2.5]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("DATA 3", "line 14 is DATA number 3 of its metric, but there are 2 POINTS"),
        ("DATA x", "number 3"),
        ("TIME 3", "line 14 begins with 'TIME'; expected one of PARAMETER, POINTS"),
        ("POINTS (3)", "has 2 parameters (n, d) and a point with other than as many numbers"),
    ],
)
def test_a_line_that_does_not_fit_is_named(line: str, expected: str) -> None:
    with pytest.raises(TableError) as refused:
        extra_p_text_contents(f"{TEXT}\n{line}\n")
    assert expected in str(refused.value)


def test_a_single_parameter_needs_no_brackets_and_a_metric_no_name() -> None:
    frame = extra_p_text_contents("PARAMETER p\nPOINTS 2 4\nDATA 1\nDATA 3\n").frame
    assert frame[["p", "value"]].to_numpy().tolist() == [[2, 1], [4, 3]]
    assert "implementation" not in frame.columns


def lines(separator: str, key: str) -> str:
    row = f'{{"{key}":{{"n":64{separator}"d":8}}{separator}"metric":"time"{separator}"value":%s}}'
    return "\n".join([row % 1, row % 2])


def as_json() -> str:
    measured = [{"point": [64, 8], "values": [1, 2]}]
    return json.dumps({"parameters": ["n", "d"], "measurements": {"": {"time": measured}}})


@pytest.mark.parametrize(
    "text",
    [lines(",", "params"), lines(";", "parameters"), as_json()],
    ids=["lines", "talpas", "json"],
)
def test_its_other_formats_say_the_same(text: str) -> None:
    contents = read_json(text)
    assert contents.frame[["n", "d", "time"]].to_numpy().tolist() == [[64, 8, 1], [64, 8, 2]]
    assert contents.parameters == ("n", "d")


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"parameters": [{"id": 1}], "measurements": []}, "is JSON of Extra-P 3"),
        ({"params": {}, "value": 3}, "line 1 must have params and a number as value"),
        ({"params": {"n": 3}, "value": "late"}, "line 1 must have params and a number as value"),
    ],
)
def test_what_does_not_fit_in_json_is_one_line(
    document: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    with pytest.raises(TableError, match=expected):
        read_json(json.dumps(document))
