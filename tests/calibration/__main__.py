"""Writes docs/calibration.md: `python -m tests.calibration --sweeps 30 --jobs 2`."""

from __future__ import annotations

import argparse
import multiprocessing
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pandas as pd

from reports.judge.result import Verdict
from tests.calibration.foreign import ForeignTrial, foreign_trials, foreign_tried
from tests.calibration.scenarios import (
    CACHED,
    GRIDS,
    HIDING,
    NEAR,
    NOISES,
    ONE_VARIABLE,
    THREE_VARIABLES,
    TRUTHS,
    Design,
    Disturbance,
    Truth,
)
from tests.calibration.tally import Outcome, Trial, tally, trials, tried

SPELLS = "\n## A machine whose disturbance comes in spells"
HEAD = """# Calibration of the verdicts

How often a verdict is wrong, how often it is given at all, and what the 95 % intervals of
exponents cover, on simulated sweeps whose law is known. Written by `python -m
tests.calibration --sweeps {sweeps}`; the same seeds give the same tables, and
[calibration.csv](calibration.csv) has one line for every law, grid and noise.

Each sweep draws its lower-order terms (up to half of the cost of the smallest cell), the ratio
of two leading terms, the window, the place of the jump, and where and by how much a workspace
leaves a cache, at random. Noise is relative: that of each reading, and what all readings of a
cell share; an outlier makes a reading 1.3 to 4 times as long; overhead is a part of the cost of
the cell in the middle of the grid. Every sweep is judged on its true claim and on one false
claim, in turn those listed in `tests/calibration/scenarios.py`: wrong by 0.2 or more in an
exponent, by a logarithm, by a size, or by a term.

- **confirmed**: the part of the true claims that were confirmed. **refuted**: of the false
  ones, that were refuted. The rest is inconclusive, which is no error: n²·log n against n² is
  hardly to be told, and a law without growth cannot be told from one that hides below its
  overhead.
- **wrong**: true claims refuted and false ones confirmed, of so many.
- **cover**: the part of the intervals that hold the true exponent, of the true claims.

Grids: {grids}.
"""


FOREIGN = """## Anybody's tables

Tables of one size as people bring them: decades, few sizes and digits, a last cell that is 1.05
to 1.6 times as dear, as much of a law beside it as lacks its logarithm, a setting that is neither
a size nor a group (averaged over in every second table), and a batch that falls as n grows (named
in every second claim: `b*n^2` beside `n^2`). Seven laws, 0.5 to 3 % noise, 1, 3 or 5 readings.
Where five and six sizes cannot confirm, a setting or a batch is not named, or the last cell is
the evidence, the right answer is *inconclusive*. Intervals do not cover where a lower-order term
lies as near as n beside n·log n."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, judge, count and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=30, help="a law, grid and noise")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--out", type=Path, default=Path("docs/calibration.md"))
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    plane = [GRIDS[name] for name in ("6x5", "7x6", "triangle")]
    parts: list[tuple[str, list[Outcome[Trial]]]] = []

    def run(
        title: str,
        truths: Sequence[Truth],
        designs: Sequence[Design],
        noises: Sequence[Disturbance],
        only: Callable[[Trial], bool] = lambda trial: True,
    ) -> None:
        wanted = [t for t in trials(truths, designs, noises, options.sweeps) if only(t)]
        with multiprocessing.Pool(options.jobs) as pool:
            parts.append((title, pool.map(tried, wanted, chunksize=8)))
        print(f"{title}: {len(wanted)} judged", flush=True)

    run("Two variables", TRUTHS, plane, NOISES)
    run("One variable, ten sizes", ONE_VARIABLE, [GRIDS["ten sizes"]], NOISES)
    for truth, grid in zip(THREE_VARIABLES, ("4x4x4", "5x4x4 batch"), strict=True):
        run(f"Three variables, {truth.name}", [truth], [GRIDS[grid]], NOISES[:4])
    growing = [truth for truth in TRUTHS if truth.true != "1"]
    run(
        "Overhead that hides the law",
        growing,
        [GRIDS["7x6"]],
        HIDING,
        only=lambda trial: trial.true,
    )
    run("Lower-order terms within half a power", NEAR, [GRIDS["7x6"]], NOISES[:3])
    run("With a recorded workspace", CACHED, plane[1:], NOISES)
    asked = list(foreign_trials(5 * options.sweeps))
    with multiprocessing.Pool(options.jobs) as pool:
        foreign = pool.map(foreign_tried, asked, chunksize=8)
    print(f"Anybody's tables: {len(asked)} judged", flush=True)
    grids = "; ".join(f"{one.name}, {len(next(iter(one.cells().values())))} cells" for one in plane)
    pages = [HEAD.format(sweeps=options.sweeps, grids=grids)]
    rows = []
    for title, outcomes in parts:
        frame = _frame(outcomes)
        rows.append(frame.assign(part=title))
        pages.append(f"## {title}\n\n{_table(outcomes)}\n")
    pages.append(f"{FOREIGN}\n\n{_families(foreign)}\n")
    options.out.write_text("\n".join(pages) + _spells(options.out), encoding="utf-8")
    pd.concat(rows).to_csv(options.out.with_suffix(".csv"), index=False)


def _spells(page: Path) -> str:
    """What the page says of spells, which tests/calibration/spells.py simulates."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    return text[text.index(SPELLS) :] if SPELLS in text else ""


