"""Two runs, and two implementations of one run: what is called, and what is refused."""

import json

import pytest

from bench.records import RunError
from reports.comparison.answer_texts import headline, markdown_text, notes, written
from reports.comparison.compared import compare_runs, compare_within
from reports.comparison.comparison_document import document_of
from reports.tables.columns import TableError
from tests.reports.comparison.some_runs import records, square, times, write_run

AGAINST = {"against": {"rev": "main", "commit": "0123", "suffix": "@main"}}


@pytest.fixture
def base(tmp_path):
    return write_run(tmp_path / "base")


def findings(found):
    return {one.series.name: str(one.ratio.finding) for one in found.changes.series}


def test_a_slower_implementation_is_named_whatever_the_pace_of_the_machine(tmp_path, base):
    new = write_run(tmp_path / "new", {"mine": times(1.1)}, sources={"mine": "bb"}, pace=1.05)

    found = compare_runs(base, new)

    assert findings(found) == {"sdpa": "same", "query_chunked": "same", "mine": "slower"}
    assert found.changes.series[2].ratio.estimate == pytest.approx(1.1, rel=0.02)
    assert found.changes.pace == pytest.approx(1.05, rel=0.02)
    assert headline(found) == "Slower: mine (1.10 times as long)."
    assert "its source changed" in written(found, "text")


def test_runs_of_the_same_kernels_are_the_same(tmp_path, base):
    found = compare_runs(base, write_run(tmp_path / "new", pace=0.98))

    assert set(findings(found).values()) == {"same"}
    assert headline(found) == "All series are the same."
    assert found.slower_than(0.05) == []
    assert not found.apart


def test_what_changed_in_secret_is_no_control(tmp_path, base):
    new = write_run(tmp_path / "new", {"mine": times(1.2)})

    found = compare_runs(base, new)

    assert findings(found) == {"sdpa": "same", "query_chunked": "same", "mine": "slower"}
    assert found.changes.controls == ("sdpa", "query_chunked")


def test_another_law_is_told_from_another_constant(tmp_path, base):
    steeper = {"mine": lambda n, d: square(n, d) * (n / 256) ** 0.2}
    new = write_run(tmp_path / "new", steeper, sources={"mine": "bb"})

    found = compare_runs(base, new)

    assert [list(laws) for laws in found.laws] == [[], [], ["n"]]
    assert found.laws[2]["n"].is_another_law
    assert " became n^2.2" in headline(found)
    assert not found.apart


def test_a_fixed_cost_is_no_other_law(tmp_path, base):
    costly = {"mine": lambda n, d: square(n, d) + 50e-6}
    new = write_run(tmp_path / "new", costly, sources={"mine": "bb"})

    found = compare_runs(base, new)

    change = found.changes.series[2]
    assert change.grows_with == ()
    assert change.fixed.seconds == pytest.approx(50e-6, rel=0.15)
    assert "µs a call more" in written(found, "text")


def test_a_term_of_lower_order_is_no_other_law(tmp_path, base):
    copying = {"mine": lambda n, d: square(n, d) * (1 + 0.6 * 256 / n)}  # n·d more
    new = write_run(tmp_path / "new", copying, sources={"mine": "bb"})

    found = compare_runs(base, new)

    assert found.changes.series[2].grows_with == ("n",)
    assert "Another law" not in headline(found)
    assert "goes as n^-0.1" in written(found, "text")
    (growth,) = [one["growth"] for one in document_of(found)["series"]][2:]
    assert not growth["n"]["law_changed"]
    assert growth["n"]["base_exponent"] == growth["n"]["new_exponent"] == 2


def test_a_cell_that_differs_from_its_series_is_named(tmp_path, base):
    spoiled = {"mine": lambda n, d: square(n, d) * (1.5 if (n, d) == (512, 128) else 1)}
    new = write_run(tmp_path / "new", spoiled, sources={"mine": "bb"})

    found = compare_runs(base, new)

    assert list(found.apart) == [
        found.differences.cells.query("implementation == 'mine'")
        .query("seq_len == 512 and d_model == 128")
        .index[0]
    ]
    assert found.slower_than(0.05) == ["mine at n = 512, d = 128"]
    assert "Cells that differ from their series" in written(found, "text")


