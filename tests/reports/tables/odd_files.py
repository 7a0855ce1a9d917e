"""Files of any kind, whole and damaged, and what may be asked of them, as hypothesis draws them."""

import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from hypothesis import strategies as st

SAMPLES = Path(__file__).with_name("samples")
FOLDERS = (SAMPLES / "criterion", SAMPLES / "asv" / "results", SAMPLES / "asv", SAMPLES)
FILES = sorted(
    path
    for path in SAMPLES.rglob("*")
    if path.is_file() and "criterion" not in path.parts and path.name != "benchmarks.json"
)
USUAL = {
    "google.json": ("--size", "n=arg0"),
    "google.csv": ("--size", "n=arg0"),
    "critcmp.json": ("--size", "n=input"),
    "jmh.json": ("--size", "n=size"),
    "jmh.txt": ("--size", "n=size"),
    "nvbench.json": ("--size", "n=Elements"),
    "triton.csv": ("--size", "n=N", "--value", "Triton (ms)"),
    "printed.txt": ("--value", "naive_ms"),
    "times.csv": ("--value", "time_ms"),
    "table.md": ("--value", "time (µs)"),
    "extra_p.txt": ("--value", "time"),
    "extra_p.json": ("--value", "time"),
    "extra_p.jsonl": ("--value", "time"),
    "talpas.txt": ("--value", "time"),
    "aaaaaaaa-virtualenv-py3.12.json": ("--size", "n=arg0"),
    "bbbbbbbb-virtualenv-py3.12.json": ("--size", "n=arg0"),
}
"""Without these, half of the samples are not judged; see docs/formats.md."""
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")

LAWS = ("n", "n^2", "n^3", "n*log(n)", "1", "n^2*d", "n^2*d + n*d^2", "sqrt(n)", "O(n²)", "n lg n")
NO_LAWS = ("", "n^^2", "2^n", "n!", "n^999", "n^-1", "n^1e9", "n^nan", "n^2@d", "é", "n" * 999)
NO_LAWS += ("(" * 999, "x*y*z", "n^2\nd", "+".join(f"n^{power}" for power in range(1, 40)), "\x00n")


def words(text: str) -> list[str]:
    """The words of a text, empty ones too."""
    return text.split(" ")


OPTIONS = {
    "--size": words("n=n n=N n=size n=arg0 d=d b=batch h=heads n=nope n= =n 1=n n=time_s n=kernel")
    + words("n=status é=n n=x\ny"),
    "--value": words("time_s time_ms time* * memory_bytes GB/s nope  [ n kernel ******** heads"),
    "--by": words("kernel dtype heads kernel,dtype nope n time_s  , status"),
    "--where": words("status=ok heads=16 n!=2 dtype= = ! nope=1 n=1e400 n==64 kernel=a heads!=")
    + words("n=2^10 time_s=nan"),
    "--average": words("heads dtype nope n time_s kernel,heads "),
    "--claim": [*LAWS, *NO_LAWS],
    "--predict": words("n=65536 n=65536,d=1024 n=1e400 n=-1 n= x n=0 n=1e300 d=5 n=nan n=1,n=2")
    + words("batch=3"),
    "--budget": words("2s 24GiB 2s,d=1024 -1s 1e400s x 0s 1e-300s 1e300s 5"),
    "--confidence": words("0.95 0.5 0.51 nan x 0.999999999 1e400 0.99"),
    "--tolerance": words("0.1 0.01 nan 0.4999 0 1e-12"),
    "--statistic": words("quiet median min max "),
}
OF_REPORT = ("--size", "--value", "--by", "--where", "--claim")

