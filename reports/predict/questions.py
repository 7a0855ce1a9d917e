"""What is asked of sizes that were not measured: sizes and budgets as people write them.

Without pandas, so that a question that cannot be read is refused at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from reports.cells.case_columns import LARGEST_SIZE, SIZE_NAMES
from reports.tables.plain_text.number import plain_number
from reports.tables.units import Quantity, UnitError, in_unit, parse_quantity, unit_of
from reports.text.wording import one_line, shortened

MEMORY = "workspace_bytes"
Asked = TypeVar("Asked")


class PredictionError(ValueError):
    """A request for a prediction that cannot be met; the message is one line."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A budget as somebody wrote it, and the sizes that are held still."""

    quantity: Quantity
    at: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Questions:
    """What `--predict` and `--budget` ask: sizes, and budgets.

    Budgets of memory are for inputs, outputs and workspace together, where their bytes are known;
    with `of_workspace` for the workspace alone.
    """

    sizes: tuple[Mapping[str, float], ...] = ()
    budgets: tuple[Budget, ...] = ()
    of_workspace: bool = False

    @classmethod
    def of(
        cls,
        predict: Sequence[str],
        budget: Sequence[str],
        sizes: Mapping[str, str] | None,
        claim: str | None = None,
        budget_of: str = "memory",
    ) -> Questions:
        """Read the texts of the options; `sizes` are the letters that `--size` named.

        A claim may name others.

        Raises:
            PredictionError: one of them cannot be read.
            LawError: the claim is none.

        """
        names = list(SIZE_NAMES)
        if sizes:
            from reports.laws.grammar import parse  # which takes numpy along

            named = parse(claim, names={*sizes, *names}).names if claim else ()
            names = list(dict.fromkeys((*sizes, *named)))
        return cls(
            sizes=tuple(of_option("--predict", parse_sizes, one, names) for one in predict),
            budgets=tuple(of_option("--budget", parse_budget, one, names) for one in budget),
            of_workspace=budget_of == "workspace",
        )

    @property
    def asked(self) -> tuple[Mapping[str, float] | Budget, ...]:
        """All that is asked, in order."""
        return (*self.sizes, *self.budgets)

    @property
    def cost(self) -> str | None:
        """The cost column that the budgets are about: the workspace for amounts of memory."""
        return MEMORY if any(b.quantity.kind == "memory" for b in self.budgets) else None

    def check(self, value: str) -> None:
        """See that budgets can be compared with a cost column, before anything is fitted.

        Raises:
            UnitError: a budget is in another unit than the cost.

        """
        for budget in self.budgets:
            in_unit(budget.quantity, unit_of(value))


def of_option(
    option: str,
    read: Callable[[str, Collection[str]], Asked],
    text: str,
    names: Collection[str],
) -> Asked:
    """What a text says that was given for an option.

    Raises:
        PredictionError: it cannot be read; the message names the option.

    """
    try:
        return read(text, names)
    except PredictionError as problem:
        raise PredictionError(f"{option}: {problem}") from None


def parse_sizes(text: str, names: Collection[str]) -> dict[str, float]:
    """Read sizes such as `n=65536,d=1024`; only these names are allowed, and not all are needed.

    Raises:
        PredictionError: the text names no size, or an unknown one, or one twice, or no number.

    """
    sizes: dict[str, float] = {}
    example = ",".join(f"{name}={value}" for name, value in zip(names, (65536, 1024), strict=False))
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not name:
            raise PredictionError(f"expected sizes such as {example}, got {quoted(part)}")
        if name not in names:
            known = ", ".join(names)
            raise PredictionError(f"{quoted(name)} is no size of this fit; its sizes are {known}")
        if name in sizes:
            raise PredictionError(f"{name} is given twice in {quoted(text)}; give each size once")
        size = plain_number(value)
        if size is None:
            raise PredictionError(
                f"{name} must be a number such as 65536 or 64K, got {quoted(value)}"
            )
        sizes[name] = checked_size(name, size)
    return sizes


def parse_budget(text: str, names: Collection[str]) -> Budget:
    """Read a budget such as `24GiB`, perhaps with sizes to hold still: `24GiB,d=1024`.

    Raises:
        PredictionError: the amount or a size cannot be read.

    """
    amount, comma, rest = text.partition(",")
    try:
        quantity = parse_quantity(amount)
    except UnitError as problem:
        raise PredictionError(str(problem)) from None
    return Budget(quantity=quantity, at=parse_sizes(rest, names) if comma else {})


def checked_size(name: str, value: float) -> float:
    """The value of a size, if it can be one.

    Raises:
        PredictionError: it is not positive, or beyond LARGEST_SIZE.

    """
    if not 0 < value <= LARGEST_SIZE:
        raise PredictionError(
            f"{name} must be positive and at most 2^60, got {value:g}; correct it"
        )
    return value


def quoted(text: str) -> str:
    """What somebody wrote, quoted, on one line and not too long."""
    return repr(shortened(one_line(text), most=40))
