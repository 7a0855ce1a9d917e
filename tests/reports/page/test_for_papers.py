"""Single figures and tables for a paper."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports.figures import CHARTS
from reports.figures.drawing.canvas import Entry, figure_with_panels, styled
from reports.figures.drawing.sheet import paper
from reports.page import for_papers
from reports.page.for_papers import write_figure, write_tables
from reports.tables.columns import TableError
from reports.text.choices import FIGURES
from reports.text.latex import escaped, formula
from tests.reports.page.some_run import INFO, few_rows, write_run
from tests.reports.ranking.some_run import rows

HARMFUL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("papers") / "run"
    return write_run(folder, few_rows("a_b%&", HARMFUL), INFO)


def test_the_names_of_figures_are_those_of_the_charts():
    assert tuple(chart.stem for chart in CHARTS) == FIGURES


def test_a_figure_for_a_paper_is_as_wide_as_asked_has_text_as_text_and_no_headline(two: Path):
    (file,) = write_figure([two], "time_against_n", inches=3.4)
    assert file == two / "report" / "figures" / "time_against_n.svg"
    svg = file.read_text(encoding="utf-8")
    assert 'width="244.8pt"' in svg
    assert "&lt;img src=x onerror=alert(1)&gt;" in svg
    assert "<img" not in svg
    assert "Time grows" not in svg
    assert "undecided" not in svg
    assert not (two / "report" / "index.html").exists()


def test_only_the_named_implementations_are_drawn(two: Path, tmp_path: Path):
    (file,) = write_figure([two], "time_against_n", None, ["a_b%&"], inches=7.0, out=tmp_path)
    svg = file.read_text(encoding="utf-8")
    assert file.parent == tmp_path
    assert "a_b%&amp;" in svg
    assert "onerror" not in svg


def test_an_unknown_implementation_is_one_line_with_the_names(two: Path):
    with pytest.raises(TableError, match=r"no implementation .a_b%.; did you mean a_b%&\?"):
        write_figure([two], "time_against_n", None, ["a_b%"])


def test_what_the_runs_lack_is_told(two: Path):
    with pytest.raises(TableError, match="--figure time_against_heads cannot be drawn: no impl"):
        write_figure([two], "time_against_heads")


def test_panels_on_top_of_each_other_fit_into_a_column_of_a_page():
    entries = [Entry(handle=Line2D([], []), label=f"implementation {k}") for k in range(8)]
    with styled(paper(3.15)):
        figure, _ = figure_with_panels(
            title="", subtitle="", panels=["a", "b", "c"], entries=entries, sheet=paper(3.15)
        )
    assert figure.get_figheight() < 8.3  # the height of text in LaTeX's article


def test_without_tex_pgf_is_refused_before_anything_is_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(for_papers.shutil, "which", lambda name: None)
    with pytest.raises(TableError, match="needs TeX to measure text, and xelatex, lualatex and"):
        write_figure([Path("nowhere")], "time_against_n", form="pgf")


def test_pgf_is_written_without_metadata_which_its_backend_refuses(
    two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(for_papers.shutil, "which", lambda name: name)
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **how: asked.append(how))
    (file,) = write_figure([two], "time_against_n", inches=3.4, form="pgf", out=tmp_path)
    assert file.suffix == ".pgf"
    assert [set(how) for how in asked] == [{"dpi"}]


def test_a_name_is_no_argument_of_the_row_before_it():
    assert [escaped(name) for name in ("[3pt]x", "*", "a[1]", "")] == [
        "{[}3pt]x",
        "{*}",
        "a[1]",
        "",
    ]


def test_tables_for_latex_escape_every_name(two: Path):
    verdicts, ranking = write_tables([two])
    assert (verdicts.name, ranking.name) == ("verdicts_time_s.tex", "ranking.tex")
    text = verdicts.read_text(encoding="utf-8")
    assert r"\toprule" in text
    assert r"a\_b\%\& & $n^2 \cdot d$ &" in text
    for written in (text, ranking.read_text(encoding="utf-8")):
        assert r"\textless{}img src=x onerror=alert(1)\textgreater{}" in written


def test_a_ranking_has_its_sizes_above_times_and_ratios(two: Path):
    _, ranking = write_tables([two])
    above, below = ranking.read_text(encoding="utf-8").splitlines()[3:5]
    assert r"\multicolumn{2}{c}{$n = 512$" in above
    assert below.startswith(r"implementation & time & $\div$ \textless{}img")


def test_a_ratio_has_its_interval_and_who_has_sizes_of_its_own_a_comment(tmp_path: Path):
    apart = rows({"loop": 900.0}, lengths=(8, 16), widths=(8, 16), num_heads=1)
    read = [{**row, "samples_s": [row["time_s"]] * 5} for row in (*rows(), *apart)]
    *_, ranking = write_tables([write_run(tmp_path / "run", read, INFO)])
    text = ranking.read_text(encoding="utf-8")
    assert re.search(r"^slow &.* ms & 2\.\d\d \[(1|2)\.\d\d, 2\.\d\d\]", text, re.MULTILINE)
    assert re.search(r"^% loop, at its own sizes: .* at n = 16, d = 16$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("n²·d", r"n^2 \cdot d"),
        ("n^2.2·log(n)", r"n^{2.2} \cdot \log(n)"),
        ("n^(1/3)", r"n^{1/3}"),
        ("n¹²·d·h⁻¹", r"n^{12} \cdot d \cdot h^{-1}"),
        ("d_model·catalog²", r"\mathrm{d\_model} \cdot \mathrm{catalog}^2"),
        ("2·⌈log₃ n⌉", r"2 \cdot \lceil \log_3 n\rceil"),
    ],
)
def test_a_law_becomes_a_formula(text: str, shown: str):
    assert formula(text) == shown


def test_no_sign_that_latex_reads_as_a_command_is_left():
    assert escaped("\\input{x} $1 #2 ~^\n") == (
        r"\textbackslash{}input\{x\} \$1 \#2 \textasciitilde{}\textasciicircum{}"
    )
