"""Side by side on simulated sweeps: attnscale, Extra-P, big_O and a least-squares power law.

    python -m pip install -r docs/comparison-requirements.txt
    python docs/comparison.py [--sweeps 8] [--out docs/comparison.md] [--csv docs/comparison.csv]

Each sweep follows a known law. Each tool sees the same sweep and is asked two claims about it, a
true one and a false one. The page it writes says what counts as right.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import itertools
import os
import platform
import sys
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from textwrap import fill
from types import MappingProxyType
from typing import NoReturn

# A checkout will do, since nothing here needs torch; processes share the work, not threads.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
from scipy import stats

from reports.judge.fit import fit
from reports.judge.result import Verdict
from reports.laws.grammar import parse
from reports.laws.monomials import Floats, Law, Monomial
from tests.calibration.scenarios import GRIDS, ONE_VARIABLE, TRUTHS, Disturbance, Truth
from tests.calibration.simulate import COLUMNS, simulate

TOLERANCE = 0.1
"""How far an exponent may be off and still be right; attnscale's own default."""
LEAST_SHARE = 0.1
"""Terms of a model that never make up this part of the time are not held against it."""
SLOWEST = 1 / 3
"""The part of the cells that a second power law is fitted to, as is often done."""
LEAD = 0.2
"""By how much another tool has to be right more often to be listed."""
ROUNDS = 5
"""Readings a cell: as many as Extra-P's guide asks for."""

LEVELS: Mapping[str, Disturbance] = MappingProxyType(
    {
        "pure": Disturbance(rounds=ROUNDS, reading=0.01, overhead=0.0, lower=0.0),
        "quiet": Disturbance(rounds=ROUNDS, reading=0.02, shared=0.01, overhead=0.1, lower=0.25),
        "noisy": Disturbance(
            rounds=ROUNDS, reading=0.05, shared=0.03, outliers=0.05, overhead=0.25, lower=0.5
        ),
        "harsh": Disturbance(
            rounds=ROUNDS, reading=0.10, shared=0.05, outliers=0.05, overhead=0.5, lower=0.5
        ),
    }
)
LAWS: Mapping[str, tuple[Truth, ...]] = MappingProxyType(
    {"n and d": TRUTHS, "n alone": ONE_VARIABLE}
)
DESIGNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"n and d": ("7x6", "triangle"), "n alone": ("ten sizes",)}
)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One simulated sweep: its rows, and the cells' sizes with the median and the least time."""

    table: pd.DataFrame
    sizes: Mapping[str, Floats]
    median_s: Floats
    minimum_s: Floats

    @classmethod
    def of(cls, table: pd.DataFrame) -> Sweep:
        """The sweep in a table that `simulate` made."""
        names = [name for name, column in COLUMNS.items() if column in table]
        by_cell = table.groupby([COLUMNS[name] for name in names])["time_s"]
        cells = by_cell.median().index.to_frame(index=False)
        return cls(
            table=table,
            sizes={name: cells[COLUMNS[name]].to_numpy(dtype=np.float64) for name in names},
            median_s=by_cell.median().to_numpy(),
            minimum_s=by_cell.min().to_numpy(),
        )

    def slowest(self, part: float) -> Sweep:
        """The cells that take longest, so much of them."""
        keep = self.median_s >= np.quantile(self.median_s, 1 - part)
        return replace(
            self,
            sizes={name: values[keep] for name, values in self.sizes.items()},
            median_s=self.median_s[keep],
            minimum_s=self.minimum_s[keep],
        )

    @property
    def logs(self) -> Floats:
        """A row a cell: 1 and the logarithms of its sizes."""
        return np.column_stack(
            [np.ones_like(self.median_s), *(np.log(values) for values in self.sizes.values())]
        )


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a tool makes of a claim: its verdict, and intervals (low, claimed, high) if any."""

    verdict: Verdict
    intervals: tuple[tuple[float, float, float], ...] = ()

    @classmethod
    def of(cls, accepted: bool) -> Answer:
        """The answer of a tool that never says that it cannot tell."""
        return cls(verdict=Verdict.CONFIRMED if accepted else Verdict.REFUTED)

    def row(self, *, is_true: bool) -> dict[str, object]:
        """Whether it is right, wrong or undecided, and how its intervals did."""
        score = "right" if (self.verdict is Verdict.CONFIRMED) == is_true else "wrong"
        widths = [high - low for low, _, high in self.intervals]
        return {
            "score": "undecided" if self.verdict is Verdict.INCONCLUSIVE else score,
            "intervals": len(widths),
            "inside": sum(low <= claimed <= high for low, claimed, high in self.intervals),
            "width": float(np.mean(widths)) if widths else float("nan"),
        }


Judge = Callable[[str], Answer]


# --- what a model says --------------------------------------------------------------------------


def same_growth(model: Sequence[Monomial], claim: Law) -> bool:
    """Whether the model's leading terms are the claim's: exponents within 0.1, equal logarithms."""
    ours, theirs = Law.of(tuple(model)).leading, claim.leading

    def alike(one: Monomial, other: Monomial) -> bool:
        return all(
            abs(one.power(name) - other.power(name)) <= TOLERANCE
            and one.factor(name).log_power == other.factor(name).log_power
            for name in {*one.names, *other.names}
        )

    return len(ours) == len(theirs) and any(
        all(map(alike, ours, order)) for order in itertools.permutations(theirs)
    )


def slopes(law: Law, sweep: Sweep) -> Floats | None:
    """The exponents that describe the law best over these cells; None for several leading terms.

    They are its exponents, but for a logarithm: n·log(n) grows as n^1.16 from 128 to 8192.
    """
    if len(law.leading) != 1:
        return None
    values = np.log(law.leading[0].evaluate(sweep.sizes))
    return np.asarray(np.linalg.lstsq(sweep.logs, values, rcond=None)[0][1:])


def near(found: Floats | None, claim: Law, sweep: Sweep, within: float | Floats) -> bool:
    """Whether exponents found agree with the claim's growth over the range."""
    claimed = slopes(claim, sweep)
    if found is None or claimed is None:
        return False
    return bool(np.all(np.abs(found - claimed) <= within))


