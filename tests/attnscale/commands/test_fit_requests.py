"""The command `fit` where it cannot do what it is asked: one line that says why, and no harm."""

import json
import re

import pytest

from attnscale.exit_codes import INCONCLUSIVE
from tests.attnscale.commands.some_fits import Grid, Run, document_of, refused


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--confidence", "1.5"], "--confidence: expected between 0.5 and 1.0, got 1.5"),
        (["--confidence", "2"], "--confidence: expected between 0.5 and 1.0, got 2.0"),
        (["--confidence", "nan"], "--confidence: expected between 0.5 and 1.0, got nan"),
        (["--tolerance", "0"], "--tolerance: expected between 0.0 and 0.5, got 0.0"),
        (["--statistic", "mean"], "--statistic: expected quiet, median or min, got 'mean'"),
        (["--size", "n"], "--size: expected letter=column such as n=seq_len, got 'n'"),
        (["--size", "n=seq_len", "--size", "n=d_model"], "--size: n is given twice"),
        (["--size", "n=nosuch"], 'there is no column "nosuch"; the table has seq_len, d_model'),
        (["--value", "nosuch"], 'there is no column "nosuch"; the table has seq_len, d_model'),
        (["--value", ""], 'there is no column ""; the table has seq_len, d_model'),
        (["--by", "nosuch"], 'there is no column "nosuch"; the table has seq_len, d_model'),
        (["--claim", "n^2*h"], 'the claim n^2*h needs h, but there is no column "num_heads"'),
        (["--claim", ""], 'expected a law, got ""; laws look like n^2*d + n*d^2'),
        (["--predict", "n="], "n must be a number such as 65536 or 64K, got ''"),
        (["--predict", ""], "expected sizes such as n=65536,d=1024, got ''"),
        (["--predict", "65536"], "expected sizes such as n=65536,d=1024, got '65536'"),
        (["--predict", "q=3"], "'q' is no size of this fit; its sizes are n, d, h, b, m"),
        (["--predict", "n=-1"], "n must be positive and at most 2^60, got -1"),
        (["--predict", "n=0"], "n must be positive and at most 2^60, got 0"),
        (["--predict", "n=1e999,d=1"], "n must be positive and at most 2^60, got inf"),
        (["--predict", "n=nan"], "n must be a number such as 65536 or 64K, got 'nan'"),
        (["--predict", "n=3,n=5"], "n is given twice in 'n=3,n=5'; give each size once"),
        (["--budget", "3parsecs"], "'3parsecs' has an unknown unit 'parsecs'; expected one of"),
        (["--budget", "-3s"], "expected a positive number with a unit such as 24GiB"),
        (["--budget", "0GiB"], "expected a positive, finite amount such as 24GiB"),
        (["--budget-of", "inputs"], "--budget-of: expected memory or workspace, got 'inputs'"),
        (["--budget", "2s,d=x"], "d must be a number such as 65536 or 64K, got 'x'"),
    ],
)
def test_a_wrong_request_is_one_line(
    fit: Run, grid: Grid, arguments: list[str], words: str
) -> None:
    assert words in refused(fit(grid(), *arguments))