CELLS = ("", "nan", "inf", "-inf", "-", "OOM", "0", "-1", "1e400", "1e-400", "5e-324", "1.7e308")
CELLS += ("9" * 400, "9" * 5000, "1_000", "1k", "64K", "2^10", "2^5000", "n=256", "1,024", "1.024")
CELLS += ("0,5", "true", "\x00", "😀", '"', "a\nb", "µs", "12 ms", "3 GB/s", "0x10", "١٢", "½")
CELLS += (
    "1 PB",
    "-0",
    "+1",
    "1.",
    ".5",
    "1e",
    "--1",
    "1/2",
    "0.000",
    "1e-999 s",
    "99:59",
    "1 h 2 min",
)
CELLS += ("=1+1", "|", "\u2028", "#", "[1, 2]", '{"a": 1}', "1e309 ms", "\x1b[31m", "[red]", "[/]")
CELLS += ("1" * 17, "1e-310 s", "Infinity", "1e15", "9007199254740993", "3 h", "4 parsecs", "$x$")
OBJECTS = (None, [], {}, [[]], {"a": {}}, True, float("nan"), float("inf"), 10**30, 10**400, -1, 0)
OBJECTS += (1e-320, 1.7e308, "x", [1, 2], {"a": [{"b": 1}]}, {"n": 3}, "😀", "\ud800")
NAMES = ("n", "d", "N", "time_s", "time_ms", "time (µs)", "GB/s", "heads", "dtype", "kernel")
NAMES += ("unit", "worker", "reason", "key_len", "time", "ops/s")
NAMES += ("status", "seq_len", "schema", "claim", "run", "batch", "", "a b", "é", "n,d", "name")
NAMES += ("implementation", "memory_bytes", "value", "threads", "round", "$x$", "[red]", "%s", "{}")
ENCODINGS = ("utf-8",) * 12 + ("utf-8-sig", "utf-16", "utf-16-le", "cp1252", "utf-32", "utf-7")
DELIMITERS = (*(",", ";", "\t", "|", "  ") * 3, " ", ", ", ":")
LINES = ("", "# a note", "A title", "---", ";;;", "//", ",,", "", "", "# n")
SIZES = tuple(2**power for power in range(5, 17))