# --- the tools ----------------------------------------------------------------------------------


def ask_attnscale(sweep: Sweep) -> Mapping[str, Judge]:
    """Our own verdict, with default settings."""

    def judge(claim: str) -> Answer:
        columns = {name: COLUMNS[name] for name in sweep.sizes}
        found = fit(sweep.table, claim=claim, sizes=columns)
        leading = parse(claim).leading
        return Answer(
            verdict=found.verdict,
            intervals=tuple(
                (one.low, max(float(term.power(name)) for term in leading), one.high)
                for name, one in found.exponents.items()
                if one.low is not None and one.high is not None
            ),
        )

    return {"attnscale": judge}


def ask_extra_p(sweep: Sweep) -> Mapping[str, Judge]:
    """Extra-P's default modeler for one or several parameters, on the median of the readings."""
    entities, modelers = "extrap.entities", "extrap.modelers"
    measurement = importlib.import_module(f"{entities}.measurement")
    coordinate = importlib.import_module(f"{entities}.coordinate").Coordinate
    path = importlib.import_module(f"{entities}.callpath").Callpath("sweep")
    metric = importlib.import_module(f"{entities}.metric").Metric("time")
    kind = "single_parameter" if len(sweep.sizes) == 1 else "multi_parameter"
    modeler = importlib.import_module(f"{modelers}.{kind}").Default()
    modeler.use_measure = measurement.Measure.MEDIAN
    names = list(sweep.sizes)
    points = [
        measurement.Measurement(coordinate(key), path, metric, rows.to_numpy(), keep_values=False)
        for key, rows in sweep.table.groupby([COLUMNS[name] for name in names])["time_s"]
    ]
    hypothesis = modeler.create_model(points).hypothesis
    terms = [Monomial()]
    for term in hypothesis.function.compound_terms:
        if hypothesis.calc_term_contribution(term, points) < LEAST_SHARE:
            continue
        powers: dict[str, Fraction] = {}
        logs: dict[str, Fraction] = {}
        for at, factor in getattr(term, "parameter_term_pairs", None) or [(0, term)]:
            for simple in factor.simple_terms:
                chosen = powers if simple.term_type == "polynomial" else logs
                chosen[names[at]] = Fraction(simple.exponent)
        terms.append(Monomial.of(powers, logs))
    leading = Law.of(tuple(terms))
    return {
        "Extra-P": lambda claim: Answer.of(same_growth(terms, parse(claim))),
        "Extra-P, growth": lambda claim: Answer.of(
            near(slopes(leading, sweep), parse(claim), sweep, TOLERANCE)
        ),
    }