def _frame(outcomes: Iterable[Outcome[Trial]]) -> pd.DataFrame:
    """One row a law, grid and noise."""
    kinds: dict[tuple[str, str, str], list[Outcome[Trial]]] = {}
    for one in outcomes:
        key = (one.trial.truth.name, one.trial.design.name, one.trial.noise.text)
        kinds.setdefault(key, []).append(one)
    rows = []
    for (law, grid, noise), those in kinds.items():
        found = tally(those)
        rows.append(
            {
                "law": law,
                "grid": grid,
                "noise": noise,
                "true_claims": found.true.total(),
                "confirmed": found.confirmed,
                "true_refuted": found.true[Verdict.REFUTED],
                "false_claims": found.false.total(),
                "refuted": found.refuted,
                "false_confirmed": found.false[Verdict.CONFIRMED],
                "intervals": found.stated,
                "covered": found.coverage,
                "why_not_confirmed": " ".join(f"{c}:{k}" for c, k in found.reasons.most_common(3)),
            }
        )
    return pd.DataFrame(rows)


def _families(outcomes: Sequence[Outcome[ForeignTrial]]) -> str:
    """A row a family."""
    lines = ["| tables | claims | wrong | confirmed | refuted | cover |", "|---" * 6 + "|"]
    for name in dict.fromkeys(one.trial.family for one in outcomes):
        found = tally(one for one in outcomes if one.trial.family == name)
        count = found.true.total() + found.false.total()
        cover = f"{found.coverage:.1%}" if found.stated else "–"
        lines.append(
            f"| {name} | {count} | {found.wrong} ({found.wrong / count:.2%}) | "
            f"{found.confirmed:.0%} | {found.refuted:.0%} | {cover} |"
        )
    return "\n".join(lines)


def _table(outcomes: Sequence[Outcome[Trial]]) -> str:
    """A row a law, and for each noise its rates over all grids; all laws in the last row."""
    noises = list(dict.fromkeys(one.trial.noise for one in outcomes))
    laws = list(dict.fromkeys(one.trial.truth.name for one in outcomes))
    keys = " \n".join(f"{k}. {noise.text}" for k, noise in enumerate(noises, start=1))
    head = "| law | " + " | ".join(f"noise {k + 1}" for k in range(len(noises))) + " |"
    lines = [keys, "", "confirmed / refuted / wrong / cover", "", head]
    lines.append("|---" * (len(noises) + 1) + "|")
    for law in (*laws, "all"):
        cells = []
        for noise in noises:
            found = tally(
                one
                for one in outcomes
                if one.trial.noise == noise and law in ("all", one.trial.truth.name)
            )
            cover = f"{found.coverage:.0%}" if found.stated else "–"
            refuted = f"{found.refuted:.0%}" if found.false else "–"
            count = found.true.total() + found.false.total()
            cells.append(f"{found.confirmed:.0%} / {refuted} / {found.wrong} of {count} / {cover}")
        lines.append(f"| {law} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
