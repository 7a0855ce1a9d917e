"""Reports from tables that are not ours: what is drawn, what it is called, and what is left out."""

import math
from pathlib import Path

import pandas as pd
import pytest

from reports.figures import CHARTS
from reports.figures.drawing.split import views
from reports.judge.result import Fit, Verdict
from reports.laws.grammar import LawError
from reports.page.page import Report, report
from reports.page.restated import Question, restated
from reports.tables.columns import TableError
from reports.tables.read import read_table

LENGTHS = [2**power for power in range(6, 15)]


def write(path: Path, **columns: list[object]) -> Path:
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def square_ms(n: int) -> float:
    return 0.02 + 1e-6 * n * n * (1 + 0.003 * math.sin(n))


@pytest.fixture(scope="module")
def sorted_times(tmp_path_factory: pytest.TempPathFactory) -> Report:
    path = write(
        tmp_path_factory.mktemp("report") / "times.csv",
        length=[n for n in LENGTHS for _ in "ab"],
        kernel=["naive", "fast"] * len(LENGTHS),
        elapsed_ms=[t for n in LENGTHS for t in (square_ms(n), 1e-4 * n)],
    )
    question = Question(sizes={"k": "length"}, values=["elapsed_ms"], by=["kernel"], claim="k^2")
    return report([path], question=question)


def test_a_foreign_table_has_its_verdicts_and_the_figures_of_its_time(sorted_times: Report) -> None:
    assert [str(fit.verdict) for fit in sorted_times.fits] == ["confirmed", "refuted"]
    assert {path.stem for path in sorted_times.figures} == {
        "time_against_n",
        "local_slope_against_n",
    }
    drawn = pd.read_csv(sorted_times.path / "tables" / "time_against_n.csv")
    naive = drawn[drawn["series"] == "naive"].set_index("seq_len")
    assert naive.loc[64, "time_s"] == pytest.approx(square_ms(64) / 1000)
    assert naive["fitted_s"].to_list() == pytest.approx(naive["time_s"].to_list(), rel=0.05)


def test_its_sizes_are_called_what_the_table_calls_them(sorted_times: Report) -> None:
    picture = next(path for path in sorted_times.figures if path.suffix == ".svg")
    svg = picture.with_name("time_against_n.svg").read_text(encoding="utf-8")
    slopes = picture.with_name("local_slope_against_n.svg").read_text(encoding="utf-8")
    assert "k = length" in svg
    assert "local exponent of k" in slopes
    assert "sequence length" not in svg + slopes
    page = sorted_times.index.read_text(encoding="utf-8")
    assert "attention" not in page.partition("</title>")[0]
    assert "Fastest at k\u00a0=\u00a016384: fast" in page


def test_what_cannot_be_drawn_is_left_out_and_said(sorted_times: Report) -> None:
    assert "Time against d: the table has no size besides length." in sorted_times.left_out
    assert any(line.startswith("Share of peak: no operation") for line in sorted_times.left_out)


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("elapsed", "Time: the column elapsed states no unit; if it is a time, call it elapsed_s"),
        ("peak_mib", "Time: the cost in question, peak_mib, is no time, and figures show times."),
    ],
)
def test_a_cost_that_is_no_time_is_judged_and_drawn_nowhere(
    tmp_path: Path, column: str, said: str
) -> None:
    path = write(tmp_path / "t.csv", n=LENGTHS, **{column: [square_ms(n) for n in LENGTHS]})
    found = report([path], question=Question(values=[column], claim="n^2"))
    assert [str(fit.verdict) for fit in found.fits] == ["confirmed"]
    assert found.figures == ()
    assert len(found.left_out) == 1
    assert found.left_out[0].startswith(said)