@pytest.mark.parametrize(
    "question", [["--predict", "n=65536"], ["--predict", "h=3,n=5,d=7"], ["--budget", "2s,n=5,d=7"]]
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_question_that_does_not_suit_the_table_is_refused_before_anything_is_shown(
    fit: Run, grid: Grid, question: list[str], form: list[str]
) -> None:
    assert re.search("give d=|'h' is no size|leave one out", refused(fit(grid(), *question, *form)))


@pytest.mark.parametrize(
    "arguments",
    [["--budget", "24GiB", "--value", "time_s"], ["--budget", "24GiB,n=5", "--budget", "2s"]],
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_budget_of_another_kind_than_the_cost_is_refused_before_anything_is_shown(
    fit: Run, grid: Grid, arguments: list[str], form: list[str]
) -> None:
    line = refused(fit(grid(), *arguments, *form))
    assert "states a" in line
    assert "but the column holds a" in line


@pytest.mark.parametrize(
    ("claim", "wrong", "column"),
    [
        ("n^2@d", "@", 4),
        ("__import__('os').system('x')", "'", 12),
        ("__import__(os)", "__import__", 1),
        ("n*exec(d)", "exec", 3),
        ("n.__class__", ".", 2),
        ("lambda: n", ":", 7),
        ("[n for n in d]", "[", 1),
        ("n if d else 1", "if", 3),
        ("{n}", "{", 1),
        ("n; import os", ";", 2),
        ("$(touch made)", "$", 1),
        ("`touch made`", "`", 1),
        ("n^(9**9**9)", "**", 5),
        ("n^99999999", "12", 3),
        ("n**n", "n", 4),
        ("n^-", "end", 4),
        ("-n", "-", 1),
        ("n\x1b[31m", "�", 2),
        ("n\u202ed", "�", 2),
        ("n*\x00", "�", 3),
    ],
)
def test_a_hostile_claim_is_refused_with_its_place_and_not_executed(
    fit: Run,
    grid: Grid,
    monkeypatch: pytest.MonkeyPatch,
    claim: str,
    wrong: str,
    column: int,
) -> None:
    path = grid()
    monkeypatch.chdir(path.parent)
    called: list[object] = []
    monkeypatch.setattr("os.system", called.append)
    line = refused(fit(path, "--claim", claim))
    assert wrong in line.split(" at column ")[0]
    assert f" at column {column} of " in line
    assert line.isprintable()
    assert called == []
    assert [file.name for file in path.parent.iterdir()] == ["grid.csv"]


def test_a_claim_of_any_length_is_refused_in_a_short_line(fit: Run, grid: Grid) -> None:
    line = refused(fit(grid(), "--claim", "n+" * 50_000 + "n"))
    assert line.startswith("a law has at most 200 characters, got 100001;")
    assert len(line) < 200


def test_a_hostile_claim_inside_a_table_leaves_its_group_unjudged(fit: Run, write) -> None:
    rows = [f"{n},{d},1e-3,__import__('os').system('x')" for n in (64, 128) for d in (32, 64)]
    shown = fit(write("odd.csv", "\n".join(["seq_len,d_model,time_s,claim", *rows])))
    assert shown.code == INCONCLUSIVE
    (line,) = shown.err.splitlines()
    assert line.startswith("warning: this table is not judged on time_s: unexpected")
    assert "at column 12" in line


def test_a_size_that_a_benchmark_states_is_asked_for_by_name(fit: Run, write) -> None:
    benchmarks = [
        {"name": f"BM_x/{n}/{k}", "run_type": "iteration", "iterations": 9, "real_time": n * k}
        | {"cpu_time": n * k, "time_unit": "ns"}
        for n in (64, 128, 256, 512, 1024, 2048)
        for k in (3, 5, 7)
    ]
    path = write("google.json", json.dumps({"context": {}, "benchmarks": benchmarks}))
    names = ["--size", "n=arg0", "--claim", "n"]
    line = refused(fit(path, *names))
    assert "varies among rows of" in line
    assert "--size LETTER=" in line


def test_a_rate_is_refused_and_its_name_cannot_break_the_line(fit: Run, write) -> None:
    path = write("rate.csv", '"n","big\nTFLOPS"\n3,5\n7,11\n')
    line = refused(fit(path, "--size", "n=n", "--value", "big\nTFLOPS", "--claim", "n"))
    assert line.startswith('column "big TFLOPS" is a rate, which is no cost')


def test_a_column_to_average_over_that_is_not_there_is_one_line(fit: Run, grid: Grid) -> None:
    line = refused(fit(grid(), "--average", "nosuch"))
    assert 'there is no column "nosuch"; the table has seq_len, d_model' in line


def test_a_claim_without_sizes_on_an_unknown_column_is_one_line(fit: Run, write) -> None:
    path = write("three.csv", "size,time_s\n1,1\n2,1\n4,1\n")

    assert "name it with --size n=COLUMN" in refused(fit(path, "--claim", "1"))
    named = fit(path, "--claim", "1", "--size", "n=size", "--json")
    assert (named.code, document_of(named)["verdict"]) == (INCONCLUSIVE, "inconclusive")
