"""The files of a revision of the user's git repository, in a folder beside the working tree.

git writes them from an index of their own: nothing in the repository changes, and the end of the
folder is the end of all that was made.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from implementations.interface import Implementation

ROOT = Path(__file__).resolve().parents[2]
SHORT_COMMIT = 12
# Others, such as a whole commit or main@{yesterday}, are shown as a short commit.
SHOWN_AS_IT_IS = re.compile(r"(?![0-9a-f]{13})[A-Za-z0-9][A-Za-z0-9_./-]{0,39}")
SUBMODULE = "160000 "


class RevisionError(ValueError):
    """A revision that cannot be measured; the message is one line for the user."""


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """The files of a revision in a `folder`, for those of the working tree in `repository`."""

    rev: str
    commit: str
    repository: Path
    folder: Path

    @property
    def suffix(self) -> str:
        """What the names of the revision's kernels end with, such as `@main`."""
        shown = SHOWN_AS_IT_IS.fullmatch(self.rev)
        return f"@{self.rev if shown else self.commit[:SHORT_COMMIT]}"

    @property
    def place(self) -> Path:
        """The folder of the revision that stands for the current one."""
        return self.folder / Path.cwd().relative_to(self.repository)

    @property
    def told(self) -> dict[str, str]:
        """What `run.json` says of the revision."""
        return {"rev": self.rev, "commit": self.commit, "suffix": self.suffix}

    def owns(self, spec: str) -> bool:
        """Whether a spec means a kernel of the revision."""
        from implementations.naming import parse_spec

        return ":" in spec and parse_spec(spec).name.endswith(self.suffix)

    def spec_of(self, kernel: Implementation) -> str:
        """The spec of a kernel of the working tree as it is in this revision.

        A file is named relative to the current folder, and found in `place`.

        Raises:
            RevisionError: its file is not in the repository or not in the revision, or its name
                cannot be told from those of the revision.

        """
        from implementations.naming import parse_spec

        if "=" in kernel.name or kernel.name.endswith(self.suffix):
            raise RevisionError(
                f"--against {self.rev}: expected a name without = that does not end with "
                f"{self.suffix}, got {kernel.name!r}; rename it with --impl other_name=…"
            )
        spec = parse_spec(kernel.spec)
        told = kernel.spec.partition("=")[2] or kernel.spec
        if spec.target.endswith(".py"):
            told = told.replace(spec.target, self._beside(Path(spec.target)), 1)
        return f"{kernel.name}{self.suffix}={told}"

    def _beside(self, target: Path) -> str:
        """The path of a file of the working tree from the current folder."""
        file = Path(os.path.realpath(target.parent)) / target.name
        if not file.is_relative_to(self.repository):
            raise RevisionError(
                f"--impl {target}: expected a file of {self.repository}, where you are; "
                f"--against {self.rev} compares files of one repository"
            )
        inside = file.relative_to(self.repository)
        if not (self.folder / inside).is_file():
            raise RevisionError(
                f"--against {self.rev}: {inside} is not in {self.rev}; choose a revision that has "
                "it, or leave --against out"
            )
        return os.path.relpath(file, Path.cwd())


@contextlib.contextmanager
def checked_out(
    rev: str, commit: str | None = None, *, begin: Callable[[Path], None] = lambda folder: None
) -> Iterator[Checkout]:
    """Check a revision of the current folder's repository out, for as long as the context lasts.

    `commit` is what `rev` meant when the run began, if it is to be resumed. `begin` is told the
    temporary folder before anything is written there, so that an interrupt can remove it.

    Raises:
        RevisionError: no git, no repository, no such revision, or a submodule of it that is not
            here as it was there.

    """
    about = f"--against {rev}"
    hint = "; run attnscale within the kernel's repository"
    top = _git("rev-parse", "--show-toplevel", at=Path.cwd(), about=about, hint=hint)
    repository = Path(top).resolve()
    if repository == ROOT:
        raise RevisionError(
            f"{about}: {ROOT} is attnscale itself, which measures both; measure each revision by "
            "itself, and compare the runs"
        )
    wanted = f"{commit or rev}^{{commit}}"
    try:
        found = _git(
            *("rev-parse", "--verify", "--quiet", "--end-of-options", wanted),
            at=repository,
            about=about,
        )
    except RevisionError:
        raise RevisionError(
            f"{about}: there is no revision {commit or rev} in {repository}; git fetch it first "
            "(in CI: fetch-depth: 0)"
        ) from None
    with tempfile.TemporaryDirectory(prefix="attnscale-", ignore_cleanup_errors=True) as made:
        space = Path(made).resolve()
        begin(space)
        checkout = Checkout(rev=rev, commit=found, repository=repository, folder=space / "files")
        _write_files(checkout, space / "index", about)
        checkout.place.mkdir(parents=True, exist_ok=True)
        yield checkout


def _write_files(checkout: Checkout, index: Path, about: str) -> None:
    """Write the files of the commit; its submodules are those of the working tree."""

    def git(*words: str) -> str:
        return _git(*words, at=checkout.repository, about=about, index=index)

    git("read-tree", checkout.commit)
    git("checkout-index", "--all", f"--prefix={checkout.folder}/")
    entries = git("ls-files", "--stage", "-z").split("\0")
    modules = [one.partition("\t")[2] for one in entries if one.startswith(SUBMODULE)]
    if not modules:
        return
    changed = git("diff-files", "--name-only", "--ignore-submodules=none", "--", *modules)
    if changed:
        raise RevisionError(
            f"{about}: the submodule {changed.splitlines()[0]} is not as {checkout.rev} has it; "
            "both are measured with the submodules that are here: git submodule update"
        )
    for module in modules:
        if (checkout.repository / module / ".git").exists():
            (checkout.folder / module).rmdir()
            (checkout.folder / module).symlink_to(checkout.repository / module)


def _git(*words: str, at: Path, about: str, index: Path | None = None, hint: str = "") -> str:
    """What git prints.

    Raises:
        RevisionError: there is no git, or it failed.

    """
    environment = {**os.environ, **({} if index is None else {"GIT_INDEX_FILE": str(index)})}
    try:
        done = subprocess.run(
            ["git", "-C", str(at), *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            env=environment,
            check=False,
        )
    except OSError as problem:
        raise RevisionError(f"{about}: git cannot be run: {problem.strerror}") from None
    if done.returncode:
        why = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[0]
        raise RevisionError(f"{about}: git {words[0]}: {why}{hint}")
    return done.stdout.strip()
