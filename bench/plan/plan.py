"""The grid of a sweep: series of cases from a preset, a TOML file or flags."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from implementations.case import Case, Growth, MaskKind, Pass
from implementations.naming import did_you_mean

MAX_SIZE = 2**24
PRESETS = resources.files("bench.plan") / "presets"
# Less would not even start the measuring processes.
SHORTEST_BUDGET_S = 10.0


class PlanError(ValueError):
    """A sweep that was asked for wrongly; the message is one line for the user."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """Cells of some implementations in which only seq_len and d_model vary.

    With `num_heads` None the heads grow with d_model (`head_dim` fixed); with a number the head
    grows instead. `kv_heads` says how many heads keys and values have: "h" as many as queries,
    "h/4" one for four of them, "1" one for all. With a `query_len` the seq_lens are those of keys,
    which so many queries meet: 1 is a step of decoding, more a chunk of prefill. The sizes of an
    `open_ended` series end where this machine needs more than the plan's limit a call, or has too
    little memory: what lies beyond is no part of the run.
    """

    implementations: tuple[str, ...]
    seq_lens: tuple[int, ...]
    d_models: tuple[int, ...]
    head_dim: int = 64
    num_heads: int | None = None
    kv_heads: str = "h"
    query_len: int | None = None
    window: int | None = None
    batch: int = 1
    dtype: str = "float32"
    device: str = "cpu"
    pass_: Pass = "forward"
    is_causal: bool = False
    mask: MaskKind = "none"
    open_ended: bool = False

    @property
    def growth(self) -> Growth:
        """What grows with d_model: `heads` or `head_dim`."""
        return "heads" if self.num_heads is None else "head_dim"

    def cases(self) -> Iterator[Case]:
        """The cases, smaller sizes first.

        Raises:
            PlanError: a width that is no multiple of the fixed head_dim or num_heads.

        """
        fixed = self.head_dim if self.num_heads is None else self.num_heads
        for seq_len in self.seq_lens:
            for d_model in self.d_models:
                if fixed <= 0 or d_model % fixed:
                    name = "head_dim" if self.num_heads is None else "num_heads"
                    raise PlanError(
                        f"d_model {d_model} is not a multiple of {name} {fixed}; "
                        f"choose widths that are, or set {name} in a --config"
                    )
                growing = d_model // fixed
                num_heads = growing if self.num_heads is None else fixed
                yield Case(
                    batch=self.batch,
                    num_heads=num_heads,
                    num_kv_heads=_kv_heads(self.kv_heads, num_heads),
                    seq_len=self.query_len or seq_len,
                    key_len=seq_len,
                    window=self.window,
                    head_dim=fixed if self.num_heads is None else growing,
                    dtype=self.dtype,
                    device=self.device,
                    pass_=self.pass_,
                    is_causal=self.is_causal,
                    mask=self.mask,
                    growth=self.growth,
                )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that determines a sweep, apart from the machine.

    `call_limit_s` is the longest call that is measured at all. Three processes make passes over all
    cells in turns of `turn_s` seconds, one pass at least; a turn is a round of the records. The
    sweep ends when the exponents are known to within `precision` (None: it does not look), when
    `time_budget_s` is spent, checks included, or after so many `rounds`, whichever comes first.
    `energy` adds seconds of calls a cell for the energy of a call.
    """

    series: tuple[Series, ...]
    title: str = ""
    rounds: int | None = None
    turn_s: float = 10.0
    precision: float | None = None
    time_budget_s: float = 240.0
    call_limit_s: float = 1.0
    energy: bool = False
    seed: int = 0
    specs: tuple[str, ...] = ()
    threads: int | None = None
    allocator: str = "pinned"

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON data, the form of `run.json` and of a TOML file."""
        row = asdict(self)
        row["series"] = [
            {name.rstrip("_"): value for name, value in series.items()} for series in row["series"]
        ]
        return row


def read_plan(source: Mapping[str, Any], where: str) -> Plan:
    """A plan from TOML or JSON data; `where` names it in errors.

    Raises:
        PlanError: an unknown or missing field, or a value that does not fit.

    """
    rows = source.get("series")
    if not isinstance(rows, list) or not rows:
        raise PlanError(f"{where}: a plan needs at least one [[series]]")
    _check_fields(source, Plan, where)
    specs = _texts(source.get("specs", ()), f"{where}: specs must be a list of kernels")
    read = {"series": tuple(_read_series(row, where) for row in rows), "specs": specs}
    plan = Plan(**{**source, **read})
    for name in ("rounds", "turn_s", "call_limit_s", "precision", "threads"):
        value = getattr(plan, name)
        if value is not None and not 0 < value < math.inf:
            raise PlanError(f"{where}: {name} must be positive, got {value}")
    if not SHORTEST_BUDGET_S <= plan.time_budget_s < math.inf:
        raise PlanError(
            f"{where}: time_budget_s must be at least {SHORTEST_BUDGET_S:.0f}, got "
            f"{plan.time_budget_s}"
        )
    if plan.allocator not in ("pinned", "default"):
        raise PlanError(f"{where}: allocator must be pinned or default, got {plan.allocator!r}")
    for series in plan.series:
        _check_lengths(series, where)
        try:
            list(series.cases())
        except ValueError as problem:
            raise PlanError(f"{where}: {problem}") from None
    return plan


def _check_lengths(series: Series, where: str) -> None:
    if series.is_causal and series.mask != "none":
        raise PlanError(f"{where}: is_causal and mask {series.mask!r} exclude each other")
    if series.query_len is None:
        return
    if not 1 <= series.query_len <= min(series.seq_lens):
        raise PlanError(
            f"{where}: query_len must lie from 1 to the shortest of seq_lens, "
            f"{min(series.seq_lens)}, got {series.query_len}"
        )
    if series.is_causal or series.window is not None:
        # Queries would stand at the beginning of the keys, and see next to none of them.
        name = "is_causal" if series.is_causal else "window"
        raise PlanError(f"{where}: query_len and {name} exclude each other; give one of them")


def _kv_heads(text: str, num_heads: int) -> int:
    """The heads of keys and values beside so many of queries.

    Raises:
        PlanError: it is no number of heads, or one that does not divide them.

    """
    match = re.fullmatch(r"(h/)?([1-9]\d{0,8})|h", text, flags=re.ASCII)
    if match is None:
        raise PlanError(f"kv_heads must be a number such as 1, or h/4, got {text!r}")
    number = int(match[2] or num_heads)
    if num_heads % number:
        raise PlanError(
            f"kv_heads {text} does not divide {num_heads} heads; choose wider models or other heads"
        )
    return num_heads // number if match[1] else number


def presets() -> tuple[str, ...]:
    """The names of the presets that come with the suite."""
    files = (file.name for file in PRESETS.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml")))


def load_preset(name: str) -> Plan:
    """The preset of that name.

    Raises:
        PlanError: there is none.

    """
    if name not in presets():
        near = did_you_mean(name, presets())
        raise PlanError(f"there is no preset {name!r}; there are {', '.join(presets())}{near}")
    text = (PRESETS / f"{name}.toml").read_text(encoding="utf-8")
    return read_plan(tomllib.loads(text), f"preset {name}")


def load_config(path: Path) -> Plan:
    """The plan in a TOML file of the user's.

    Raises:
        PlanError: the file is missing, is not TOML, or is no plan.

    """
    try:
        return read_plan(tomllib.loads(path.read_text(encoding="utf-8")), str(path))
    except OSError as problem:
        raise PlanError(f"--config {path}: {problem.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise PlanError(f"--config {path}: not TOML: {problem}") from None


def parse_sizes(text: str, option: str) -> tuple[int, ...]:
    """Sizes such as `128:8192` (doubling), `128:8192/2` (one between), `96,192,500`, or mixed.

    They come back ascending, each once. Between n and 2·n lies 1.5·n.

    Raises:
        PlanError: anything else; the message names the option and the part that does not fit.

    """
    sizes: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(
            r"\s*(\d{1,18})\s*(?::\s*(\d{1,18})\s*(/\s*2\s*)?)?", part, flags=re.ASCII
        )
        if match is None:
            raise PlanError(
                f"{option}: {part.strip()!r} is not a size; sizes look like 128:8192, "
                "128:8192/2 or 96,192,500"
            )
        first = int(match[1])
        last = int(match[2] or first)
        if not 0 < first <= last <= MAX_SIZE:
            raise PlanError(
                f"{option}: {part.strip()!r} must lie from 1 to {MAX_SIZE}, and a range ascend"
            )
        while first <= last:
            sizes.add(first)
            if match[3] and first % 2 == 0 and first + first // 2 <= last:
                sizes.add(first + first // 2)
            first *= 2
    return tuple(sorted(sizes))


def parse_duration(text: str, option: str, shortest_s: float = SHORTEST_BUDGET_S) -> float:
    """Seconds of a duration such as `90s`, `5min`, `1.5h` or `90`.

    Raises:
        PlanError: anything else; the message names the option.

    """
    match = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(s|min|m|h)?\s*", text, flags=re.ASCII)
    if match is None:
        raise PlanError(f"{option}: {text!r} is no duration; durations look like 90s, 5min or 1h")
    seconds = float(match[1]) * {"s": 1, "min": 60, "m": 60, "h": 3600}[match[2] or "s"]
    if seconds < shortest_s:
        raise PlanError(f"{option}: expected at least {shortest_s:g}s, got {text.strip()}")
    return seconds


def _read_series(row: Any, where: str) -> Series:
    if not isinstance(row, Mapping):
        raise PlanError(f"{where}: [[series]] must be a table, got {row!r}")
    values = {("pass_" if name == "pass" else name): value for name, value in row.items()}
    if type(values.get("kv_heads")) is int:
        values["kv_heads"] = str(values["kv_heads"])
    _check_fields(values, Series, f"{where}: [[series]]")
    for name in ("seq_lens", "d_models"):
        value = values[name]
        text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        values[name] = parse_sizes(text, f"{where}: {name}")
    expected = f"{where}: implementations must be a list of names"
    values["implementations"] = _texts(values["implementations"], expected, fewest=1)
    return Series(**values)


def _texts(values: Any, expected: str, *, fewest: int = 0) -> tuple[str, ...]:
    is_list = isinstance(values, list | tuple) and len(values) >= fewest
    if not is_list or not all(isinstance(v, str) for v in values):
        raise PlanError(f"{expected}, got {values!r}")
    return tuple(values)


def _check_fields(row: Mapping[str, Any], kind: type, where: str) -> None:
    known = {f.name: f for f in fields(kind)}
    for name, value in row.items():
        if name not in known:
            names = [n.rstrip("_") for n in known]
            near = did_you_mean(name, names)
            shown = ", ".join(names)
            raise PlanError(f"{where}: unknown field {name!r}; there are {shown}{near}")
        declared = str(known[name].type)
        expected = _EXPECTED.get(declared.removesuffix(" | None"))
        if expected is None or (value is None and declared.endswith("None")):
            continue
        if not isinstance(value, expected) or isinstance(value, bool) != (expected is bool):
            raise PlanError(f"{where}: {name} must be {declared}, got {value!r}")
    for name, field in known.items():
        if field.default is MISSING and name not in row:
            raise PlanError(f"{where}: {name} is missing")


_EXPECTED = {"int": int, "float": int | float, "str": str, "bool": bool}