@dataclass(frozen=True, kw_only=True)
class Input:
    """What stands in the files, and what is asked of them."""

    contents: tuple[bytes, ...]
    asked: tuple[str, ...] = ()
    folder: Path | None = field(default=None)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A table as texts."""

    names: list[str]
    rows: list[list[str]]


@st.composite
def plain_rows(draw: st.DrawFn) -> tuple[int, Rows]:
    """A power, and a table whose cost is that power of its size but for 1 %."""
    power = draw(st.integers(1, 3))
    scale = 10.0 ** draw(st.integers(-9, 2))
    wobbles = draw(st.lists(st.integers(-10, 10), min_size=24, max_size=24))
    rows = [
        [str(n), f"{scale * n**power * (1 + wobble / 1000):.6g}"]
        for n, wobble in zip(SIZES * 2, wobbles, strict=True)
    ]
    return power, Rows(names=["n", "time_s"], rows=rows)


@st.composite
def odd_rows(draw: st.DrawFn) -> Rows:
    """Such a table with other columns, other names, and things in its cells that nobody expects."""
    table = draw(plain_rows())[1]
    names, rows = list(table.names), [list(row) for row in table.rows]
    for name in draw(st.lists(st.sampled_from(NAMES[2:]), max_size=3)):
        kinds = draw(
            st.sampled_from((("4", "16"), ("a", "b"), ("ok", "OOM"), ("True", "False"), SIZES))
        )
        by_cell = draw(st.booleans())
        for at, row in enumerate(rows):
            row.insert(-1, str(kinds[(at // 12 if by_cell else at) % len(kinds)]))
        names.insert(-1, name)
    if draw(st.integers(0, 3)) == 0:
        names[draw(st.integers(0, len(names) - 1))] = draw(st.sampled_from(NAMES))
    for cell in draw(st.lists(st.sampled_from(CELLS), max_size=3)):
        row = rows[draw(st.integers(0, len(rows) - 1))]
        row[draw(st.integers(0, len(row) - 1))] = cell
    column, change = draw(st.integers(0, len(names) - 1)), draw(st.sampled_from(CHANGES))
    for row in rows:
        row[column] = change(row[column])
    return Rows(names=names, rows=rows[: draw(st.sampled_from((0, 1, 5, *(24,) * 12)))])


CHANGES: tuple[Callable[[str], str], ...] = (
    *(str,) * 20,
    lambda text: text.replace(".", ","),
    lambda text: f"{text} ms",
    lambda text: f" {text}\t",
    lambda text: f'"{text}"',
    lambda text: f"{text}e-{len(text)}",
    lambda text: f"-{text}",
    lambda text: f"{text[:1]}e{text[1:]}",
    lambda text: f"{text[:-3]}.{text[-3:]}",
    lambda _: "1",
    lambda _: "",
)


def written(table: Rows, delimiter: str) -> str:
    """The table as a text with that between its columns."""
    if delimiter == "|":
        lines = [table.names, ["---"] * len(table.names), *table.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)
    lines = [table.names, *table.rows]
    if delimiter == "  ":
        return "\n".join("  ".join(f"{cell:>14}" for cell in line) for line in lines)
    marks = ('"', "\n", delimiter)
    return "\n".join(
        delimiter.join(
            '"' + cell.replace('"', '""') + '"' if any(m in cell for m in marks) else cell
            for cell in line
        )
        for line in lines
    )


@st.composite
def text_files(draw: st.DrawFn) -> bytes:
    """A text table: any separator, line end and encoding, with comments and titles."""
    text = written(draw(odd_rows()), draw(st.sampled_from(DELIMITERS)))
    lines = text.split("\n")
    for extra in draw(st.lists(st.sampled_from(LINES), max_size=2)):
        lines.insert(draw(st.integers(0, len(lines))), extra)
    text = draw(st.sampled_from(("\n", "\n", "\r\n", "\r"))).join(lines)
    return text.encode(draw(st.sampled_from(ENCODINGS)), "replace")


JSON_KINDS = ("list", "lines", "nested") * 4


@st.composite
def json_files(draw: st.DrawFn) -> bytes:
    """The rows as JSON: a list, lines, columns, or objects within; with odd things and depths."""
    table = draw(odd_rows())
    rows: list[Any] = [
        {name: number_or_text(cell) for name, cell in zip(table.names, row, strict=True)}
        for row in table.rows
    ]
    for value in draw(st.lists(st.sampled_from(OBJECTS), max_size=3)):
        if rows and isinstance(row := rows[draw(st.integers(0, len(rows) - 1))], dict):
            row[draw(st.sampled_from((*table.names, "params")))] = value
    kind = draw(st.sampled_from((*JSON_KINDS, "columns", "benchmarks", "deep")))
    if kind == "lines":
        return "\n".join(json.dumps(row) for row in rows).encode()
    if kind == "nested":
        rows = [{"params": row, "time_s": row.get("time_s")} for row in rows]
    if kind == "columns":
        rows = [{name: [row.get(name) for row in rows] for name in table.names}]
    document: Any = {"benchmarks": rows} if kind == "benchmarks" else rows
    text = json.dumps(document)
    if kind == "deep":
        depth = draw(st.sampled_from((5, 500, 100_000)))
        opening, closing = draw(st.sampled_from((("[", "]"), ('{"a":', "}"))))
        text = f'[{{"n": 1, "time_s": {opening * depth}1{closing * depth}}}]'
    return text.encode(draw(st.sampled_from(ENCODINGS)), "surrogatepass")


def number_or_text(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


TYPED = (pd.Timestamp(0), pd.Timedelta(1, "s"), b"x", True, None, pd.Interval(0, 1))


@st.composite
def parquet_files(draw: st.DrawFn) -> bytes:
    """The rows as Parquet, whole or with bytes that are cut or changed."""
    table = draw(odd_rows())
    frame = pd.DataFrame(table.rows, columns=table.names, dtype=str)
    frame = frame.loc[:, ~frame.columns.duplicated()].copy()
    if draw(st.booleans()):
        frame = frame.apply(pd.to_numeric, errors="coerce")
    if draw(st.integers(0, 3)) == 0:
        frame[draw(st.sampled_from(NAMES))] = draw(st.sampled_from(TYPED))
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    content = buffer.getvalue()
    return draw(damaged(content)) if draw(st.booleans()) else content


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The bytes with some changed, cut off, repeated, or with other numbers in place of numbers."""
    for _ in range(draw(st.sampled_from((0, 1, 1, 1, 2, 3)))):
        kind = draw(st.sampled_from((*("number",) * 6, "swap", "flip", "cut", "repeat")))
        at = draw(st.integers(0, max(0, len(content) - 1)))
        if kind == "flip":
            byte = draw(st.sampled_from((0, 9, 10, 13, 34, 44, 58, 91, 92, 123, 125, 0x80, 0xFF)))
            content = content[:at] + bytes([byte]) + content[at + 1 :]
        elif kind == "cut":
            content = content[:at]
        elif kind == "repeat":
            end = at + draw(st.integers(0, 200))
            content = content[:end] + content[at:]
        elif kind == "number" and (found := list(NUMBER.finditer(content))):
            where = draw(st.sampled_from(found))
            cell = draw(st.sampled_from((*CELLS, "[]", "{}", "null", "NaN", "-Infinity", '"x"')))
            content = content[: where.start()] + cell.encode() + content[where.end() :]
        elif kind == "swap":
            old, new = draw(st.sampled_from(SWAPS))
            content = content.replace(old, new, draw(st.sampled_from((1, -1))))
    return content


