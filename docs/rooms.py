"""Draws docs/rooms.svg, the rooms of the house, from the imports: `python docs/rooms.py`.

A package is a floor; a folder in the package is a room. Files beside the folders share a box.
An arrow says that the upper box imports the lower one; what other arrows imply is left out.
"""

import ast
import re
from collections.abc import Iterator
from html import escape
from itertools import combinations, pairwise, permutations
from pathlib import Path
from textwrap import wrap

ROOT = Path(__file__).resolve().parents[1]
PICTURE = Path(__file__).with_suffix(".svg")
FLOORS = {"attnscale": "#a46", "reports": "#46a", "bench": "#385", "implementations": "#862"}
WIDTH, BOX, LINE, GAP, BESIDE = 900, 264, 15, 32, 3
HEAD = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} %d"
 font-family="Helvetica, Arial, sans-serif" font-size="12" fill="#333">
<title>The rooms of attnscale: four floors, and the imports between the rooms of each</title>
<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0L8 4L0 8z" fill="#666"/></marker><rect width="100%%" height="100%%" fill="white"/>"""
Graph = dict[str, set[str]]


def modules(path: Path) -> list[Path]:
    """The modules of a folder, or the file itself."""
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def purpose(path: Path) -> str:
    """The first sentence of what a folder or a file says about itself."""
    text = (path / "__init__.py" if path.is_dir() else path).read_text(encoding="utf-8")
    words = " ".join((ast.get_docstring(ast.parse(text)) or "").replace("`", "").split())
    return re.split(r"(?<=[.?!]) ", words)[0].rstrip(".")


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """The package and the room of everything that a room imports."""
    for file in modules(path):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                origin = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                names = [".".join([*origin, alias.name]).split(".") for alias in node.names]
                yield from ((parts[0], parts[1]) for parts in names if len(parts) > 1)


def below(graph: Graph, box: str) -> set[str]:
    """All that a box imports, directly or not."""
    return graph[box].union(*(below(graph, other) for other in graph[box]))


def rooms(package: str) -> tuple[dict[str, list[Path]], Graph]:
    """The boxes of a floor with the paths in each, and the other boxes that each imports."""
    entries = [p for p in sorted((ROOT / package).iterdir()) if p.is_dir() or p.suffix == ".py"]
    paths = {p.stem: p for p in entries if modules(p) and p.stem != "__init__"}
    graph = {
        name: {room for floor, room in imported(path) if floor == package} & paths.keys() - {name}
        for name, path in paths.items()
    }
    folders = {name for name, path in paths.items() if path.is_dir()}
    kind = {n: n if n in folders else bool(below(graph, n) & folders) for n in paths}
    box_of = {n: ", ".join(other for other in paths if kind[other] == kind[n]) for n in paths}
    boxes = {box: [paths[name] for name in box.split(", ")] for box in sorted({*box_of.values()})}
    return boxes, {b: {box_of[to] for p in boxes[b] for to in graph[p.stem]} - {b} for b in boxes}


def levels(graph: Graph) -> list[list[str]]:
    """The boxes from the lowest level to the highest: each stands above all that it imports.

    A level has room for `BESIDE` boxes; the others stand higher than they need to.
    """
    rows: list[list[str]] = []
    while pending := graph.keys() - {box for row in rows for box in row}:
        rows.append(sorted(box for box in pending if not graph[box] & pending)[:BESIDE])
    return rows


def places(rows: list[list[str]], graph: Graph) -> dict[str, int]:
    """The place of every box, -2 to 2: short arrows, none of them through a box."""
    level = {box: at for at, row in enumerate(rows) for box in row}

    def cost(at: dict[str, int]) -> float:
        total = sum(place**2 for place in at.values()) / 10
        for upper, lower in ((a, b) for a in graph for b in graph[a]):
            slope = (at[upper] - at[lower]) / (level[upper] - level[lower])
            passed = [box for box in at if level[lower] < level[box] < level[upper]]
            beside = [at[lower] + slope * (level[box] - level[lower]) - at[box] for box in passed]
            total += (at[upper] - at[lower]) ** 2 + 100 * sum(abs(gap) < 1.2 for gap in beside)
        return total

    best = {box: 2 * at - len(row) + 1 for row in rows for at, box in enumerate(row)}
    for row in [*rows, *reversed(rows)] * 2:
        chosen = combinations(range(-2, 3), len(row))
        apart = [c for c in chosen if all(b - a > 1 for a, b in pairwise(c))]
        ways = [best | dict(zip(p, c, strict=True)) for c in apart for p in permutations(row)]
        best = min(ways, key=cost)
    return best


def text(x: float, y: int, words: str, more: str = "") -> str:
    """A line of text; `more` are attributes."""
    return f'<text x="{x:.0f}" y="{y}" {more}>{escape(words)}</text>'


def floor(package: str, top: int, drawn: list[str]) -> int:
    """Add the elements of SVG that draw a floor; where the next floor begins."""
    colour, (paths, direct) = FLOORS[package], rooms(package)
    graph = {box: direct[box].difference(*(below(direct, o) for o in direct[box])) for box in paths}
    place = places(rows := levels(graph), graph)
    lines = {box: wrap(purpose(p[0]) if len(p) == 1 else box, 36) for box, p in paths.items()}
    found = {use for use in imported(ROOT / package) if use[0] in FLOORS.keys() - {package}}
    used = [f"from {f}: {', '.join(sorted(r for g, r in found if f == g))}" for f in FLOORS]
    head = wrap("; ".join(line for line in used if line[-1] != " "), 130)
    y = top + 42 + LINE * len(head)
    at: dict[str, tuple[float, int, int]] = {}  # the middle, the top and the foot of a box
    for row in reversed(rows):
        foot = y + 26 + LINE * max(len(lines[box]) for box in row)
        at |= {box: (WIDTH / 2 + BOX * 0.53 * place[box], y, foot) for box in row}
        y = foot + GAP
    bold = f'font-size="{{}}" font-weight="bold" fill="{colour}"'.format
    rectangle = '<rect x="{:.0f}" y="{}" width="{}" height="{}" rx="6" {}/>'.format
    drawn += [
        rectangle(8, top, 884, y - GAP + 16 - top, f'fill="{colour}" fill-opacity="0.09"'),
        text(24, top + 25, package, bold(17)),
        text(876, top + 25, purpose(ROOT / package), 'text-anchor="end"'),
        *(text(24, top + 45 + LINE * i, line, 'fill="#666"') for i, line in enumerate(head)),
    ]
    for box, (middle, start, foot) in at.items():
        left, count = middle - BOX / 2, sum(len(modules(path)) for path in paths[box])
        drawn += [
            rectangle(left, start, BOX, foot - start, f'fill="white" stroke="{colour}"'),
            text(left + 10, start + 18, box if len(paths[box]) == 1 else "files", bold(13)),
            text(left + BOX - 10, start + 18, f"modules: {count}", 'text-anchor="end" fill="#666"'),
            *(text(left + 10, start + 35 + LINE * i, line) for i, line in enumerate(lines[box])),
        ]
        for x, tip in sorted(at[lower][:2] for lower in graph[box]):
            line = f"M{middle:.0f} {foot}L{x:.0f} {tip - 2}"
            drawn.append(f'<path d="{line}" stroke="#666" marker-end="url(#tip)"/>')
    return y - GAP + 28


def picture() -> str:
    """The whole house as SVG."""
    drawn, end = list[str](), 8
    for package in FLOORS:
        end = floor(package, end, drawn)
    return "\n".join([HEAD % end, *drawn, "</svg>\n"])


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
