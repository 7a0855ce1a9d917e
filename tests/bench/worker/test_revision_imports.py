"""In a process of a revision no module of the working tree is imported, however it is found."""

import importlib
import sys
from pathlib import Path

import pytest

from bench.worker.revision_imports import RevisionFinder, import_from, refuse_outside
from implementations.catalogue import load
from implementations.naming import CatalogueError


@pytest.fixture
def revision(tmp_path, write, monkeypatch):
    """A process of a revision: it stands in `checkout`, and PYTHONPATH leads to the working tree.

    A function of `flash` is a fixed number of the sibling's times the value.
    """
    kernel = "from some_sibling import FACTOR\ndef {}(query, key, value): return FACTOR * value"
    for tree, factor in (("tree", 2), ("checkout", 3)):
        write(f"{tree}/kernels/flash_of_two.py", kernel.format("flash"))
        write(f"{tree}/kernels/some_sibling.py", f"FACTOR = {factor}")
        write(f"{tree}/kernels/some_package/__init__.py", "")
        write(f"{tree}/kernels/some_package/part.py", kernel.format("part"))
        write(f"{tree}/kernels/some_folder/part.py", f"FACTOR = {factor}")
    write("tree/kernels/some_news.py", "")
    write("installed/some_library.py", "def fn(query, key, value): return value")
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(
        sys, "path", [str(tmp_path / "tree/kernels"), str(tmp_path / "installed"), *sys.path]
    )
    monkeypatch.chdir(tmp_path / "checkout")
    yield tmp_path
    for name in [*sys.modules]:
        if name.startswith(("some_", "attnscale_user_flash_of_two")):
            del sys.modules[name]


def begin(folder: Path) -> None:
    import_from(folder / "checkout", folder / "tree")


@pytest.mark.parametrize(
    "spec", ["flash@main=kernels/flash_of_two.py:flash", "part@main=some_package.part:part"]
)
def test_a_kernel_of_the_revision_gets_its_own_sibling(revision, spec):
    begin(revision)

    assert load(spec).fn(None, None, 5) == 15
    refuse_outside(spec)
    files = [getattr(module, "__file__", None) or "" for module in sys.modules.values()]
    assert not [file for file in files if file.startswith(str(revision / "tree"))]


class Editable:
    """What an editable install puts among the finders: it knows one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find_spec(self, name, path=None, target=None):
        file = self.folder / f"{name}.py"
        if not name.startswith("some_") or not file.exists():
            return None
        return importlib.util.spec_from_file_location(name, file)


def test_an_editable_install_leads_to_the_revision_too(revision, monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path[1:])
    sys.meta_path.append(Editable(revision / "tree/kernels"))

    begin(revision)

    assert importlib.import_module("some_sibling").FACTOR == 3
    with pytest.raises(ImportError, match=r"some_news\.py is not committed in the revision"):
        importlib.import_module("some_news")


def test_a_folder_without_init_comes_from_the_revision(revision):
    begin(revision)

    assert importlib.import_module("some_folder.part").FACTOR == 3


def test_installed_packages_stay_as_they_are_also_within_the_repository(revision, monkeypatch):
    (revision / "tree/env").mkdir()
    monkeypatch.setattr(sys, "prefix", str(revision / "tree/env"))
    finder = RevisionFinder(revision / "checkout", revision / "tree")

    for place in (revision / "tree/env/torch.py", revision / "installed/some_library.py"):
        assert finder.moved(str(place)) == str(place)
    assert finder.moved(str(revision / "tree/a.py")) == str(revision / "checkout/a.py")


def test_a_kernel_of_an_installed_package_is_no_kernel_of_the_revision(revision):
    refuse_outside("some_library:fn")  # in a process of the working tree
    begin(revision)
    load("fn@main=some_library:fn")

    with pytest.raises(CatalogueError, match=r"some_library\.py, which is no file of the rep"):
        refuse_outside("fn@main=some_library:fn")
    refuse_outside("sdpa")