SWAPS = ((b"{", b"["), (b'"', b"'"), (b",", b";"), (b".", b","), (b"\n", b"\r\n"), (b": ", b": -"))
SWAPS += ((b"[", b"[null, "), (b"{", b'{"n": {}, '), (b"e-", b"e+"), (b" ", b""), (b"\n", b""))
SWAPS += (
    (b'": ', b'": ['),
    (b"median", b"mean"),
    (b"name", b"nome"),
    (b"_", b"__"),
    (b"n", b"\xc3\xb1"),
)


@st.composite
def asked(draw: st.DrawFn, names: Sequence[str], usual: Sequence[str]) -> tuple[str, ...]:
    """The usual options of a file, and sometimes others, sound or not."""
    found = [*usual, "--claim", draw(st.sampled_from(LAWS[:5]))]
    for name in draw(
        st.lists(st.sampled_from(names), max_size=draw(st.sampled_from((0, 0, 0, 1, 1, 3))))
    ):
        sound = OPTIONS[name][: max(2, len(OPTIONS[name]) // 3)]
        found += [name, draw(st.sampled_from(sound if draw(st.integers(0, 3)) else OPTIONS[name]))]
    return tuple(found)


ANY_FILE = st.one_of(
    *(text_files(), json_files(), parquet_files()) * 3,
    text_files().flatmap(damaged),
    json_files().flatmap(damaged),
    st.binary(max_size=40),
    st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace")),
)


@st.composite
def inputs(draw: st.DrawFn, names: Sequence[str] = tuple(OPTIONS)) -> Input:
    """Any file, sometimes several, or a folder; and any options."""
    usual: Sequence[str] = ()
    folder = None
    if draw(st.booleans()):
        sample = draw(st.sampled_from(FILES))
        contents = [draw(damaged(sample.read_bytes()))]
        usual = USUAL.get(sample.name, ()) if draw(st.integers(0, 9)) else ()
    else:
        contents = [draw(ANY_FILE)]
    if draw(st.integers(0, 19)) == 0:
        contents.append(draw(ANY_FILE))
    elif draw(st.integers(0, 49)) == 0:
        folder = draw(st.sampled_from(FOLDERS))
    return Input(contents=tuple(contents), asked=draw(asked(names, usual)), folder=folder)
