"""Old and new way of measuring on a machine whose disturbance comes in spells, side by side.

`python tests/calibration/spells.py --sweeps 40 --out FILE.md` simulates sweeps on machines from
quiet to loaded, measures six series by the method of rounds, canaries and retakes and by that of
many short passes, and has the project's judge rule on three of them. FILE.csv has every verdict.

The machine is `spells_machine.py`. All times are in seconds.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from spells_machine import LEVELS, Cells, Floats, Level, Machine, draw_cells

from reports.judge.fit import fit
from reports.judge.result import Fit
from reports.tables.rounds import quiet_end

SIZES = {"n": "seq_len", "d": "d_model"}
TRUE = "n^2*d"
FALSE = ("n*d", "n^1.8*d", "n^2.2*d", "n^2", "n^3*d", "n*d^2")
MEASURING_S = 200.0  # both methods may measure for as long
LAYOUT = 0.005  # what a process has of its own in each cell: where its memory lies

PROCESSES, TURN_S = 3, 12.0
VISIT_S, LONG_S, RAREST = 0.003, 0.010, 4
PRECISION, READINGS_TO_KNOW = 0.03, 4

ROUNDS, RETAKES, OLD_VISIT_S, OLD_LONG_S, SHORTEST_READING_S = 4, 6, 0.040, 5e-3, 1e-3
ENOUGH_QUIET = 3
CORE_BAND, MEMORY_BAND, USUAL_SHARE = 1.3, 1.15, 0.2
# Counting in Python takes twice as long at worst, and so does reading memory (docs/measuring.md).
CORE_CANARY, MEMORY_CANARY = 1.0, 1.4

DECIDING = ("old", "new, quickest of 5", "new, stops early", "new, waits left in")
Statistic = Callable[[Floats], float]


STATISTICS: dict[str, Statistic] = {
    "quickest of 5": quiet_end,
    "quickest of 10": partial(quiet_end, drawn=10),
    "minimum": lambda readings: float(readings.min()),
    "5 %": lambda readings: float(np.quantile(readings, 0.05)),
    "10 %": lambda readings: float(np.quantile(readings, 0.1)),
    "median": lambda readings: float(np.median(readings)),
    "mean": lambda readings: float(readings.mean()),
}
CHOSEN = quiet_end


def passes(
    machine: Machine, cells: Cells, rng: np.random.Generator, seconds: float = MEASURING_S
) -> pd.DataFrame:
    """Every reading of the new method: `cell`, `worker`, `ended_s`, `time_s`, `waited_s`.

    `waited_s` is the part in which the scheduler let others run, which Linux tells of a thread.
    """
    own = np.exp(rng.normal(0, LAYOUT, (PROCESSES, len(cells))))
    every = np.minimum(RAREST, np.ceil(cells.cost / LONG_S)).astype(int)
    first = rng.integers(0, every)
    number, now, parts = np.zeros(PROCESSES, dtype=int), 0.0, []
    while now < seconds:
        worker = int(now // TURN_S) % PROCESSES
        taking = np.flatnonzero((number[worker] + first) % every == 0)
        number[worker] += 1
        order = rng.permutation(taking)
        call = cells.cost[order] * own[worker, order]
        untimed = np.where(call < LONG_S, call, 0.0)
        calls = np.ceil(VISIT_S / call)
        took = untimed + calls * call
        for _ in range(3):  # when a visit begins depends on how long those before it took
            begun = now + np.concatenate([[0.0], np.cumsum(took)[:-1]]) + untimed
            timed = machine.elapsed(begun, calls * call, cells, order)
            took = untimed + timed
        now += float(took.sum())
        waited = machine.lost(begun, calls * call)
        read = timed / calls * machine.rest(order.size)
        part = {"cell": order, "worker": worker, "ended_s": begun + timed, "time_s": read}
        parts.append(pd.DataFrame({**part, "waited_s": waited / calls}))
    table = pd.concat(parts, ignore_index=True)
    return table[table["ended_s"] <= seconds]


def values_of(readings: pd.DataFrame, cells: Cells, statistic: Statistic = CHOSEN) -> pd.DataFrame:
    """A row a cell and process: this statistic of its readings."""
    by = readings.groupby(["cell", "worker"])["time_s"]
    return with_sizes(by.agg(lambda one: statistic(one.to_numpy())).reset_index(), cells)


def with_sizes(rows: pd.DataFrame, cells: Cells) -> pd.DataFrame:
    """The rows with the columns that the judge takes, and `series`."""
    at = rows["cell"].to_numpy()
    return rows.assign(seq_len=cells.n[at], d_model=cells.d[at], series=cells.series[at])


def usual_pace(canaries: Floats, width: float) -> tuple[float, float]:
    """The quickest band that holds a fifth of all canaries, up to a quarter of it left out."""
    ordered = np.sort(canaries)
    counts = np.searchsorted(ordered, ordered * width, "right") - np.arange(ordered.size)
    dense = np.flatnonzero(counts >= USUAL_SHARE * ordered.size)
    first = int(dense[0]) if dense.size else int(counts.argmax())
    if dense.size:
        first += int(counts[first : first + counts[first] // 4 + 1].argmax())
    return float(ordered[first]) * 0.99, float(ordered[first]) * width


def rounds(
    machine: Machine, cells: Cells, rng: np.random.Generator, seconds: float = MEASURING_S
) -> pd.DataFrame:
    """Every visit of the old method: `cell`, `round`, `worker`, `noisy`, `time_s`.

    Waiting for the pace, canaries beside every sample, the median of the samples that count, and
    rounds that make up for noisy visits. The pace is that of the whole run, known from the start.
    """
    heard = rng.uniform(0, seconds, 2000)
    usual = [
        (track, by, usual_pace((1 + by * track.at(heard)) * machine.rest(2000), width))
        for track, by, width in (
            (machine.core, CORE_CANARY, CORE_BAND),
            (machine.neighbour, MEMORY_CANARY, MEMORY_BAND),
        )
    ]

    def at_pace(when: float, cell: int) -> bool:
        told = usual if cells.memory[cell] else usual[:1]
        return all(low <= 1 + by * track.at_one(when) <= high for track, by, (low, high) in told)

    def visit(now: float, cell: int, call: float, patience: int) -> tuple[float, float, bool]:
        """When it ends, its value, and whether it is noisy."""
        calls = math.ceil(SHORTEST_READING_S / call)
        now += machine.took(now, (1 if call > OLD_LONG_S else 3) * calls * call, cell, cells)
        wait = patience * max(OLD_VISIT_S, call)
        samples, counting, lost, begun = list[float](), list[float](), 0.0, now
        while True:
            while wait > 0 and not at_pace(now, cell):
                now, wait = now + 5e-4, wait - 5e-4
            took = machine.took(now, calls * call, cell, cells)
            lost += machine.lost_one(now, calls * call)
            samples.append(took / calls * float(machine.rest(1)[0]))
            if at_pace(now, cell) and at_pace(now + took, cell):
                counting.append(samples[-1])
            now += took
            so_far = calls * sum(counting if wait > 0 else samples)
            spent = calls * sum(samples) >= patience * OLD_VISIT_S
            least = 2 if call > OLD_LONG_S else 1  # long calls are warm when two agree
            if len(samples) >= least and (spent or so_far >= OLD_VISIT_S):
                break
        used = np.array(counting or samples)
        few = used.size < 4
        spread = np.ptp(used) if few else np.diff(np.quantile(used, (0.25, 0.75)))[0]
        noisy = spread > (0.25 if few else 0.1) * np.median(used)
        noisy |= 3 * len(counting) < len(samples) or lost > 0.05 * (now - begun)
        return now, float(np.median(used)), bool(noisy)

    now, quiet, rows = 0.0, np.zeros(len(cells), dtype=int), []
    for number in range(ROUNDS + RETAKES):
        chosen = np.arange(len(cells)) if number < ROUNDS else np.flatnonzero(quiet < ENOUGH_QUIET)
        own = np.exp(rng.normal(0, LAYOUT, len(cells)))
        for cell in rng.permutation(chosen).tolist():
            if now > seconds:
                break
            call = float(cells.cost[cell] * own[cell])
            now, value, noisy = visit(now, cell, call, 1 if number < ROUNDS else 3)
            quiet[cell] += not noisy
            rows.append((cell, number, number, noisy, value))
    columns = ["cell", "round", "worker", "noisy", "time_s"]
    return with_sizes(pd.DataFrame(rows, columns=columns), cells)


def judged(table: pd.DataFrame, claim: str) -> Fit:
    """The judge's answer on one series."""
    columns = [c for c in ("seq_len", "d_model", "round", "worker", "noisy") if c in table]
    return fit(table[[*columns, "time_s"]], sizes=SIZES, claim=claim, other=False)


