"""Large files are judged in seconds, or refused before they fill the memory."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.judge.fit_groups import MOST_CELLS, MOST_GROUPS
from reports.tables.formats import MOST_FIELDS

Run = Callable[..., Any]

RNG = np.random.default_rng(7)


def times(sizes: Any) -> pd.DataFrame:
    """Quadratic times of these sizes, but for 1 %."""
    n = np.asarray(sizes)
    return pd.DataFrame({"n": n, "time_s": 1e-9 * n**2 * (1 + RNG.uniform(-0.01, 0.01, n.size))})


@pytest.mark.parametrize("size", [2**28 + 1, 2**30, 2**40])
def test_a_gigabyte_of_nothing_is_refused_by_its_size(
    bounded: Run, tmp_path: Path, size: int
) -> None:
    path = tmp_path / "nothing"
    path.touch()
    try:
        os.truncate(path, size)
    except OSError:
        pytest.skip("no files of such a size here")
    bounded("fit", path, cpu_s=5).assert_refused("more than 256 MiB", "keep one row")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x00" * 2**26, "is a binary file"),
        (b" " * 2**26, "is empty"),
        (b"\n" * 2**22, "is empty"),
        (b"a" * 2**25, "is no table"),
        (b"[" * 2**22, "nested too deeply"),
        (b"n,time_s\n" + b"1" * 2**25, "is not CSV"),
        (b'n,time_s\n1,"' + b"1\n" * 2**21, "is not CSV"),
        (b"n,time_s\n" + b",\n" * 2**22, "fields"),
        (b"[" + b"1," * 2**23, "fields"),
        (b"[" + b"{}," * 2**22, "fields"),
        (b"|n|time_s|\n|---|---|\n" + b"|1|2|\n" * 2**21, "fields"),
    ],
    ids=lambda one: repr(one[:12]) if isinstance(one, bytes) else one,
)
def test_much_of_the_same_is_refused_in_one_line(
    bounded: Run, tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "much"
    path.write_bytes(content)
    bounded("fit", path).assert_refused(said)


def test_parquet_that_is_much_larger_once_it_is_read_is_refused(
    bounded: Run, tmp_path: Path
) -> None:
    path = tmp_path / "times.parquet"
    pd.DataFrame({"n": np.ones(MOST_FIELDS, np.int8), "time_s": np.float32(1)}).to_parquet(path)
    assert path.stat().st_size < 2**20
    bounded("fit", path).assert_refused(f"{2 * MOST_FIELDS} fields")


@pytest.mark.parametrize("repeats", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_law_is_judged_among_ten_thousand_columns(
    bounded: Run, tmp_path: Path, repeats: int
) -> None:
    table = times(np.repeat(64 * 2 ** np.arange(20 // repeats), repeats))
    others = pd.DataFrame(RNG.integers(0, 2, (20, 10_000))).add_prefix("c")
    path = tmp_path / "wide.csv"
    table.join(others).to_csv(path, index=False)
    judged = bounded("fit", path, "--claim", "n^2")
    assert judged.code == 0
    assert len(judged.err.splitlines()) < 10


def test_a_hundred_thousand_readings_are_judged_within_ten_seconds(
    bounded: Run, tmp_path: Path
) -> None:
    table = times(RNG.choice(64 * 2 ** np.arange(12), 100_000))
    path = tmp_path / "long.csv"
    table.assign(reading=range(100_000), kernel="a").to_csv(path, index=False)
    assert bounded("fit", path, "--claim", "n", cpu_s=10).code == 1


def test_of_a_hundred_thousand_sizes_some_are_judged_and_this_is_said(
    bounded: Run, tmp_path: Path
) -> None:
    path = tmp_path / "sizes.csv"
    times(RNG.permutation(np.arange(10, 100_010))).to_csv(path, index=False)
    judged = bounded("fit", path, "--claim", "n^2", cpu_s=10)
    assert judged.code == 0
    assert "10–100009" in judged.out  # the ends are among them
    assert f"has 100000 different sizes, of which {MOST_CELLS}" in judged.err


def test_a_grid_of_two_sizes_keeps_values_of_both_where_some_cells_are_judged(
    bounded: Run, tmp_path: Path
) -> None:
    n, d = (one.ravel() for one in np.meshgrid(np.arange(16, 2016, 20), np.arange(8, 1008, 10)))
    noise = 1 + RNG.uniform(-0.01, 0.01, n.size)
    path = tmp_path / "grid.csv"
    pd.DataFrame({"n": n, "d": d, "time_s": 1e-9 * n**2 * d * noise}).to_csv(path, index=False)
    assert bounded("fit", path, "--claim", "n^2*d").code == 0


def test_more_groups_than_can_be_judged_are_refused(bounded: Run, tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    table = times(np.arange(10, 100_010))
    table.assign(implementation=[f"f{k}" for k in range(100_000)]).to_csv(path, index=False)
    bounded("fit", path).assert_refused(f"makes more than {MOST_GROUPS} groups")


@pytest.mark.slow
def test_a_thousand_groups_are_judged(bounded: Run, tmp_path: Path) -> None:
    groups = [times(64 * 2 ** np.arange(10)).assign(kernel=f"k{k}") for k in range(1000)]
    path = tmp_path / "groups.csv"
    pd.concat(groups).to_csv(path, index=False)
    judged = bounded("fit", path, "--by", "kernel", "--claim", "n^2", "--json", cpu_s=60)
    assert judged.code == 0
    assert judged.out.count('"verdict": "confirmed"') >= 1000
