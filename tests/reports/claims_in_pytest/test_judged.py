"""Which tests belong to one verdict, what counts as one, and what the JSON has of it."""

import json
import math
from collections.abc import Sequence
from typing import Any

import pytest

import reports.claims_in_pytest.judged as pytest_verdicts
from reports.claims_in_pytest.claims import Claim
from reports.claims_in_pytest.judged import complexity_json, judge_tests, verdict_text
from reports.claims_in_pytest.tests import MarkedTest, Outcome, groups

LENGTHS = [2**power for power in range(3, 13)]
SQUARE = Claim(law="n^2", sizes=(("n", "n"),))


def measured(time_s: float, claim: Claim = SQUARE, name: str = "test_a", **params: Any):
    return MarkedTest(
        test=f"test_it.py::{name}",
        params=params,
        claims=(claim,),
        outcome=Outcome.MEASURED,
        times={"median": time_s, "min": time_s / 2},
    )


def shared(claim: Claim, tests: Sequence[MarkedTest]) -> list[tuple[dict[str, Any], int]]:
    return [(dict(group.values), len(group.tests)) for group in groups(claim, tests)]


def test_every_parameter_that_varies_and_is_no_size_makes_groups():
    tests = [
        measured(1.0, n=n, kind=kind, flag=flag, dtype="float32")
        for n in (3, 5)
        for kind in ("a", "b")
        for flag in (True, 1)
    ]

    assert [repr(values) for values, _ in shared(SQUARE, tests)] == [
        "{'kind': 'a', 'flag': True}",
        "{'kind': 'a', 'flag': 1}",
        "{'kind': 'b', 'flag': True}",
        "{'kind': 'b', 'flag': 1}",
    ]


def test_a_parameter_that_only_names_the_sizes_makes_no_groups():
    named = {3: "small", 5: "medium", 7: "large"}
    two_sizes = Claim(law="n*d", sizes=(("n", "n"), ("d", "extra_info.width")))
    tests = [measured(1.0, n=n, name_=named[n], k=k) for n in named for k in (1, 2)]
    cases = [measured(1.0, n=n, case=f"{n} by {d}") for n in (3, 5) for d in (7, 11)]
    for test, width in zip(cases, (7, 11, 7, 11), strict=True):
        test.extra_info = {"width": width}

    assert shared(SQUARE, tests) == [({"k": 1}, 3), ({"k": 2}, 3)]
    assert shared(two_sizes, cases) == [({}, 4)]
    # The same cases under a law of n alone are two a size, and what differs between them matters.
    assert len(shared(SQUARE, cases)) == 4
    for test in cases:
        test.params = {"n": test.params["n"], "name": named[test.params["n"]]}
    assert shared(two_sizes, cases) == [({}, 4)]


def test_by_names_the_groups_and_may_look_into_extra_info():
    claim = Claim(law="n", sizes=(("n", "n"),), by=("extra_info.kind",))
    tests = [measured(1.0, claim, n=n, seed=seed) for n in (3, 5, 7) for seed in (1, 2)]
    for test in tests:
        test.extra_info = {"kind": "odd" if test.params["seed"] == 1 else "even"}

    assert shared(claim, tests) == [({"kind": "odd"}, 3), ({"kind": "even"}, 3)]


def test_lambdas_make_groups_that_are_called_what_the_test_ids_call_them():
    def timed(ident: str, fn: object, n: int) -> MarkedTest:
        test = measured(1.0, n=n, fn=fn)
        test.ident = f"{ident}-{n}"
        return test

    square, line = (lambda n: n * n), (lambda n: n)
    default = [timed(f"<lambda>{i}", fn, n) for i, fn in enumerate((square, line)) for n in (3, 5)]
    chosen = [timed(ident, fn, n) for ident, fn in (("sq", square), ("ln", line)) for n in (3, 5)]

    assert shared(SQUARE, default) == [({"fn": "<lambda>0"}, 2), ({"fn": "<lambda>1"}, 2)]
    assert shared(SQUARE, chosen) == [({"fn": "sq"}, 2), ({"fn": "ln"}, 2)]