def half_width(found: Fit, name: str) -> float:
    """Half the interval of an exponent, infinite where it has none."""
    one = found.exponents[name]
    return math.inf if one.low is None or one.high is None else (one.high - one.low) / 2


def stopped(readings: pd.DataFrame, cells: Cells, series: int) -> pd.DataFrame:
    """What a series has when its sweep ends as soon as both intervals are narrow."""
    cycle = PROCESSES * TURN_S
    own = readings[cells.series[readings["cell"]] == series]
    for end in np.arange(cycle, MEASURING_S, cycle):
        seen = own[own["ended_s"] <= end]
        if seen.groupby(["cell", "worker"]).size().min() < READINGS_TO_KNOW:
            continue
        table = values_of(seen, cells)
        found = judged(table, TRUE)
        if max(half_width(found, name) for name in SIZES) <= PRECISION:
            return table.assign(until_s=end)
    return values_of(own, cells).assign(until_s=MEASURING_S)


def outcome(table: pd.DataFrame, claim: str) -> dict[str, object]:
    """One verdict, as a row."""
    found = judged(table, claim)
    row: dict[str, object] = {
        "claim": claim,
        "verdict": str(found.verdict),
        "reasons": " ".join(found.reasons),
        "residual": found.rms_residual,
    }
    for name, power in (("n", 2.0), ("d", 1.0)):
        one = found.exponents.get(name)
        if one is not None and one.low is not None and one.high is not None and claim == TRUE:
            row |= {f"{name}_low": one.low, name: one.estimate, f"{name}_high": one.high}
            row[f"{name}_held"] = bool(one.low <= power <= one.high)
            row[f"{name}_half"] = (one.high - one.low) / 2
    return row