BIG_O: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "Constant": (0, 0),
        "Logarithmic": (0, 1),
        "Linear": (1, 0),
        "Linearithmic": (1, 1),
        "Quadratic": (2, 0),
        "Cubic": (3, 0),
    }
)
"""big_O's classes as powers of n and of log n; it has the free power and exponentials besides."""


def ask_big_o(sweep: Sweep) -> Mapping[str, Judge]:
    """big_O along each variable, the other one fixed: the longest such line, the largest if equal.

    Its own measuring keeps the least of repeated readings, and so does this. Its preference for
    simple classes is an amount of seconds, so that times are given as if the longest took one.
    """
    infer = importlib.import_module("big_o").infer_big_o_class
    model: Monomial | None = Monomial()
    for name, values in sweep.sizes.items():
        others = [other for other in sweep.sizes if other != name]
        fixed = np.column_stack([sweep.sizes[other] for other in others] or [0 * values])
        lines, counts = np.unique(fixed, axis=0, return_counts=True)
        line = lines[counts == counts.max()][-1]
        at = (fixed == line).all(axis=1)
        times = sweep.minimum_s[at] / sweep.minimum_s[at].max()
        with np.errstate(all="ignore"):
            best = infer(values[at], times)[0]
            flat = np.ptp(best.compute(values[at])) < LEAST_SHARE * np.median(times)
        found = type(best).__name__
        if flat:
            found = "Constant"
        if found == "Polynomial":
            power = Fraction(float(best.coefficients()[1])).limit_denominator(1000)
            factor = Monomial.of({name: power})
        elif found in BIG_O:
            factor = Monomial.of({name: BIG_O[found][0]}, {name: BIG_O[found][1]})
        else:
            model = None
        model = model and model.times(factor)
    return {
        "big_O": lambda claim: Answer.of(model is not None and same_growth([model], parse(claim)))
    }


def power_law(sweep: Sweep) -> tuple[Floats, Floats]:
    """Least squares of the cells' log medians on their log sizes: exponents, 95 % margins."""
    logs, cost = sweep.logs, np.log(sweep.median_s)
    estimate = np.linalg.lstsq(logs, cost, rcond=None)[0]
    free = cost.size - logs.shape[1]
    variance = float(np.sum((cost - logs @ estimate) ** 2)) / free
    errors = np.sqrt(variance * np.diag(np.linalg.inv(logs.T @ logs)))
    return estimate[1:].astype(np.float64), float(stats.t.ppf(0.975, free)) * errors[1:]


def ask_power_law(sweep: Sweep) -> Mapping[str, Judge]:
    """A power law over all cells, judged in two ways, and one over those that take longest."""

    def by(cells: Sweep, within: float | None = None) -> Judge:
        found, margin = power_law(cells)

        def judge(claim: str) -> Answer:
            law = parse(claim)
            answer = Answer.of(near(found, law, cells, margin if within is None else within))
            claimed = slopes(law, cells)
            if claimed is None:
                return answer
            bounds = np.column_stack([found - margin, claimed, found + margin]).tolist()
            return replace(answer, intervals=tuple((low, mid, high) for low, mid, high in bounds))

        return judge

    return {
        "power law, interval": by(sweep),
        "power law ± 0.1": by(sweep, TOLERANCE),
        "power law, slowest third": by(sweep.slowest(SLOWEST), TOLERANCE),
    }


