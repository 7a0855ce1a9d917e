"""What a mark claims, and the one line that a wrong one gets."""

from typing import Any

import pytest

from reports.claims_in_pytest.claims import Claim, ClaimError, claim_of, size_of

PARAMS = {"seq_len": 5, "d_model": 7, "kind": "flash", "n": 11}


def mark(*args: Any, **keywords: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, keywords


def test_letters_stand_for_parameters_and_need_no_telling_where_they_are_their_names():
    found = claim_of(*mark("n²d", d="d_model", h="extra_info.heads"), PARAMS)

    assert found == Claim(
        law="n^2*d", sizes=(("n", "n"), ("d", "d_model"), ("h", "extra_info.heads"))
    )


def test_keywords_say_how_to_judge():
    found = claim_of(
        *mark(
            "O(n^2)",
            n="seq_len",
            tolerance=0.2,
            confidence=0.9,
            value="min",
            by=["kind", "d_model"],
        ),
        PARAMS,
    )

    assert found == Claim(
        law="n^2",
        sizes=(("n", "seq_len"),),
        tolerance=0.2,
        confidence=0.9,
        value="min",
        by=("kind", "d_model"),
    )
    assert claim_of(*mark("n", by="extra_info.kind"), PARAMS).by == ("extra_info.kind",)
    assert claim_of(*mark("n", by=()), PARAMS).by == ()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (mark(), ["expected one law", "got nothing"]),
        (mark("n", "d"), ["expected one law", "got 'n', 'd'"]),
        (mark(2), ["expected one law", "got 2"]),
        (mark("n^2@d"), ['unexpected "@" at column 4 of "n^2@d"']),
        (mark("__import__('os')"), ['unexpected "\'" at column 12']),
        (mark("w^2"), ['unknown size "w"', "column 1", 'as in w="size"']),
        (mark("n", n="seqlen"), ["n='seqlen' is no parameter", "seq_len", "extra_info.KEY"]),
        (mark("n", n="extra_info."), ["n='extra_info.' is no parameter"]),
        (mark("n", n=5), ["n=5 is no parameter"]),
        (mark("n", n="kind"), ['the parameter "kind"', "positive number", "got 'flash'"]),
        (mark("1"), ["names no size"]),
        (mark("n", tolerence=0.2), ["unknown keyword tolerence=0.2", "tolerance, confidence"]),
        (mark("n", valeu="min"), ["unknown keyword valeu='min'"]),
        (mark("n", tolerance=0.5), ["tolerance must lie between 0 and 0.5, got 0.5"]),
        (mark("n", tolerance=True), ["tolerance must lie", "got True"]),
        (mark("n", confidence=95), ["confidence must be from 0.5 to below 1, got 95"]),
        (mark("n", confidence=0.4), ["confidence must be", "got 0.4"]),
        (mark("n", value="mean"), ['value must be "median" or "min", got \'mean\'']),
        (mark("n", by="n"), ["by='n' is a size"]),
        (mark("n", by=["kind", "king"]), ["by='king' is no parameter"]),
    ],
    ids=repr,
)
def test_a_wrong_mark_gets_one_line_that_says_what_was_expected(wrong, words):
    with pytest.raises(ClaimError) as caught:
        claim_of(*wrong, PARAMS)

    message = str(caught.value)
    assert [word for word in words if word not in message] == [], message
    assert "\n" not in message


@pytest.mark.parametrize(
    "value", [0, -3, True, "8", None, float("nan"), float("inf"), 10**400, [8]], ids=repr
)
def test_what_is_no_positive_finite_number_is_no_size(value):
    assert size_of(value) is None


@pytest.mark.parametrize("value", [8, 8.0])
def test_a_positive_number_is_a_size(value):
    assert size_of(value) == 8