def test_a_third_size_tells_series_apart(tmp_path: Path) -> None:
    grid = [(n, d, h) for n in LENGTHS[:5] for d in (32, 64, 128, 256) for h in (2, 8)]
    path = write(
        tmp_path / "t.csv",
        n=[n for n, _, _ in grid],
        d=[d for _, d, _ in grid],
        heads=[h for _, _, h in grid],
        time_s=[1e-6 + 1e-10 * n * n * d * h for n, d, h in grid],
    )
    sizes = {"h": "heads", "n": "n", "d": "d"}
    shown = restated(read_table(path), Question(sizes=sizes))
    assert shown.question.sizes == {"n": "seq_len", "d": "d_model", "h": "heads"}
    unjudged = Fit(
        group={},
        claim="n^2*d*h",
        verdict=Verdict.INCONCLUSIVE,
        confidence=0.95,
        tolerance=0.1,
        value="time_s",
        sizes=shown.question.sizes,
    )
    (view,) = views(shown.table.frame, [unjudged], sizes=shown.names)
    assert [series.label for series in view.series] == ["heads 2", "heads 8"]
    assert all(series.fit is unjudged for series in view.series)
    against_d = next(chart for chart in CHARTS if chart.stem == "time_against_d")
    assert against_d.missing(view) is None


def test_a_report_asks_what_a_fit_asks(tmp_path: Path) -> None:
    """The claim names n, which no --size does, and a batch that falls as n rises."""
    path = write(
        tmp_path / "tokens.csv",
        n=list(LENGTHS),
        batch=[LENGTHS[-1] // n for n in LENGTHS],
        time_s=[1e-9 * n * n * (LENGTHS[-1] // n) * (1 + 0.003 * math.sin(n)) for n in LENGTHS],
    )
    written = report([path], question=Question(sizes={"b": "batch"}, claim="b*n^2"))
    (found,) = written.fits
    assert (found.verdict, found.cells) == (Verdict.CONFIRMED, len(LENGTHS))
    assert not written.figures


def test_a_wrong_question_is_one_line(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", n=LENGTHS, time_ms=[square_ms(n) for n in LENGTHS])
    with pytest.raises(TableError, match='no column "time_s"; did you mean "time_ms"'):
        report([path])
    with pytest.raises(TableError, match='no column "length"'):
        report([path], question=Question(sizes={"n": "length"}, values=["time_ms"]))
    with pytest.raises(LawError, match="unexpected"):
        report([path], question=Question(values=["time_ms"], claim="n^^2"))


def test_a_table_that_has_our_columns_keeps_them(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", seq_len=LENGTHS, time_s=[square_ms(n) for n in LENGTHS])
    table = read_table(path)
    found = restated(table, Question(claim="n^2"))
    pd.testing.assert_frame_equal(found.table.frame, table.frame, check_dtype=False)
    assert found.names["seq_len"].label == "sequence length, n = seq_len (elements)"


@pytest.mark.parametrize(
    ("question", "sizes"),
    [
        (Question(claim="n^2"), {"n": "n", "d": "d"}),
        (Question(values=["flops"]), {"n": "n", "d": "d"}),
        (Question(sizes={"n": "key_len"}), {"n": "key_len", "d": "d"}),
        (Question(sizes={"d": "head_dim"}), {"n": "n", "d": "head_dim"}),
        (Question(sizes={"n": "seq_len", "h": "num_heads"}, claim="n*h"), {"n": "n", "h": "h"}),
        (Question(by=["d_model"], claim="n^2"), {"n": "n"}),
    ],
)
def test_a_run_can_be_asked_about_any_of_its_sizes_and_costs(
    run: Path, question: Question, sizes: dict[str, str]
) -> None:
    usual = {"seq_len": "n", "d_model": "d", "num_heads": "h"}
    found = restated(read_table(run), question)
    assert {one.letter: usual.get(one.column, one.column) for one in found.names.values()} == sizes


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (Question(values=["graph_time_s"]), "no record has a graph_time_s; name another column"),
        (Question(values=["implementation"]), "must hold numbers, got 'alpha'"),
        (Question(sizes={"n": "implementation"}), "must hold numbers, got 'alpha'"),
    ],
)
def test_what_no_run_can_answer_is_one_line_and_no_page(
    run: Path, tmp_path: Path, question: Question, words: str
) -> None:
    with pytest.raises(TableError, match=words):
        report([run], tmp_path / "page", question)
    assert not (tmp_path / "page").exists()