def test_objects_are_named_by_their_names_where_these_tell_them_apart():
    class Other:
        """Stands for another module with a function of the same name."""

        __name__ = "fsum"

    other, lonely = Other(), object()
    tests = [
        measured(1.0, n=n, sort=sort)
        for n in (3, 5)
        for sort in (math.sin, math.fsum, other, lonely)
    ]

    words = [values["sort"] for values, _ in shared(SQUARE, tests)]
    assert words == ["sin", "sort1", "sort2", "sort3"]


def test_repeated_tests_are_visits_to_one_cell_and_not_more_cells():
    for repeat in ({"by": ()}, {}):
        claim = Claim(law="n^2", sizes=(("n", "n"),), **repeat)
        seed = "seed" if repeat else "__pytest_repeat_step_number"
        tests = [
            measured(1e-6 * n**2, claim, n=n, **{seed: visit})
            for n in LENGTHS
            for visit in range(3)
        ]

        (judged,) = judge_tests(tests)

        assert judged.fit is not None
        assert judged.fit.cells == len(LENGTHS)
        assert judged.fit.verdict == "confirmed"


def test_the_statistic_that_counts_is_the_one_that_is_asked_for():
    tests = [measured(1e-6 * n**2, Claim(law="n^2", sizes=(("n", "n"),)), n=n) for n in LENGTHS]
    for test in tests:
        test.claims = (SQUARE, Claim(law="n^2", sizes=(("n", "n"),), value="min"))
        test.times = {"median": 1e-6 * test.params["n"] ** 2, "min": 1e-6 * test.params["n"]}

    median, smallest = judge_tests(tests)

    assert (median.fit.verdict, smallest.fit.verdict) == ("confirmed", "refuted")
    assert [one["statistic"] for one in complexity_json([median, smallest])] == ["median", "min"]
    text = verdict_text([median, smallest], width=100, colour=False)
    assert "(test_a [n^2, minimum]): A claimed term" in text
    assert "Claim n: these cells confirm it." in text


def test_the_json_is_valid_whatever_the_parameters_are():
    values = (math.nan, math.inf, None, object(), Outcome.FAILED, 3)
    tests = [measured(1e-6 * n**2, n=n, odd=value) for n in LENGTHS for value in values]

    found = complexity_json(judge_tests(tests))

    again = json.loads(json.dumps(found, allow_nan=False))
    assert [fit["params"]["odd"] for fit in again] == ["nan", "inf", None, "odd3", "failed", 3]
    assert {fit["verdict"] for fit in again} == {"confirmed"}


def test_tests_of_one_name_in_two_files_are_told_apart_and_judged_apart():
    here = [measured(1e-6 * n**2, n=n) for n in LENGTHS]
    there = [measured(1e-6 * n, n=n) for n in LENGTHS]
    for test in there:
        test.test = "test_other.py::test_a"

    found = judge_tests([*here, *there])

    assert [str(one.fit.verdict) for one in found] == ["confirmed", "refuted"]
    text = verdict_text(found, width=100, colour=False)
    assert "(test_other.py::test_a): A claimed term" in text


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (ValueError("no such\nlaw"), "test_a: not judged: no such law"),
        (KeyError("oops"), "test_a: not judged: the judge itself failed (KeyError: 'oops')"),
    ],
)
def test_a_fault_of_the_judge_is_told_and_leaves_the_rest_alone(monkeypatch, fault, told):
    def fit(table: object, *, claim: str, **_: object) -> object:
        raise fault

    monkeypatch.setattr(pytest_verdicts, "fit", fit)

    (judged,) = judge_tests([measured(1.0, n=n) for n in LENGTHS])

    assert told in verdict_text([judged], width=100, colour=False)
    assert judged.is_open
    assert complexity_json([judged]) == []


def test_what_was_skipped_or_never_begun_is_no_open_question():
    tests = [measured(1.0, n=n, kind=kind) for n in LENGTHS for kind in "abc"]
    for test in tests:
        kinds = {"a": Outcome.SKIPPED, "b": Outcome.NOT_RUN, "c": Outcome.FAILED}
        test.outcome = kinds[str(test.params["kind"])]

    found = judge_tests(tests)

    assert [(one.params["kind"], one.is_open) for one in found] == [("a", False), ("c", True)]
    assert found[1].left_out == "10 of 10 (10 failed)"
