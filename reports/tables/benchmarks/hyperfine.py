"""Turns the JSON of hyperfine into rows: each run of a command is one reading."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from reports.tables.benchmarks.rows import Benchmark, Contents, contents_of, sizes_in
from reports.tables.columns import TableWarning
from reports.tables.json_values import a_list, an_object, is_number, is_positive, number_or_text


def is_hyperfine(document: Mapping[str, Any]) -> bool:
    """Whether a parsed document is an export of hyperfine."""
    results = document.get("results")
    return isinstance(results, list) and all("command" in an_object(one) for one in results)


def hyperfine_contents(document: Mapping[str, Any]) -> Contents:
    """One row a run of a command, from `times`; its median where there are none.

    Every run is a process of its own, so that it counts as a reading. `implementation` is the
    command with the name of a numeric parameter in place of its value (`sort {n}.txt`); without
    parameters, the numbers in which the commands differ are the sizes.
    """
    results: list[dict[str, Any]] = document["results"]
    commands = [str(one["command"]) for one in results]
    params = [
        {key: number_or_text(value) for key, value in an_object(one.get("parameters")).items()}
        for one in results
    ]
    named = sizes_in(commands)
    if any(params):
        named = [(test, {}) for test in _with_parameters(named, params)]
    failed = sum(
        is_number(code) and code != 0 for one in results for code in a_list(one.get("exit_codes"))
    )
    if failed:
        warnings.warn(
            f"{failed} runs ended with an exit code other than 0, and count all the same",
            TableWarning,
            stacklevel=2,
        )
    return contents_of(
        [
            Benchmark(
                test=test,
                params=own | sizes,
                readings=[{"time_s": time} for time in _times(one)],
                reason="hyperfine recorded no time",
            )
            for one, own, (test, sizes) in zip(results, params, named, strict=True)
        ]
    )


def _times(result: Mapping[str, Any]) -> Sequence[float]:
    times = [time for time in a_list(result.get("times")) if is_positive(time)]
    middles = [result.get("median"), result.get("mean")]
    return times or [time for time in middles if is_positive(time)][:1]


def _with_parameters(
    named: Sequence[tuple[str, Mapping[str, float]]], params: Sequence[Mapping[str, object]]
) -> list[str]:
    """The commands without their sizes, each called by the parameter that it always equals."""
    equal: dict[tuple[str, str], list[str]] = {}
    for (test, sizes), own in zip(named, params, strict=True):
        for place, size in sizes.items():
            known = equal.get((test, place), own)
            equal[test, place] = [key for key in known if key in own and own[key] == size]
    called = {test: test for test, _ in named}
    for (test, place), keys in equal.items():
        for key in keys[:1]:
            called[test] = called[test].replace(f"{{{place}}}", f"{{{key}}}", 1)
    return [called[test] for test, _ in named]
