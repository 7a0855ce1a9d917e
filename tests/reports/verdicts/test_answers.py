"""Questions about sizes that were not measured, and how their answers are shown."""

import json
import math
from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest
from rich.console import Console

from reports.judge.fit import fit
from reports.judge.result import Fit, Verdict
from reports.predict.prediction import Largest, Prediction
from reports.predict.questions import PredictionError, Questions
from reports.tables.units import UnitError
from reports.verdicts.answers import answers_of, documents, print_answers

Sweep = Callable[..., pd.DataFrame]

NOTHING = Fit(group={"implementation": "odd"}, claim="n", verdict=Verdict.INCONCLUSIVE)


@pytest.fixture
def square(sweep: Sweep) -> Fit:
    """A fit of n²·d nanoseconds, to some noise."""
    cells = [(n, d) for n in (128, 256, 512, 1024, 2048) for d in (64, 128, 256, 512)]
    table = sweep([(1.0, "n^2*d")], cells=cells, overhead=0, reading=0.01, shared=0.005)
    return fit(table, group={"implementation": "sdpa"})


def lines(fits: list[Fit], questions: Questions) -> list[str]:
    console = Console(width=10_000, color_system=None)
    with console.capture() as shown:
        print_answers(fits, questions, console)
    return shown.get().splitlines()


def test_questions_are_read_in_order_with_the_letters_that_are_sizes() -> None:
    asked = Questions.of(["n=7,d=11", "d=13,n=5.5"], ["24GiB", "1.5 GB,d=3"], None)
    assert asked.sizes == ({"n": 7, "d": 11}, {"d": 13, "n": 5.5})
    assert [b.quantity.value for b in asked.budgets] == [24 * 2**30, 1.5e9]
    assert [b.at for b in asked.budgets] == [{}, {"d": 3}]
    assert Questions.of(["length=7"], [], {"length": "seq_len"}).sizes == ({"length": 7},)
    with pytest.raises(PredictionError, match="'n' is no size of this fit; its sizes are length"):
        Questions.of(["n=7"], [], {"length": "seq_len"})
    by_claim = Questions.of(["n=7,length=3"], [], {"length": "seq_len"}, "n*length")
    assert by_claim.sizes == ({"n": 7, "length": 3},)


@pytest.mark.parametrize(
    ("budgets", "cost"),
    [
        ([], None),
        (["2s"], None),
        (["0.5"], None),
        (["3 J"], None),
        (["24GiB"], "workspace_bytes"),
        (["2s", "24GiB"], "workspace_bytes"),
    ],
)
def test_a_budget_of_memory_is_about_the_workspace(budgets: list[str], cost: str | None) -> None:
    assert Questions.of([], budgets, None).cost == cost


def test_answers_are_near_the_truth_and_know_how_far_they_reach(square: Fit) -> None:
    asked = Questions.of(["n=65536,d=1024", "n=1024,d=256"], ["2s,d=128", "90"], None)
    (far, near, in_two_seconds, in_plain), _ = answers_of(square, asked)
    for one, cost in ((far, 1e-9 * 65536**2 * 1024), (near, 1e-9 * 1024**2 * 256)):
        assert isinstance(one, Prediction)
        assert one.low < cost < one.high
        assert one.estimate == pytest.approx(cost, rel=0.1)
    assert isinstance(far, Prediction)
    assert far.beyond == {"n": 32, "d": 2}
    assert isinstance(near, Prediction)
    assert (near.beyond, near.confidence) == ({}, 0.95)
    assert isinstance(in_two_seconds, Largest)
    assert (in_two_seconds.name, in_two_seconds.at) == ("n", {"d": 128})
    assert in_two_seconds.low < math.sqrt(2e9 / 128) < (in_two_seconds.high or 0)
    assert isinstance(in_plain, Largest)
    assert (in_plain.budget, in_plain.at) == (90, {"d": 512})
    assert in_plain.estimate == pytest.approx(math.sqrt(90e9 / 512), rel=0.05)


def test_a_budget_is_turned_into_the_unit_of_the_column(sweep: Sweep) -> None:
    table = sweep([(1.0, "n^2*d")], overhead=0, reading=0.01).rename(columns={"time_s": "t_ms"})
    asked = Questions.of([], ["2 min,d=64"], None)
    (largest,), _ = answers_of(fit(table, value="t_ms"), asked)
    assert isinstance(largest, Largest)
    assert largest.budget == 120_000
    assert "stays within 2 min" in largest.text


def test_a_budget_of_another_kind_is_refused(square: Fit) -> None:
    asked = Questions.of([], ["24GiB"], None)
    for answer in (lambda: documents([square], asked), lambda: lines([square], asked)):
        with pytest.raises(UnitError, match="24GiB states a memory size, but the column holds"):
            answer()


def test_documents_have_what_was_asked_for_and_nothing_else(square: Fit) -> None:
    (plain,) = documents([square], Questions())
    assert plain == square.to_dict()
    asked = Questions.of(["n=4096,d=64", "n=8192,d=64"], ["2s"], None)
    (document,) = documents([square], asked)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert set(document) - set(plain) == {"predictions", "budgets"}
    assert [p["sizes"]["n"] for p in document["predictions"]] == [4096, 8192]
    (budget,) = document["budgets"]
    assert (budget["name"], budget["budget"], budget["at"]) == ("n", 2, {"d": 512})
    (only,) = documents([square], Questions.of([], ["2s"], None))
    assert "predictions" not in only


