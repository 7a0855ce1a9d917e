"""The implementations that a command names; those of the user are imported in another process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from functools import cache, partial

from bench.process import supervisor
from bench.process.described import Described, from_description, lost_import
from bench.process.supervisor import ImportLost, Worker, WorkerLost, succeeded, try_ask
from implementations.case import Case
from implementations.catalogue import load, load_all, suite, with_entry_points
from implementations.interface import Implementation
from implementations.naming import CatalogueError, entry_point_specs, in_this_layout

# Declining is no work.
DECLINING_LIMIT_S = 10.0


class Kernels:
    """Loads implementations: files of the suite here, all others in `worker`, each once.

    An import that never ends, or takes the worker down, is a CatalogueError; with `keep_lost` the
    kernel comes back with its `loss`, and whatever else was asked for can go on. `tell` is told
    what is imported, which may take long.
    """

    def __init__(
        self,
        worker: Worker,
        *,
        keep_lost: bool = False,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.worker = worker
        self._tell = tell
        self._keep_lost = keep_lost
        self._described: dict[str, Described] = {}

    def load_all(self, names: Iterable[str], specs: Iterable[str] = ()) -> list[Implementation]:
        """The named implementations, then those of the specs.

        Raises:
            CatalogueError: one cannot be loaded, or two share a name.

        """
        return load_all(names, specs, self.load)

    def every(self) -> list[Implementation]:
        """All files of the suite, and what installed packages offer as far as it can be loaded."""
        return list(with_entry_points(self.load).values())

    def chosen(
        self, names: Iterable[str], specs: Sequence[str], layout: str
    ) -> list[Implementation]:
        """What `--impl` asks for; where it names nothing, `every` but what compiles for each size.

        Raises:
            CatalogueError: one cannot be loaded, two share a name, or there is no such layout.

        """
        named = self.load_all(names, in_this_layout(specs, layout))
        return named or [one for one in self.every() if not one.compiles]

    def load(self, text: str) -> Implementation:
        """The implementation that a name or a spec means.

        Raises:
            CatalogueError: nothing of that name, or it cannot be loaded.

        """
        spec = text if ":" in text else entry_point_specs().get(text)
        if spec is None or text in suite():
            return load(text)
        if spec not in self._described:
            self._described[spec] = self._ask(spec)
        return self._described[spec]

    def hand_over(self, worker: Worker) -> None:
        """Ask this process from now on; the one before is stopped if it is another."""
        if self.worker is not worker:
            self.worker.stop()
            self.worker = worker

    def _ask(self, spec: str) -> Described:
        self._tell(f"importing {spec}")
        try:
            answer = self.worker.ask("load", limit_s=supervisor.IMPORT_LIMIT_S, spec=spec)
        except WorkerLost as problem:
            reason = str(problem)
            if not isinstance(problem, ImportLost):
                reason = f"importing it took the process down: {reason}"
            if self._keep_lost:
                return lost_import(spec, problem.status, reason)
            raise CatalogueError(f"--impl {spec}: {reason}") from None
        if not succeeded(answer):
            reason = answer["reason"].removeprefix(f"{CatalogueError.__name__}: ")
            told = reason if reason.startswith("--impl ") else f"--impl {spec}: {reason}"
            raise CatalogueError(told)
        found = from_description(answer["kernel"])
        if answer["kernel"]["declines_some"]:
            return replace(found, declines=cache(partial(self._declined, spec)))
        return found

    def _declined(self, spec: str, case: Case) -> str | None:
        """Why the kernel declines a case; None also where nobody can say: its checks will."""
        asked = {"spec": spec, "case": asdict(case)}
        answer = try_ask(self.worker, "declined", limit_s=DECLINING_LIMIT_S, **asked)
        return answer["declined"] if answer else None
