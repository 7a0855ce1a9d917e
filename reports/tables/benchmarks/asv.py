"""Turns the results of airspeed velocity (asv) into rows: one a combination of parameters."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice, product
from pathlib import Path
from typing import Any

from reports.tables.benchmarks.rows import (
    Benchmark,
    Contents,
    contents_of,
    read_object,
)
from reports.tables.columns import TableError, TableWarning
from reports.tables.json_values import a_list, an_object, is_number, is_positive, number_or_text

_INDEX = "benchmarks.json"
_TIMES = ("time_", "timeraw_")
_BYTES = ("mem_", "peakmem_")


def is_asv(document: Mapping[str, Any]) -> bool:
    """Whether a parsed document has the results of one commit."""
    return "commit_hash" in document and isinstance(document.get("results"), dict)


def asv_contents(documents: Sequence[Mapping[str, Any]], index: Mapping[str, Any]) -> Contents:
    """One row a combination of parameters that was measured.

    `time_s` is the result of benchmarks called `time_…`, `memory_bytes` of those called `mem_…`
    and `peakmem_…`, and `value` of others. `index` is `benchmarks.json`, which alone has the names
    of parameters; without it they are called by their place, `arg0` and on.
    """
    alone = len(documents) == 1
    benchmarks: list[Benchmark] = []
    for document in documents:
        words: dict[str, object] = {} if alone else {"environment": str(document.get("env_name"))}
        for name, entry in document["results"].items():
            names = [str(one) for one in a_list(an_object(index.get(name)).get("param_names"))]
            benchmarks += _benchmarks(name, names, words, *_layout(entry, document))
    machine = an_object(documents[0].get("params")) if alone else {}
    info = {
        "machine": {"cpu": machine.get("cpu"), "os": machine.get("os")},
        "versions": {"python": machine.get("python")},
    }
    return contents_of(benchmarks, info)


def asv_folder_contents(folder: Path) -> Contents | None:
    """The results of the latest commit for each machine and environment, as `asv_contents`.

    The folder is the `results` of asv, or one machine's folder in it; of others it is None.
    """
    indices = [one / _INDEX for one in (folder, folder.parent) if (one / _INDEX).is_file()]
    found = [*folder.glob("*.json"), *folder.glob("*/*.json")]
    files = sorted(path for path in found if path.name not in (_INDEX, "machine.json"))
    if not indices or not files:
        return None
    index = read_object(indices[0])
    latest: dict[tuple[str, str], Mapping[str, Any]] = {}
    for path in files:
        document = read_object(path)
        if not is_asv(document):
            continue
        machine = str(an_object(document.get("params")).get("machine"))
        key = machine, str(document.get("env_name"))
        if key not in latest or _date(document) >= _date(latest[key]):
            latest[key] = document
    if not latest:
        raise TableError("has no results of asv; run asv first, or give one of its files")
    older = len(files) - len(latest)
    if older:
        warnings.warn(
            f"the results of {older} other commits left out; give their files to judge those",
            TableWarning,
            stacklevel=2,
        )
    return asv_contents(list(latest.values()), index)


def _date(document: Mapping[str, Any]) -> float:
    date = document.get("date")
    return date if is_number(date) else 0.0


def _benchmarks(
    name: str,
    names: Sequence[str],
    words: dict[str, object],
    results: Sequence[Any],
    axes: Sequence[Sequence[Any]],
) -> list[Benchmark]:
    names = [*names, *(f"arg{place}" for place in range(len(names), len(axes)))]
    column = _column(name)
    found = []
    # As many as there are results: a product of long axes may have no end.
    for values, result in zip(islice(product(*axes), len(results)), results, strict=False):
        usable = is_positive(result) if column == "time_s" else is_number(result)
        skipped = isinstance(result, float) and result != result  # NaN, in asv's own words
        found.append(
            Benchmark(
                test=name,
                params={key: _parameter(v) for key, v in zip(names, values, strict=False)} | words,
                readings=[{column: float(result)}] if usable else [],
                status="skipped" if skipped else "crashed",
                reason="asv skipped it" if skipped else "the benchmark failed",
            )
        )
    return found


def _layout(entry: object, document: Mapping[str, Any]) -> tuple[list[Any], list[list[Any]]]:
    """The results and the values of each parameter, in any of the layouts that asv has had."""
    if isinstance(entry, list):
        columns = [str(one) for one in a_list(document.get("result_columns"))]
        entry = dict(zip(columns or ("result", "params"), entry, strict=False))
    if isinstance(entry, dict):
        axes = [a_list(axis) for axis in a_list(entry.get("params"))]
        result = entry.get("result")
        if result is None:  # all combinations failed in the same way
            return [None], [axis[:1] for axis in axes]
        return result if isinstance(result, list) else [result], axes
    return [entry], []


def _column(name: str) -> str:
    last = name.rpartition(".")[2].lower()
    if last.startswith(_TIMES):
        return "time_s"
    return "memory_bytes" if last.startswith(_BYTES) else "value"


def _parameter(written: object) -> object:
    """A parameter from its repr."""
    value = number_or_text(written)
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            return str(ast.literal_eval(value))
    return value
