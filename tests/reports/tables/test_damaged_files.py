"""Whatever becomes of a file that somebody has, it is a table or one line."""

import copy
import json
import warnings
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reports.tables.columns import TableError
from reports.tables.read import read_table

SAMPLES = sorted(path for path in Path(__file__).with_name("samples").rglob("*") if path.is_file())
DOCUMENTS = [path for path in SAMPLES if path.suffix == ".json"]
ODD = (None, [], {}, "", 0, -1, float("nan"), 1e400, True, "x", [[]], [None], {"a": {}}, 10**30)


def holds(path: Path) -> bool:
    """Whether a file is a table; every other error than one line is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read_table(path)
        except TableError as refused:
            lines = str(refused).splitlines()
        else:
            return True
    assert len(lines) == 1
    return False


def test_the_samples_are_tables_but_for_the_files_that_need_their_folder() -> None:
    assert {path.name for path in SAMPLES if not holds(path)} == {
        "benchmark.json",
        "benchmarks.json",
        "estimates.json",
    }


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(SAMPLES), st.data())
def test_a_file_that_is_cut_off_or_overwritten_is_a_table_or_one_line(
    tmp_path: Path, sample: Path, data: st.DataObject
) -> None:
    content = bytearray(sample.read_bytes())
    places = st.integers(0, len(content) - 1)
    for place, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=4)):
        content[place] = byte
    (tmp_path / "damaged").write_bytes(content[: data.draw(places)])
    holds(tmp_path / "damaged")


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(DOCUMENTS), st.data())
def test_json_with_other_things_in_it_is_a_table_or_one_line(
    tmp_path: Path, sample: Path, data: st.DataObject
) -> None:
    document = json.loads(sample.read_text(encoding="utf-8"))
    for _ in range(data.draw(st.integers(1, 3))):
        replace_somewhere(document, data)
    (tmp_path / "damaged").write_text(json.dumps(document))
    holds(tmp_path / "damaged")


def replace_somewhere(document: Any, data: st.DataObject) -> None:
    """Put something odd in the place of a part of a document, or take it out."""
    parent, key = None, None
    while isinstance(document, dict | list) and document:
        keys = list(document) if isinstance(document, dict) else list(range(min(len(document), 3)))
        parent, key = document, data.draw(st.sampled_from(keys))
        document = document[key]
        if data.draw(st.integers(0, 3)) == 0:
            break
    if parent is None:
        return
    if data.draw(st.booleans()):
        del parent[key]
    else:
        parent[key] = copy.deepcopy(data.draw(st.sampled_from(ODD)))