def test_a_fit_that_found_nothing_says_so_and_the_others_answer(square: Fit) -> None:
    asked = Questions.of(["n=65536,d=1024"], [], None)
    assert lines([NOTHING, square], asked)[0] == (
        "odd: nothing was fitted, so nothing can be predicted"
    )
    assert lines([NOTHING, square], asked)[-1].startswith("sdpa: n = 65536, d = 1024 would cost")
    nothing, found = documents([NOTHING, square], asked)
    assert nothing["unanswered"] == "nothing was fitted, so nothing can be predicted"
    assert nothing["predictions"] == []
    assert len(found["predictions"]) == 1
    assert "unanswered" not in found
    assert lines([NOTHING], Questions()) == []
    assert "unanswered" not in documents([NOTHING], Questions())[0]


@pytest.mark.parametrize(
    ("sizes", "budgets", "words"),
    [
        (["n=4096,d=64", "n=4096"], [], "the cost depends on d, got n; give d=… as well"),
        ([], ["2s,n=5,d=7"], "n, d are all given; leave one out"),
        (["n=5,d=7,h=3"], [], "'h' is no size that the fitted law depends on"),
    ],
)
def test_a_question_that_no_fit_of_the_table_could_answer_is_refused(
    square: Fit, sizes: list[str], budgets: list[str], words: str
) -> None:
    asked = Questions.of(sizes, budgets, None)
    for answer in (lambda: documents([square], asked), lambda: lines([square], asked)):
        with pytest.raises(PredictionError, match=words):
            answer()


def test_crossovers_of_claimed_terms_among_the_measured_sizes_are_printed(sweep: Sweep) -> None:
    terms = [(4.0, "n^2*d"), (8.0, "n*d^2")]
    cells = [(n, d) for n in (128, 256, 512, 1024, 2048) for d in (64, 128, 256, 512, 1024)]
    table = sweep(terms, cells=cells, overhead=0, reading=0.01, shared=0.005)
    found = fit(table, claim="n^2*d + n*d^2", group={"implementation": "layer"})
    (line,) = lines([found], Questions())
    assert line.startswith("layer: n²·d overtakes n·d² at n = ")
    (crossing,) = [c for c in found.to_dict()["crossovers"] if c["where"] == "inside"]
    assert crossing["low"] < 2 < crossing["high"]
    assert (crossing["size"], crossing["powers"]) == ("n", {"d": 1})


def test_crossovers_of_lower_order_terms_are_left_to_the_document(sweep: Sweep) -> None:
    cells = [(n, d) for n in (16, 32, 64, 128, 256, 512, 1024, 2048) for d in (64, 128, 256, 512)]
    terms = [(1.0, "n^2*d"), (300.0, "n*d"), (1e7, "1")]
    found = fit(sweep(terms, cells=cells, overhead=0, reading=0.01, shared=0.005))
    pairs = {(c.faster, c.slower) for c in found.crossovers if c.where == "inside"}
    assert pairs == {("n*d", "1"), ("n^2*d", "1"), ("n^2*d", "n*d")}
    shown = lines([found], Questions())
    assert len(shown) == 2
    assert all("n²·d overtakes" in line for line in shown)


def test_what_is_answered_alike_is_said_once_with_whom_it_holds_for() -> None:
    many = [replace(NOTHING, group={"kernel": f"k{number}"}) for number in range(3)]
    assert lines(many, Questions.of(["n=7"], [], {"n": "n"})) == [
        "k0, k1 and k2: nothing was fitted, so nothing can be predicted"
    ]


def workspace_fit(record: Callable[..., dict[str, object]], per_n: int) -> Fit:
    """The workspace of per_n bytes for each of n positions, beside inputs and outputs of n·d."""
    cells = [(n, h) for n in (128, 256, 512, 1024, 2048) for h in (1, 2, 4, 8, 16)]
    rows = [
        record(
            batch=1,
            num_heads=h,
            head_dim=64,
            d_model=64 * h,
            seq_len=n,
            key_len=n,
            workspace_bytes=per_n * n,
        )
        for n, h in cells
    ]
    group = {"implementation": "mine"}
    return fit(pd.DataFrame(rows), value="workspace_bytes", claim="n", group=group)


def test_a_budget_of_memory_is_for_inputs_and_output_too_or_for_the_workspace_alone(
    record: Callable[..., dict[str, object]],
) -> None:
    found = workspace_fit(record, 4096)
    whole, alone = (
        Questions.of([], ["1GiB,d=256"], None, None, of) for of in ("memory", "workspace")
    )
    assert lines([found], whole)[0].startswith(
        f"mine: n up to {2**30 // (16 * 256 + 4096):,} at d = 256 stays within 1 GiB "
        "(inputs, output and workspace; by count)"
    )
    assert "(workspace; by count)" in lines([found], alone)[0]
    assert answers_of(found, alone)[0][0].estimate == 2**18  # type: ignore[union-attr]


def test_a_kernel_that_needs_no_workspace_has_a_largest_size_all_the_same(
    record: Callable[..., dict[str, object]],
) -> None:
    nothing = workspace_fit(record, 0)
    (line,) = lines([nothing], Questions.of([], ["1GiB,d=256"], None))
    assert line.startswith(
        "mine: n up to 262,144 at d = 256 stays within 1 GiB (inputs, output and "
    )
    (why,) = lines([nothing], Questions.of(["n=4096,d=64"], [], None))
    assert why == "mine: no measured cell needed any workspace"