def one_term(law: Law) -> bool:
    """Whether a model of one leading term can be right about it."""
    return len(law.leading) == 1


def in_big_o(law: Law) -> bool:
    """Whether big_O has a class for it along each variable."""
    factors = [factor for term in law.leading for factor in term.factors]
    return one_term(law) and all(f.log_power == 0 or f.power == f.log_power == 1 for f in factors)


@dataclass(frozen=True, kw_only=True)
class Tool:
    """How a tool is asked, its columns in the tables, its package, and what it can say at all."""

    ask: Callable[[Sweep], Mapping[str, Judge]]
    columns: tuple[str, ...]
    package: str = "numpy"
    can_say: Callable[[Law], bool] = one_term


TOOLS: Mapping[str, Tool] = MappingProxyType(
    {
        "attnscale": Tool(ask=ask_attnscale, columns=("attnscale",), can_say=lambda law: True),
        "extra-p": Tool(ask=ask_extra_p, columns=("Extra-P", "Extra-P, growth"), package="extrap"),
        "big-o": Tool(ask=ask_big_o, columns=("big_O",), package="big_O", can_say=in_big_o),
        "power-law": Tool(
            ask=ask_power_law,
            columns=("power law, interval", "power law ± 0.1", "power law, slowest third"),
        ),
    }
)


# --- the runs -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Task:
    """One sweep to simulate, and the tools to ask about it."""

    sizes: str
    noise: str
    truth: Truth
    number: int
    seed: int
    tools: tuple[str, ...]

    @property
    def design(self) -> str:
        """The grid: the grids take turns."""
        grids = DESIGNS[self.sizes]
        return grids[self.number % len(grids)]

    @property
    def false(self) -> str:
        """The false claim: one of the law's own, drawn by the seed."""
        return self.truth.false[self.seed % len(self.truth.false)]


def tasks(sweeps: int, seed: int, tools: Sequence[str]) -> list[Task]:
    """So many sweeps of every law at every level; the same seed gives the same ones."""
    return [
        Task(
            sizes=sizes,
            noise=noise,
            truth=truth,
            number=number,
            seed=zlib.crc32(f"{seed}/{sizes}/{noise}/{truth.name}/{number}".encode()),
            tools=tuple(tools),
        )
        for sizes, truths in LAWS.items()
        for noise in LEVELS
        for truth in truths
        for number in range(sweeps)
    ]


def ask_all(task: Task) -> list[dict[str, object]]:
    """Ask every tool about the true and a false claim on one sweep: a row a column and claim."""
    sweep = Sweep.of(simulate(task.truth, GRIDS[task.design], LEVELS[task.noise], task.seed))
    about: dict[str, object] = {
        "sizes": task.sizes,
        "noise": task.noise,
        "law": task.truth.name,
        "grid": task.design,
        "seed": task.seed,
    }
    rows = []
    for name in task.tools:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # theirs, about sizes that are few
            judges = TOOLS[name].ask(sweep)
        for column, judge in judges.items():
            for claim, is_true in ((task.truth.true, True), (task.false, False)):
                answer = judge(claim)
                asked = {"column": column, "claim": claim, "is_true": is_true}
                rows.append(about | asked | answer.row(is_true=is_true))
    return rows


def run(todo: Sequence[Task], jobs: int) -> pd.DataFrame:
    """All rows, in the order of the tasks however many processes share them."""
    if jobs == 1:
        return pd.DataFrame([row for task in todo for row in ask_all(task)])
    rows = []
    with ProcessPoolExecutor(jobs) as pool:
        for done, found in enumerate(pool.map(ask_all, todo, chunksize=4), start=1):
            rows += found
            if done % 100 == 0 or done == len(todo):
                print(f"{done} of {len(todo)} sweeps", file=sys.stderr)
    return pd.DataFrame(rows)


