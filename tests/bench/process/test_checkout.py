"""A revision's files lie beside the working tree, and what cannot be compared is one line."""

import subprocess
from pathlib import Path

import pytest

from bench.process.checkout import ROOT, Checkout, RevisionError, checked_out
from bench.process.supervisor import Worker
from implementations.specs import from_function

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def kernel(spec: str, name: str = "mine"):
    return from_function(lambda query, key, value: value, name=name, spec=spec)


def checkout(folder: Path, rev: str = "main") -> Checkout:
    return Checkout(rev=rev, commit=COMMIT, repository=folder, folder=folder)


def test_the_files_are_those_of_the_revision_and_go_when_the_context_ends(repository, tmp_path):
    first = repository(mine="old = 1", util="old = 2")
    repository(mine="new = 1", other="new = 3")
    (tmp_path / "repository" / "mine.py").write_text("newest = 1")

    begun = []
    context = checked_out("HEAD~1", begin=begun.append)
    made = context.__enter__()
    files = {file.name: file.read_text() for file in made.folder.rglob("*.py")}
    context.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)

    assert files == {"mine.py": "old = 1", "util.py": "old = 2"}
    assert (made.commit, made.suffix) == (first, f"@{first[:12]}")
    assert begun == [made.folder.parent]
    assert not made.folder.parent.exists()
    status = subprocess.run(["git", "status", "--short"], capture_output=True, check=True)
    assert status.stdout == b" M mine.py\n"


def test_a_run_that_is_resumed_gets_the_commit_that_it_began_with(repository):
    first = repository(mine="old = 1")
    repository(mine="new = 1")

    with checked_out("main", first) as found:
        assert (found.folder / "mine.py").read_text() == "old = 1"
        assert found.told == {"rev": "main", "commit": first, "suffix": "@main"}


@pytest.mark.parametrize(
    ("rev", "suffix"),
    [
        ("main", "@main"),
        ("origin/main", "@origin/main"),
        ("v1.2.3", "@v1.2.3"),
        ("0123abc", "@0123abc"),
        (COMMIT, "@0123456789ab"),
        ("HEAD~2", "@0123456789ab"),
        ("main@{yesterday}", "@0123456789ab"),
        (":/a=b", "@0123456789ab"),
    ],
)
def test_kernels_of_a_revision_are_named_after_it_in_letters_that_every_output_takes(
    tmp_path, monkeypatch, rev, suffix
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").touch()

    spec = checkout(tmp_path, rev).spec_of(kernel("mine.py:fn[bshd]"))

    assert spec == f"mine{suffix}=mine.py:fn[bshd]"
    assert checkout(tmp_path, rev).owns(spec)
    assert not checkout(tmp_path, rev).owns("mine.py:fn[bshd]")
    assert not checkout(tmp_path, rev).owns("sdpa")


def test_a_file_is_found_from_the_folder_that_stands_for_the_current_one(repository, monkeypatch):
    repository(**{"package/mine": "a = 1", "top": "a = 1"})
    here = Path.cwd()
    monkeypatch.chdir(here / "package")

    with checked_out("main") as found:
        absolute = found.spec_of(kernel(f"fast={here}/package/mine.py:fn", "fast"))
        above = found.spec_of(kernel("../top.py:fn"))
        module = found.spec_of(kernel("package.mine:fn"))
        assert (found.place / "mine.py").is_file()

    assert absolute == "fast@main=mine.py:fn"
    assert above == "mine@main=../top.py:fn"
    assert module == "mine@main=package.mine:fn"


@pytest.mark.parametrize(
    ("spec", "name", "message"),
    [
        ("new.py:fn", "mine", "new.py is not in main; choose a revision that has it"),
        ("../other.py:fn", "mine", "expected a file of .*repository, where you are"),
        ("mine.py:fn", "mine@main", "does not end with @main, got 'mine@main'; rename it"),
        ("mine.py:fn", "a=b", "expected a name without =.*, got 'a=b'; rename it"),
    ],
)
def test_a_kernel_that_the_revision_cannot_have_is_refused(repository, spec, name, message):
    repository(mine="a = 1")
    Path("new.py").touch()

    with checked_out("main") as found, pytest.raises(RevisionError, match=message):
        found.spec_of(kernel(spec, name))


@pytest.mark.parametrize("rev", ["nosuch", "", "--all", "main..main"])
def test_an_unknown_revision_is_refused(repository, rev):
    repository(mine="a = 1")

    with pytest.raises(RevisionError, match=r"there is no revision .*; git fetch it first"):
        checked_out(rev).__enter__()


def test_without_git_or_a_repository_the_reason_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(RevisionError, match=r"not a git repository .*; run attnscale within"):
        checked_out("main").__enter__()

    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("GIT_CEILING_DIRECTORIES")
    if (ROOT / ".git").exists():
        with pytest.raises(RevisionError, match="is attnscale itself, which measures both"):
            checked_out("main").__enter__()

    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RevisionError, match="git cannot be run: No such file or directory"):
        checked_out("main").__enter__()


def test_a_submodule_is_shared_where_it_is_the_same_and_refused_where_it_is_not(
    repository, tmp_path
):
    repository(mine="a = 1")
    library = tmp_path / "library"

    def git(*words: object) -> None:
        quiet = ["git", "-c", "protocol.file.allow=always", *map(str, words)]
        subprocess.run(quiet, capture_output=True, check=True)

    git("clone", tmp_path / "repository", library)
    git("submodule", "add", library, "library")
    repository(mine="a = 2")
    with checked_out("main") as found:
        assert (found.folder / "library" / "mine.py").read_text() == "a = 1"

    (Path.cwd() / "library" / "mine.py").write_text("a = 3")

    with pytest.raises(RevisionError, match="the submodule library is not as main has it"):
        checked_out("main").__enter__()


def test_a_process_of_the_revision_imports_what_the_revision_has(repository, monkeypatch):
    text = (
        "from package import sibling\ndef mine(query, key, value): ...\nmine.__doc__ = sibling.IS"
    )
    repository(**{"package/mine": text, "package/sibling": "IS = 'old'"})
    Path("package/sibling.py").write_text("IS = 'new'")
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))  # leads to the working tree

    with checked_out("main") as found, Worker(threads=1, checkout=found) as worker:
        titles = [
            worker.ask("load", limit_s=60.0, spec=spec)["kernel"]["title"]
            for spec in ("mine@main=package/mine.py:mine", "mine@main=package.mine:mine")
        ]

    assert titles == ["old", "old"]