def test_one_series_alone_cannot_tell_its_change_from_the_machine(tmp_path):
    runs = [
        write_run(tmp_path / name, seed=seed, laws={"mine": times(factor)}, lengths=(256, 512))
        for name, seed, factor in (("base", 1, 1.0), ("new", 2, 1.1))
    ]
    for run in runs:
        rows = (run / "records.jsonl").read_text().splitlines()
        (run / "records.jsonl").write_text("\n".join(r for r in rows if '"mine"' in r))

    found = compare_runs(*runs)

    assert findings(found) == {"mine": "cannot tell"}
    assert "Nothing tells how the pace" in notes(found)[0]
    assert "sdpa" not in notes(found)[0]


def test_a_series_that_is_the_only_control_is_not_judged(tmp_path):
    changed = {"sources": {"query_chunked": "bb", "mine": "bb"}, "pace": 3.0}
    base, new = write_run(tmp_path / "base"), write_run(tmp_path / "new", **changed)

    found = compare_runs(base, new)

    assert findings(found)["sdpa"] == "cannot tell"
    assert found.changes.controls == ("sdpa",)
    assert "taken out, but not for sdpa itself." in notes(found)[0]
    assert found.slower_than(0.05) == []


def test_a_run_of_one_turn_tells_nothing(tmp_path, base):
    with pytest.raises(TableError, match=r"share no cell .* larger --time-budget"):
        compare_runs(base, write_run(tmp_path / "new", turns=1))


def test_counted_workspace_is_told_exactly(tmp_path, base):
    new = write_run(tmp_path / "new", workspace_bytes=10**6)

    assert "times the workspace" in written(compare_runs(base, new), "text")
    same = compare_runs(base, write_run(tmp_path / "same"))
    assert {one.workspace for one in same.changes.series} == {(1.0, 1.0)}


@pytest.mark.parametrize(
    ("info", "told"),
    [
        ({"machine": {"cpu": "Xeon"}}, "cpu AMD EPYC and Xeon"),
        ({"versions": {"torch": "2.12.0"}}, "torch 2.13.0 and 2.12.0"),
        ({"threads": 2}, "threads 1 and 2"),
    ],
)
def test_other_conditions_are_refused_unless_ratios_alone_are_wanted(tmp_path, base, info, told):
    new = write_run(tmp_path / "new", {"mine": times(2.0)}, info=info)

    with pytest.raises(TableError, match=told):
        compare_runs(base, new)
    found = compare_runs(base, new, across_machines=True)

    text = written(found, "text")
    assert text.startswith("Two machines are compared: ratios and exponents only.")
    assert "faster" not in text
    assert "slower" not in text
    assert {one["finding"] for one in document_of(found)["cells"]} == {None}
    assert found.slower_than(0.0) == []


def test_the_same_run_twice_is_refused(base):
    with pytest.raises(TableError, match="the same run"):
        compare_runs(base, base / ".." / base.name)


def test_runs_without_a_shared_cell_are_refused(tmp_path, base):
    with pytest.raises(TableError, match="share no cell"):
        compare_runs(base, write_run(tmp_path / "new", dtype="float64"))


def test_a_folder_that_is_no_run_is_refused(tmp_path, base):
    with pytest.raises(RunError, match=r"no records.jsonl"):
        compare_runs(base, tmp_path)


def test_cells_of_one_run_only_are_counted(tmp_path, base):
    new = write_run(tmp_path / "new", lengths=(512, 1024, 4096))

    found = compare_runs(base, new)

    assert (found.only_base, found.only_new) == (18, 9)
    assert any("18 cells only in" in note for note in notes(found))


def test_implementations_of_one_run_are_compared_with_the_first(tmp_path):
    run = write_run(tmp_path / "run", {"mine": times(1.4)}, scatter=0.1)

    found = compare_within(run, ["sdpa", "mine", "query_chunked"])

    assert findings(found) == {"query_chunked": "same", "mine": "slower"} or findings(found) == {
        "mine": "slower",
        "query_chunked": "same",
    }
    assert "mine against sdpa" in written(found, "text")


def test_the_law_of_the_new_one_comes_before_that_of_the_base(tmp_path):
    steeper = {"mine": lambda n, d: square(n, d) * (n / 256) ** 0.3}

    found = compare_within(write_run(tmp_path / "run", steeper), ["sdpa", "mine"])

    assert "Another law: mine against sdpa, n^2.3" in headline(found)
    assert " against n^2.00." in headline(found)