# --- the page -----------------------------------------------------------------------------------

PAGE = """# Side by side with Extra-P, big_O and a power law

Simulated sweeps whose law is known, and what four tools make of them. Everything on this page is
written by one run of

    python -m pip install -r docs/comparison-requirements.txt
    {command}

{settings}

## What is asked, and what counts as right

Every sweep is one table of readings. Each tool sees the same table and is asked two claims about
it: one that is true, and one of several that are false of its law. A tool is right if it accepts
the true claim or rejects the false one. Numbers are percentages: right / wrong / undecided. Only
attnscale can say that it cannot tell; the others always answer, and have no third number.

| column | accepts a claim if |
|---|---|
| attnscale | its verdict is `confirmed`; it rejects if `refuted`, else it is undecided |
| Extra-P | its model's leading terms are the claim's: powers within 0.1, equal logarithms |
| Extra-P, growth | its leading term grows as the claim does over these cells, within 0.1 |
| big_O | its class along each variable is the claim's; of a `Polynomial` the power within 0.1 |
| power law, interval | the claimed exponents all lie inside its 95 % intervals |
| power law ± 0.1 | the claimed exponents all lie within 0.1 of its estimates |
| power law, slowest third | the same, fitted to the third of the cells that takes longest |

How each is used:

- **attnscale** is told the claim and judges it, with default settings. The others are not told:
  they find a model, and that is compared with the claim. Theirs is the harder question where the
  claim is true and the easier one where it is false: a model that is always wrong rejects every
  false claim.
- **Extra-P** through its Python interface: the default modelers, the median of the readings, its
  own choice of lines through the grid. Its set of exponents has neither 1.8 nor 2.2; 7/4 and 9/4
  count. A term that never makes up 10 % of a cell's time is not held against it, as a term that
  is seen to carry less than that is not held against a claim by attnscale.
- **big_O** knows one variable. It is asked twice, along n with d fixed and along d with n fixed,
  on the longest line of cells, of equally long ones that with the largest sizes, where overhead
  is least. The diagonal of the grid would not do: n²·d and n·d² are the same there. It gets the
  least of the readings, as its own measuring takes it, and times scaled so that the longest is a
  second, since its preference for simple classes is an amount of seconds. A class whose fit
  varies by less than 10 % of the time counts as constant.
- **The power law** is ordinary least squares of log time on log sizes, over the medians of the
  cells: all of them, of which the small ones are mostly overhead and count as much as the large
  ones; and the third that takes longest, where overhead and lower-order terms matter least. It
  cannot have a logarithm: for n·log(n) it is asked for the exponent that describes n·log(n) best
  over its cells.
{cannot}
- In "n·min(n, w)·d" the window w lies inside the grid and n·d is true; the threefold jump
  multiplies the cost above a working set inside the grid.

## Overall

{overall}

## Where another tool is right more often

True claims on which some other column is right at least {lead} percentage points more often
than attnscale, the best one named.

{better}

## Every wrong verdict of attnscale

{wrong}

## Do 95 % intervals of exponents hold the true exponent?

Of all intervals on true claims, those that hold the exponent claimed, and their median width. Where
attnscale gives no interval, because overhead hides the exponent, none is counted. The power law
has one for every law with one leading term.

{coverage}

## Law by law

{details}
"""


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; a sentence if there are no rows."""
    if not rows:
        return "None in this run."
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def rates(rows: pd.DataFrame, column: str) -> str:
    """Right / wrong, and undecided where a tool can be; a dash if nothing could be asked."""
    if rows.empty:
        return "–"
    scores = ["right", "wrong", *(["undecided"] * (column == "attnscale"))]
    return " / ".join(f"{100 * float((rows['score'] == score).mean()):.0f}" for score in scores)


def sayable(rows: pd.DataFrame) -> pd.DataFrame:
    """Without true claims that a column has no model for."""
    able = {column: tool.can_say for tool in TOOLS.values() for column in tool.columns}
    keep = [
        not is_true or able[column](parse(claim))
        for column, is_true, claim in zip(
            rows["column"], rows["is_true"], rows["claim"], strict=True
        )
    ]
    return rows[keep]


def scores(rows: pd.DataFrame, by: Sequence[str]) -> str:
    """A table of all columns, a line for each group and kind of claim."""
    columns = list(rows["column"].unique())
    lines = []
    for (*key, is_true), part in sayable(rows).groupby([*by, "is_true"], sort=False):
        cells = [rates(part[part["column"] == column], column) for column in columns]
        lines.append([*map(str, key), "true" if is_true else "false", *cells])
    return table([*by, "claim", *columns], lines)


def better(rows: pd.DataFrame) -> str:
    """Where attnscale is behind on true claims."""
    lines = []
    true = sayable(rows[rows["is_true"]])
    for (sizes, noise, law), part in true.groupby(["sizes", "noise", "law"], sort=False):
        right = part.assign(right=part["score"] == "right").groupby("column")["right"].mean()
        best = str(right.idxmax())
        if right[best] >= right["attnscale"] + LEAD - 1e-9:
            cells = [rates(part[part["column"] == name], name) for name in ("attnscale", best)]
            lines.append([str(sizes), str(noise), str(law), cells[0], best, cells[1]])
    return table(["sizes", "noise", "law", "attnscale", "better", "its rates"], lines)


def wrong(rows: pd.DataFrame) -> str:
    """The verdicts of attnscale that are wrong, with the seeds that repeat them."""
    found = rows[(rows["column"] == "attnscale") & (rows["score"] == "wrong")]
    columns = ["law", "noise", "grid", "claim", "seed"]
    lines = found[columns].astype(str).assign(claim="`" + found["claim"] + "`").to_numpy().tolist()
    asked = int((rows["column"] == "attnscale").sum())
    return f"{len(found)} of {asked} verdicts.\n\n{table(columns, lines)}"


def coverage(rows: pd.DataFrame) -> str:
    """How often intervals hold the exponents, by level."""
    moving = {truth.name for truth in TRUTHS if truth.window or truth.jump != 1}
    plain = {
        truth.name
        for truth in (*TRUTHS, *ONE_VARIABLE)
        if truth.name not in moving and len(truth.terms) == 1
    }
    groups = {"one law throughout": plain, "window or jump": moving}
    shown = {
        "attnscale": "attnscale",
        "power law, interval": "power law",
        "power law, slowest third": "its slowest third",
    }
    lines = []
    for (sizes, noise), part in rows[rows["is_true"]].groupby(["sizes", "noise"], sort=False):
        for group, laws in groups.items():
            line = [str(sizes), str(noise), group]
            for column in shown:
                some = part[(part["column"] == column) & part["law"].isin(laws)]
                count = int(some["intervals"].sum())
                share = f"{100 * some['inside'].sum() / count:.0f} %" if count else "–"
                width = f"{some['width'].median():.3f}" if count else "–"
                line += [share, width]
            if part["law"].isin(laws).any():
                lines.append(line)
    header = [cell for column in shown.values() for cell in (f"{column} holds", "width")]
    return table(["sizes", "noise", "laws", *header], lines)


def details(rows: pd.DataFrame) -> str:
    """One table for each level, two lines a law."""
    return "\n\n".join(
        f"### {sizes}, {noise}\n\n{scores(part, ['law'])}"
        for (sizes, noise), part in rows.groupby(["sizes", "noise"], sort=False)
    )


def settings(sweeps: int, seed: int, tools: Sequence[str]) -> str:
    """The sweeps, what disturbs them, and the versions."""
    levels = [
        [
            name,
            *(f"{100 * v:g} %" for v in (one.reading, one.shared, one.outliers, one.overhead)),
            f"up to {100 * one.lower:g} %",
        ]
        for name, one in LEVELS.items()
    ]
    header = ["noise", "per reading", "per cell", "outliers", "overhead", "lower-order terms"]
    packages = dict.fromkeys(["numpy", "scipy", "pandas", *(TOOLS[name].package for name in tools)])
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    grids = "; ".join(f"{name.lower()}: {' and '.join(DESIGNS[name])}" for name in DESIGNS)
    made = (
        f"{sweeps} sweeps of each law at each level of noise, {ROUNDS} readings a cell; seed"
        f" {seed}. The grids are those of `tests/calibration/scenarios.py`, in turns ({grids})."
        f" Python {platform.python_version()}, {versions}."
    )
    meaning = (
        "Noise is a standard deviation, of each reading and of all readings of a cell together;"
        " outliers are readings made 1.3 to 4 times as long; overhead is its part of the cell in"
        " the middle of the grid, lower-order terms theirs of the smallest cell."
    )
    return "\n\n".join([fill(made, 100), table(header, levels), fill(meaning, 100)])


def page(rows: pd.DataFrame, *, sweeps: int, seed: int, tools: Sequence[str]) -> str:
    """The whole document."""
    cannot = []
    for name in tools:
        laws = [
            truth.name
            for truths in LAWS.values()
            for truth in truths
            if not TOOLS[name].can_say(parse(truth.true))
        ]
        if laws:
            cannot.append(f"{TOOLS[name].columns[0].partition(',')[0]}: {', '.join(laws)}.")
    left_out = "".join(f" --without {name}" for name in TOOLS if name not in tools)
    return PAGE.format(
        command=f"python docs/comparison.py --sweeps {sweeps} --seed {seed}{left_out}",
        settings=settings(sweeps, seed, tools),
        cannot=fill(
            '- "–" stands where a tool has no model that could be right; its totals for true claims'
            f" leave such laws out. {' '.join(cannot)}",
            100,
            subsequent_indent="  ",
        ),
        overall=scores(rows, ["sizes", "noise"]),
        lead=f"{100 * LEAD:g}",
        better=better(rows),
        wrong=wrong(rows),
        coverage=coverage(rows),
        details=details(rows),
    )


# --- the command --------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def whole(text: str) -> int:
    """A number of sweeps or processes.

    Raises:
        ArgumentTypeError: the text is no whole number above 0.

    """
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'expected a whole number above 0, got "{text}"; try 20')
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison and write the page; 0 when done, 2 when the request was wrong."""
    parser = _Parser(prog="comparison.py", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--sweeps", type=whole, default=8, help="of each law at each level of noise"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=whole, default=os.cpu_count() or 1, help="processes")
    optional = [name for name, tool in TOOLS.items() if tool.package != "numpy"]
    parser.add_argument("--without", action="append", default=[], choices=optional)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).with_suffix(".md"), help="the page"
    )
    parser.add_argument("--csv", type=Path, help="every answer, a row each")
    options = parser.parse_args(arguments)
    for path in filter(None, (options.out, options.csv)):
        if path.is_dir() or not path.parent.is_dir():
            parser.error(f"expected a file in a folder that exists, got {path}")
    tools = [name for name in TOOLS if name not in options.without]
    for name in tools:
        try:
            importlib.metadata.version(TOOLS[name].package)
        except importlib.metadata.PackageNotFoundError:
            parser.error(
                f"{TOOLS[name].package} is not installed; run pip install -r"
                f" docs/comparison-requirements.txt, or leave it out with --without {name}"
            )
    rows = run(tasks(options.sweeps, options.seed, tools), options.jobs)
    text = page(rows, sweeps=options.sweeps, seed=options.seed, tools=tools)
    options.out.write_text(text, encoding="utf-8")
    if options.csv:
        rows.to_csv(options.csv, index=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
