"""The script that compares tools: what it counts as right, and what it says when one is missing.

Neither Extra-P nor big_O is needed here.
"""

import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from reports.judge.result import Verdict
from reports.laws.grammar import parse, parse_monomial
from tests.calibration.scenarios import Disturbance, Truth

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "comparison.py"
SEQ_LENS, D_MODELS = (128, 256, 512, 1024, 2048, 4096), (64, 128, 256, 512, 1024)


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("comparison", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setattr(sys, "path", list(sys.path))
        patch.setitem(sys.modules, "comparison", module)
        spec.loader.exec_module(module)
        yield module


def readings(law: str, *, overhead: float = 0.0, seq_lens=SEQ_LENS) -> pd.DataFrame:
    """Three readings a cell of a law, one of them a third longer, without any other noise."""
    n, d = (axis.ravel().astype(float) for axis in np.meshgrid(seq_lens, D_MODELS))
    cost = parse_monomial(law).evaluate({"n": n, "d": d}) + 0 * n
    cost = cost + overhead * np.median(cost)
    return pd.concat(
        pd.DataFrame({"seq_len": n, "d_model": d, "time_s": factor * cost})
        for factor in (1, 1, 1.3)
    )


@pytest.fixture
def few(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """One law and one level of noise, so that a whole run takes a moment."""
    quadratic = Truth(name="n^2", terms=("n^2",), true="n^2", false=("n", "n^3"))
    monkeypatch.setattr(script, "LAWS", {"n alone": (quadratic,)})
    monkeypatch.setattr(script, "LEVELS", {"quiet": Disturbance(rounds=3, overhead=0.1)})


def refused(script: ModuleType, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        script.main(arguments)
    assert stop.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


@pytest.mark.parametrize(
    ("verdict", "is_true", "score"),
    [
        (Verdict.CONFIRMED, True, "right"),
        (Verdict.REFUTED, True, "wrong"),
        (Verdict.CONFIRMED, False, "wrong"),
        (Verdict.REFUTED, False, "right"),
        (Verdict.INCONCLUSIVE, True, "undecided"),
        (Verdict.INCONCLUSIVE, False, "undecided"),
    ],
)
def test_an_answer_is_right_if_it_accepts_the_true_claim_or_rejects_the_false_one(
    script: ModuleType, verdict: Verdict, is_true: bool, score: str
) -> None:
    assert script.Answer(verdict=verdict).row(is_true=is_true)["score"] == score


def test_intervals_are_counted_by_the_exponents_that_they_hold(script: ModuleType) -> None:
    intervals = ((1.9, 2.0, 2.2), (0.7, 1.0, 0.8))
    row = script.Answer(verdict=Verdict.CONFIRMED, intervals=intervals).row(is_true=True)

    assert (row["intervals"], row["inside"]) == (2, 1)
    assert row["width"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("model", "claim", "same"),
    [
        (("n^2*d",), "n^2*d", True),
        (("n^2*d", "n*d", "1"), "n^2*d", True),
        (("n^1.75*d",), "n^1.8*d", True),
        (("n^1.75*d",), "n^2*d", False),
        (("n^2",), "n^2*d", False),
        (("n^2*log(n)*d",), "n^2*d", False),
        (("n*d^2", "n^2*d"), "n^2*d + n*d^2", True),
        (("n^2*d^2",), "n^2*d + n*d^2", False),
        (("n^2*d",), "n^2*d + n*d^2", False),
        (("1",), "1", True),
        (("log(n)",), "1", False),
    ],
)
def test_a_model_is_the_claim_if_its_leading_terms_are(
    script: ModuleType, model: tuple[str, ...], claim: str, same: bool
) -> None:
    terms = [parse_monomial(term) for term in model]

    assert script.same_growth(terms, parse(claim)) is same


def test_growth_over_cells_is_the_exponents_and_a_logarithm_adds_to_them(
    script: ModuleType,
) -> None:
    sweep = script.Sweep.of(readings("n*d"))

    assert script.slopes(parse("n^1.8*d^0.5"), sweep) == pytest.approx([1.8, 0.5])
    assert script.slopes(parse("1"), sweep) == pytest.approx([0, 0])
    with_log = script.slopes(parse("n*log(n)*d"), sweep)
    # 1/ln(n) at the ends of the range: 1/ln 4096 and 1/ln 128.
    assert 1 + 1 / np.log(4096) < with_log[0] < 1 + 1 / np.log(128)
    assert with_log[1] == pytest.approx(1)
    assert script.slopes(parse("n^2*d + n*d^2"), sweep) is None


def test_a_power_law_is_right_about_one_and_wrong_where_overhead_bends_it(
    script: ModuleType,
) -> None:
    plain = script.ask_power_law(script.Sweep.of(readings("n^2*d")))
    bent = script.ask_power_law(script.Sweep.of(readings("n^2*d", overhead=0.5)))

    for judge in plain.values():
        assert judge("n*d").verdict is Verdict.REFUTED
        assert judge("n^2*d + n*d^2").verdict is Verdict.REFUTED
    assert plain["power law ± 0.1"]("n^2*d").verdict is Verdict.CONFIRMED
    assert bent["power law ± 0.1"]("n^2*d").verdict is Verdict.REFUTED
    assert bent["power law, slowest third"]("n^2*d").verdict is Verdict.CONFIRMED
    assert bent["power law, interval"]("n^2*d").intervals[0][1] == pytest.approx(2)


def test_big_o_is_asked_along_the_longest_and_largest_line_of_each_size(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Quadratic:
        def compute(self, sizes: np.ndarray) -> np.ndarray:
            return sizes**2

    class Polynomial(Quadratic):
        def coefficients(self) -> tuple[float, float]:
            return (1.0, 1.04)

    asked: list[tuple[list[float], list[float]]] = []

    def infer(sizes: np.ndarray, times: np.ndarray) -> tuple[object, dict[object, float]]:
        asked.append((sizes.tolist(), times.tolist()))
        return (Quadratic() if len(asked) == 1 else Polynomial()), {}

    monkeypatch.setitem(sys.modules, "big_o", SimpleNamespace(infer_big_o_class=infer))
    table = readings("n^2*d")
    missing = (table["seq_len"] == 4096) & (table["d_model"] > 256)
    judge = script.ask_big_o(script.Sweep.of(table[~missing]))["big_O"]

    # n reaches 4096 up to d = 256 only; the longest line of d is at n = 2048.
    assert [sizes for sizes, _ in asked] == [list(SEQ_LENS), list(D_MODELS)]
    assert asked[0][1] == pytest.approx([(n / 4096) ** 2 for n in SEQ_LENS])
    assert judge("n^2*d").verdict is Verdict.CONFIRMED
    assert judge("n^2").verdict is Verdict.REFUTED
    assert judge("n^2*d^1.2").verdict is Verdict.REFUTED


def test_a_class_that_hardly_varies_is_constant_and_an_exponential_is_no_law(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    growth = {"value": 0.05}

    class Exponential:
        def compute(self, sizes: np.ndarray) -> np.ndarray:
            return 1 + growth["value"] * sizes / sizes.max()

    monkeypatch.setitem(
        sys.modules, "big_o", SimpleNamespace(infer_big_o_class=lambda *_: (Exponential(), {}))
    )
    sweep = script.Sweep.of(readings("1"))

    assert script.ask_big_o(sweep)["big_O"]("1").verdict is Verdict.CONFIRMED
    growth["value"] = 0.5
    assert script.ask_big_o(sweep)["big_O"]("1").verdict is Verdict.REFUTED
    assert script.ask_big_o(sweep)["big_O"]("n").verdict is Verdict.REFUTED


def test_rates_leave_out_what_a_tool_has_no_model_for(script: ModuleType) -> None:
    rows = pd.DataFrame(
        [
            {"column": column, "claim": claim, "is_true": is_true, "score": score}
            for column, claim, is_true, score in [
                ("attnscale", "n^2*d + n*d^2", True, "undecided"),
                ("Extra-P", "n^2*d + n*d^2", True, "wrong"),
                ("Extra-P", "n^2*d + n*d^2", False, "right"),
                ("Extra-P", "n^2*log(n)", True, "right"),
                ("big_O", "n^2*log(n)", True, "wrong"),
                ("big_O", "n*log(n)", True, "right"),
                ("big_O", "n^1.5", True, "wrong"),
            ]
        ]
    )
    kept = script.sayable(rows)

    assert kept["column"].tolist() == ["attnscale", "Extra-P", "Extra-P", "big_O", "big_O"]
    assert script.rates(kept[kept["column"] == "attnscale"], "attnscale") == "0 / 0 / 100"
    assert script.rates(kept[kept["column"] == "Extra-P"], "Extra-P") == "100 / 0"
    assert script.rates(kept[kept["column"] == "big_O"], "big_O") == "50 / 50"
    assert script.rates(kept[:0], "big_O") == "–"


def test_sweeps_are_set_by_the_seed_and_ask_every_grid_and_false_claim(script: ModuleType) -> None:
    first, again, other = (script.tasks(40, seed, ("attnscale",)) for seed in (0, 0, 1))

    assert first == again
    assert {task.seed for task in first}.isdisjoint(task.seed for task in other)
    assert {task.design for task in first} == {"7x6", "triangle", "ten sizes"}
    for truth in {task.truth for task in first}:
        of_truth = [task for task in first if task.truth == truth]
        assert {task.false for task in of_truth} == set(truth.false)
        assert truth.true not in truth.false


@pytest.mark.usefixtures("few")
def test_without_a_tool_its_columns_are_left_out_and_the_same_seed_gives_the_same_page(
    script: ModuleType, tmp_path: Path
) -> None:
    page, answers = tmp_path / "page.md", tmp_path / "answers.csv"
    without = ["--without", "extra-p", "--without", "big-o"]
    options = [*without, "--sweeps", "2", "--jobs", "1", "--out", str(page), "--csv", str(answers)]

    assert script.main(options) == 0
    once = page.read_text(encoding="utf-8")
    assert script.main(options) == 0
    assert page.read_text(encoding="utf-8") == once
    head = next(line for line in once.splitlines() if line.startswith("| sizes | noise | claim"))
    columns = ["attnscale", "power law, interval", "power law ± 0.1", "power law, slowest third"]
    assert head == f"| sizes | noise | claim | {' | '.join(columns)} |"
    assert f"--sweeps 2 --seed 0 {' '.join(without)}\n" in once
    rows = pd.read_csv(answers)
    # Two sweeps, two claims, four columns; overhead bends a power law over all cells.
    assert len(rows) == 2 * 2 * 4
    over_all = rows[(rows["column"] == "power law ± 0.1") & rows["is_true"]]
    assert over_all["score"].tolist() == ["wrong", "wrong"]


@pytest.mark.usefixtures("few")
def test_a_tool_that_is_not_installed_is_said_in_one_line_before_anything_runs(
    script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def version(package: str) -> str:
        if package == "extrap":
            raise importlib.metadata.PackageNotFoundError(package)
        return "1.0"

    monkeypatch.setattr(script.importlib.metadata, "version", version)
    page = tmp_path / "page.md"
    said = refused(script, ["--out", str(page)], capsys)

    assert "extrap is not installed" in said
    assert "--without extra-p" in said
    assert not page.exists()


@pytest.mark.parametrize("value", ["0", "-3", "2.5", "many", "²"])
def test_a_number_of_sweeps_that_is_none_is_refused_in_one_line(
    script: ModuleType, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "expected a whole number above 0" in refused(script, [f"--sweeps={value}"], capsys)


def test_a_page_that_cannot_be_written_is_refused_before_anything_runs(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (tmp_path, tmp_path / "missing" / "page.md"):
        assert str(path) in refused(script, ["--out", str(path)], capsys)
