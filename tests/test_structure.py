"""The shape of the repository: who may import whom, and what importing must not cost."""

import ast
import functools
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("implementations", "bench", "reports", "attnscale")
# Each package may import what stands before it. Reports read records; the front door all.
BELOW = {"implementations": (), "bench": ("implementations",), "reports": ("bench",)}
# The rooms of a package from the ground up: a room imports only rooms that stand before it.
ROOMS = {
    "bench": (
        *("records", "machine", "process", "timing", "plan", "checks", "counting", "doctor"),
        *("claims", "sweep", "worker", "benchmarks"),
    ),
    "reports": (
        *("text", "laws", "tables", "cells", "conditions", "judge", "predict", "verdicts"),
        *(
            "comparison",
            "ranking",
            "figures",
            "overtaking",
            "table1",
            "page",
            "articles",
            "claims_in_pytest",
        ),
    ),
}
MOST_MODULES, MOST_LINES = 16, 350
ENTRANCES = ("__init__", "__main__", "conftest")


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


EVERY = [path for package in PACKAGES for path in modules(package)]


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def imports(path: Path) -> frozenset[str]:
    """Every module that a file imports, wherever it does so: `from a.b import c` gives a.b.c."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def test_there_is_something_to_look_at():
    assert all(len(modules(package)) > 5 for package in PACKAGES)
    assert "bench.records.read_run" in imports(ROOT / "reports" / "tables" / "read.py")


def test_packages_import_in_one_direction_only():
    wrong = [
        f"{name_of(path)} imports {name}"
        for package, below in BELOW.items()
        for path in modules(package)
        for name in imports(path)
        if name.partition(".")[0] in {*PACKAGES, "tests"} - {package, *below}
    ]

    assert wrong == []


def test_reports_know_records_only_and_nothing_of_torch():
    wrong = [
        f"{name_of(path)} imports {name}"
        for path in modules("reports")
        for name in imports(path)
        if name.partition(".")[0] == "torch"
        or (name.startswith("bench.") and not name.startswith("bench.records"))
    ]

    assert wrong == []


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_import_in_one_direction_only(package):
    rooms = ROOMS[package]
    wrong = []
    for path in modules(package):
        room = path.relative_to(ROOT / package).parts[0].removesuffix(".py")
        if room == "__init__" or "gallery" in path.parts:
            continue
        above = rooms[rooms.index(room) + 1 :]
        found = [one for one in imports(path) if one.startswith(f"{package}.")]
        wrong += [f"{name_of(path)} imports {one}" for one in found if one.split(".")[1] in above]

    assert wrong == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_name_of_a_module_stands_twice_in_a_package(package):
    names = Counter(path.stem for path in modules(package) if path.stem not in ENTRANCES)

    assert [name for name, count in names.items() if count > 1] == []


def test_no_folder_has_too_many_modules():
    folders = Counter(path.parent for path in EVERY if path.stem not in ENTRANCES)

    assert [str(one) for one, count in folders.items() if count > MOST_MODULES] == []


def test_no_module_is_too_long():
    lines = {name_of(one): len(one.read_text(encoding="utf-8").splitlines()) for one in EVERY}

    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


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


def test_every_module_says_what_it_is_for():
    silent = [
        name_of(path)
        for path in EVERY
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]

    assert silent == []