def test_an_implementation_without_shared_cells_is_named_and_its_cells_are_counted(tmp_path):
    run = write_run(tmp_path / "run")
    rows = records({"loop": square}, seed=1, lengths=(32, 64))
    with (run / "records.jsonl").open("a") as file:
        file.writelines(json.dumps(row.to_dict()) + "\n" for row in rows)

    found = compare_within(run, ["sdpa", "mine", "loop"])

    assert findings(found).keys() == {"mine"}
    assert (found.only_base, found.only_new) == (0, 6)
    assert "loop shares no cell with sdpa." in notes(found)


def test_without_names_revisions_of_an_implementation_are_compared(tmp_path):
    run = write_run(tmp_path / "run", {"mine@main": times(0.8)}, info=AGAINST)

    found = compare_within(run)

    assert findings(found) == {"mine": "slower"}
    assert found.bases == ("mine@main",)
    assert headline(found) == "Slower: mine (1.25 times as long)."


def test_a_name_with_an_at_sign_is_no_revision(tmp_path):
    run = write_run(tmp_path / "run", {"mine@main": times(0.8), "sdpa@v2": square}, info=AGAINST)

    assert compare_within(run).bases == ("mine@main",)
    assert "sdpa against sdpa@v2" in written(compare_within(run, ["sdpa@v2", "sdpa"]), "text")


def test_on_a_gpu_its_own_time_is_compared_where_all_cells_have_it(tmp_path):
    run = write_run(tmp_path / "run", {"mine": times(1.001)}, device="cuda")
    rows = [json.loads(line) for line in (run / "records.jsonl").read_text().splitlines()]
    calls = compare_within(run, ["sdpa", "mine"])
    for row in rows:
        longer = 2.0 if row["implementation"] == "mine" else 1.0
        row["graph_time_s"] = longer * min(row["samples_s"]) / 10
    (run / "records.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    own = compare_within(run, ["sdpa", "mine"])

    assert (findings(calls), calls.is_gpu_time) == ({"mine": "same"}, False)
    assert (findings(own), own.is_gpu_time) == ({"mine": "slower"}, True)
    assert "Times are GPU times" in written(own, "text")
    assert own.differences.cells["base_s"].max() < 1e-9 * 2048**2 * 4 / 5


def test_versions_with_processes_of_their_own_are_told_apart_less_closely(tmp_path):
    widths = []
    for name, info in (("shared", {}), ("own", AGAINST)):
        run = write_run(tmp_path / name, {"mine@main": square}, seed=1, info=info)
        (change,) = compare_within(run, ["mine@main", "mine"]).changes.series
        widths.append(change.ratio.high / change.ratio.low)

    assert widths[1] > widths[0]


def test_an_unknown_implementation_is_refused_with_the_nearest(base):
    with pytest.raises(TableError, match='no "spda"; did you mean "sdpa"'):
        compare_within(base, ["spda", "mine"])
    with pytest.raises(TableError, match="expected two or more, got mine"):
        compare_within(base, ["mine"])
    with pytest.raises(TableError, match="at two revisions; give a second run"):
        compare_within(base)


def test_a_harmful_name_does_no_harm_in_markdown(tmp_path):
    name = "<img src=x onerror=alert(1)>"
    runs = [write_run(tmp_path / one, {name: times(f)}) for one, f in (("a", 1), ("b", 2))]

    text = markdown_text(compare_runs(*runs))

    assert "<img" not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text


def test_the_document_is_json_without_nan(tmp_path, base):
    found = compare_runs(base, write_run(tmp_path / "new"))

    document = json.loads(written(found, "json"))

    assert {one["group"]["implementation"] for one in document["series"]} == {
        "sdpa",
        "query_chunked",
        "mine",
    }
    assert len(document["cells"]) == 36
    assert document["cells"][0]["ratio"] == pytest.approx(1.0, abs=0.1)


def test_text_fits_eighty_columns(tmp_path, base):
    new = write_run(tmp_path / "new", {"mine": times(1.1)}, sources={"mine": "bb"})

    lines = written(compare_runs(base, new), "text").splitlines()

    assert max(map(len, lines)) <= 80