def sweep(level: Level, number: int) -> Iterator[dict[str, object]]:
    """One sweep measured both ways, and every verdict on it."""
    rng = np.random.default_rng([number, LEVELS.index(level)])
    cells = draw_cells(rng)
    machine = Machine(level, rng, 1.3 * MEASURING_S)
    readings = passes(machine, cells, rng)
    values = {"old": rounds(machine, cells, rng)}
    if level.preempted:
        values["new, waits left in"] = values_of(readings, cells)
    readings["time_s"] -= readings["waited_s"]
    values |= {f"new, {name}": values_of(readings, cells, one) for name, one in STATISTICS.items()}
    false = FALSE[number % len(FALSE)]
    for series, kind in cells.judged.items():
        tables = {name: one[one["series"] == series] for name, one in values.items()}
        tables["new, stops early"] = stopped(readings, cells, series)
        for method, table in tables.items():
            until = float(table["until_s"].iloc[0]) if "until_s" in table else MEASURING_S
            for claim in (TRUE, false) if method in DECIDING else (TRUE,):
                about = {"level": level.name, "sweep": number, "kind": kind, "method": method}
                yield {**about, "until_s": until, **outcome(table, claim)}


def table_of(rows: pd.DataFrame) -> str:
    """Method by level: decisive, wrong, coverage, half-width, seconds."""
    lines = [
        "| machine | method | true: confirmed | false: refuted | wrong | n held | d held |"
        " n ± (median) | until |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for (level, method), those in rows.groupby(["level", "method"], observed=True):
        true, false = those[those["claim"] == TRUE], those[those["claim"] != TRUE]
        wrong = (true["verdict"] == "refuted").sum() + (false["verdict"] == "confirmed").sum()
        refuted = f"{(false['verdict'] == 'refuted').mean():.0%}" if len(false) else "–"
        held = [f"{true[f'{name}_held'].dropna().astype(float).mean():.0%}" for name in SIZES]
        lines.append(
            f"| {level} | {method} | {(true['verdict'] == 'confirmed').mean():.0%} | {refuted} | "
            f"{wrong} of {len(those)} | {' | '.join(held)} | {true['n_half'].median():.3f} | "
            f"{true['until_s'].mean():.0f} s |"
        )
    return "\n".join(lines)


def likeness(sweeps: int = 10) -> str:
    """What an SDPA-like series shows on each machine, beside what was measured."""
    lines = [
        "| machine | neighbours for so much of the time: core, memory | median call over its"
        " quickest, n = 256, 1024, 4096 | a minute's quickest reading moves by | its median by |",
        "|---|---:|---:|---:|---:|",
        "| measured, shared | 54 %, 49 % | 1.41, 1.25, 1.20 | 2 to 3 % | 8 to 10 % |",
    ]
    for level in LEVELS:
        seen = pd.DataFrame([_likeness(level, number) for number in range(sweeps)]).mean()
        lines.append(
            "| {} | {core:.0%}, {memory:.0%} | {n256:.2f}, {n1024:.2f}, {n4096:.2f} |"
            " {quickest:.1%} | {median:.1%} |".format(level.name, **seen)
        )
    return "\n".join(lines)


def _likeness(level: Level, number: int) -> dict[str, float]:
    rng = np.random.default_rng([number, LEVELS.index(level)])
    cells = draw_cells(rng)
    machine = Machine(level, rng, 1.3 * MEASURING_S)
    at = rng.uniform(0, MEASURING_S, 10_000)
    seen = with_sizes(passes(machine, cells, rng), cells)
    seen = seen[(seen["series"] == 0) & (seen["d_model"] == 64)]
    by_size = seen.groupby("seq_len")["time_s"]
    over = by_size.median() / by_size.min()
    minutes = seen.groupby(["seq_len", (seen["ended_s"] // 60).clip(upper=2)])["time_s"]
    moves = {"quickest": minutes.min(), "median": minutes.median()}
    return {
        "core": float((machine.core.at(at) > 0).mean()),
        "memory": float((machine.neighbour.at(at) > 0).mean()),
        **{f"n{n}": float(over[n]) for n in (256, 1024, 4096)},
        **{name: float(np.log(m.unstack()).std(axis=1).mean()) for name, m in moves.items()},
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, judge, count and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=40, help="of each level")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    found: list[dict[str, object]] = []
    for number in range(options.sweeps):
        for level in LEVELS:
            found += sweep(level, number)
        print(f"{number + 1} of {options.sweeps} sweeps", flush=True)
        rows = pd.DataFrame(found)
        names = [level.name for level in LEVELS]
        rows["level"] = pd.Categorical(rows["level"], names)
        deciding = rows["method"].isin(DECIDING)
        parts = (table_of(rows[deciding]), table_of(rows[~deciding]), likeness())
        options.out.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
        rows.to_csv(options.out.with_suffix(".csv"), index=False)


if __name__ == "__main__":
    main()
