"""The shape of the repository: who may import whom, and what importing must not cost."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("implementations", "bench", "reports")

ALLOWED = {
    "implementations": {"implementations"},
    "bench": {"bench", "implementations"},
    "reports": {"reports", "bench"},
}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


EVERY = [path for package in PACKAGES for path in modules(package)]


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever it does so: `from a.b import c` gives a.b.c."""
    package = name_of(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def test_there_is_something_to_look_at():
    assert all(len(modules(package)) > 5 for package in PACKAGES)
    assert "bench.records.read_run" in set(imports(ROOT / "reports" / "tables" / "read.py"))


@pytest.mark.parametrize("path", EVERY, ids=name_of)
def test_imports_go_in_one_direction_only(path):
    package = name_of(path).partition(".")[0]
    found = {name.partition(".")[0] for name in imports(path)} & {*PACKAGES, "attnscale", "tests"}

    assert found <= ALLOWED[package]


@pytest.mark.parametrize("path", modules("reports"), ids=name_of)
def test_reports_know_records_only_and_nothing_of_torch(path):
    found = set(imports(path))

    assert {name for name in found if name.partition(".")[0] == "torch"} == set()
    from_bench = {name for name in found if name.partition(".")[0] == "bench"}
    assert all(name.startswith("bench.records") for name in from_bench)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_imports_itself_by_a_detour(package):
    paths = {name_of(path): path for path in modules(package)}
    edges = {
        name: {target if target in paths else target.rpartition(".")[0] for target in imports(path)}
        & paths.keys() - {package}
        for name, path in paths.items()
    }

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        pending = list(edges[start])
        while pending:
            current = pending.pop()
            if current not in seen:
                seen.add(current)
                pending += edges[current]
        return seen

    assert [name for name in edges if name in reachable(name)] == []


def loaded(program: str) -> set[str]:
    """The modules that are loaded after a program has run in a fresh interpreter."""
    text = f"{program}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_importing_all_of_reports_leaves_torch_unloaded():
    names = ", ".join(name_of(path) for path in modules("reports"))

    found = loaded(f"import {names}")

    assert {"reports.judge.fit", "reports.page.page", "bench.records"} <= found
    assert not found & {"torch", "implementations", "bench.plan.plan"}


def test_importing_the_front_door_loads_nothing_heavy():
    found = loaded("import attnscale; attnscale.fit, attnscale.verify, attnscale.sweep")

    assert not found & {"torch", "pandas", "numpy", "matplotlib", "scipy", "rich.console"}


@pytest.mark.parametrize("folder", ["attention", "layers"])
def test_every_implementation_file_declares_itself(folder):
    for path in sorted((ROOT / "implementations" / folder).glob("[!_]*.py")):
        assigned = {
            target.id
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        assert "IMPLEMENTATION" in assigned, path.name


@pytest.mark.parametrize("path", EVERY, ids=name_of)
def test_every_module_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
