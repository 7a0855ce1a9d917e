"""The document of `attnscale counts --json`.

    {"letters": {"b": "batch", "h": "num_heads", "n": "seq_len, …", "d": "head_dim, …"},
     "conventions": "…",
     "sizes": {"b": 1, "h": 8, "n": 1048576, "d": 64},
     "counts": [
       {"implementation": "matmul", "kind": "core", "pass": "forward", "dtype": "float32",
        "is_causal": false, "device": "cpu", "counted_on": ["meta"], "unseen": [],
        "sizes": {"b": 1, "h": 8, "n": 1048576, "d": 64},
        "quantities": {
          "matmul_flops": {
            "polynomial": "4·b·h·n²·d",
            "terms": [{"coefficient": 4, "powers": {"b": 1, "h": 1, "n": 2, "d": 1}}],
            "valid": {"text": "all sizes", "h": {"multiple_of": 1, "at_least": 1}, …,
                      "n_at_least_times_d": 0, "is_single": false},
            "checked_at": [{"b": 1, "h": 1, "n": 1, "d": 64}, …],
            "basis": "counted", "is_lower_bound": false,
            "value": 2251799813685248, "reason": null}, …}}, …]}

Each quantity is one of `bench.counting.result.QUANTITIES`; `Counts` says what they are. `value` is
for the `sizes` of its entry. The letter d of a layer is d_model: in its polynomials, in its `sizes`
and where a size is asked for; what they hold for (`valid`) speaks of `d/h`. With `is_single` they
hold for b = 1 only. `basis` is `counted`, `formula` where the number holds parts that the program
does not show, or null. `reason` says why a polynomial, a value or both are missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.counting.counter import Counter, point_of
from bench.counting.polynomials import LETTERS, Point
from bench.counting.result import EXECUTED, QUANTITIES, Quantity
from bench.process.kernels import Kernels
from bench.process.supervisor import Worker, WorkerLost, succeeded
from implementations.case import Case, CaseError, Pass
from implementations.interface import Implementation, Kind
from implementations.specs import CatalogueError

LIMIT_S = 60.0
SIZES = Point(b=1, h=8, n=2**20, d=64)
MEANING = {
    "b": "batch",
    "h": "num_heads",
    "n": "seq_len, of queries and of keys",
    "d": "head_dim, of queries, keys and values; d_model is h·d; of a layer, d is d_model",
}
CONVENTIONS = (
    "A multiply-add is two operations, other arithmetic one an element; evaluations of exp, log "
    "and the like are transcendentals and no operations. Bytes are what operators touch, each "
    "distinct element of an operand once. Launches are operators other than views; sequential "
    "operations are the longest chain of those that have to wait for one another. Workspace is the "
    "peak beyond inputs and outputs; scalars of a few bytes are left out."
)


def sizes_of(at: Mapping[str, int], kind: Kind = "core") -> Point:
    """The sizes to evaluate at, with head_dim as d; the d that is given for a layer is d_model.

    Raises:
        CaseError: a letter that is no size, a size below 1, or a d_model that no head divides.

    """
    for letter, size in at.items():
        if letter not in LETTERS:
            raise CaseError(f"sizes are {', '.join(LETTERS)}; got {letter!r}")
        if size < 1:
            raise CaseError(f"{letter} must be at least 1, got {size}")
    sizes = SIZES._replace(**at)
    if kind == "core" or "d" not in at:
        return sizes
    if sizes.d % sizes.h:
        raise CaseError(
            f"d of a layer is d_model, a multiple of h; got d = {sizes.d} and h = {sizes.h}"
        )
    return sizes._replace(d=sizes.d // sizes.h)


def document(
    implementations: Sequence[Implementation],
    *,
    dtype: str = "float32",
    pass_: Pass = "forward",
    is_causal: bool = False,
    sizes: Point = SIZES,
) -> dict[str, Any]:
    """What the implementations cost, as JSON data (the module's docstring shows it).

    Raises:
        CaseError: a dtype or pass that does not exist.

    """
    like = Case(
        batch=sizes.b,
        num_heads=sizes.h,
        seq_len=sizes.n,
        head_dim=sizes.d,
        dtype=dtype,
        pass_=pass_,
        is_causal=is_causal,
    )
    return {
        "letters": MEANING,
        "conventions": CONVENTIONS,
        "sizes": sizes._asdict(),
        "counts": [_entry(one, like) for one in implementations],
    }


def _entry(implementation: Implementation, like: Case) -> dict[str, Any]:
    # Where it runs decides about fused kernels: the CPU's if there is a choice.
    device = "cpu" if "cpu" in implementation.devices else implementation.devices[0]
    case = replace(like, device=device)
    counter = Counter(implementation)
    search = counter.search(case)
    quantities = {quantity: _quantity(quantity, counter, case) for quantity in QUANTITIES}
    return {
        "implementation": implementation.name,
        "kind": implementation.kind,
        "pass": case.pass_,
        "dtype": case.dtype,
        "is_causal": case.is_causal,
        "device": device,
        "counted_on": list(search.counted_on),
        "unseen": list(search.unseen),
        "sizes": _in_letters_of(implementation.kind, point_of(case)),
        "quantities": quantities,
    }


def _quantity(quantity: Quantity, counter: Counter, case: Case) -> dict[str, Any]:
    formula = counter.search(case).formula(quantity)
    found, polynomial, kind = formula.fitted, formula.polynomial, counter.implementation.kind
    width = "d" if kind == "core" else "d/h"
    value, reason = formula.value(point_of(case)), formula.reason
    if value is None and not formula.is_unknown:
        counts = counter.at(case)
        value = counts.value(quantity)
        reason = formula.reason or counts.reasons.get(quantity)
    is_known = found is not None or value is not None
    basis = "formula" if formula.is_by_formula else "counted"
    return {
        "polynomial": None if polynomial is None else str(polynomial),
        "terms": None if polynomial is None else polynomial.to_plain(),
        "valid": None if found is None else found.lattice.to_plain(width),
        "checked_at": [_in_letters_of(kind, one) for one in found.checked_at] if found else [],
        "basis": basis if is_known else None,
        "is_lower_bound": formula.is_lower_bound,
        "value": value,
        "reason": reason,
    }


def _in_letters_of(kind: Kind, point: Point) -> dict[str, int]:
    """The sizes with the d of this kind of implementation."""
    return (point if kind == "core" else point._replace(d=point.h * point.d))._asdict()


def counts_in_worker(
    names: Sequence[str],
    specs: Sequence[str],
    worker: Worker,
    *,
    layout: str,
    dtype: str,
    pass_: str,
    is_causal: bool,
    at: Mapping[str, int],
) -> dict[str, Any]:
    """The same, one request an implementation: a user's kernel may crash, hang or exit.

    Raises:
        CatalogueError: an implementation that cannot be loaded, or that ended the process.
        CaseError: a size, dtype or pass that does not exist.

    """
    sizes_of(at)
    Case(seq_len=1, dtype=dtype, pass_=pass_)  # type: ignore[arg-type]  # it checks it
    request: dict[str, Any] = {
        "dtype": dtype,
        "pass_": pass_,
        "is_causal": is_causal,
        "at": dict(at),
    }
    found: dict[str, Any] = {"counts": []}
    for implementation in Kernels(worker).chosen(names, specs, layout):
        sizes_of(at, implementation.kind)
        try:
            answer = worker.ask("counts", limit_s=LIMIT_S, spec=implementation.spec, **request)
        except WorkerLost as lost:
            raise CatalogueError(f"{implementation.name} cannot be counted: {lost}") from None
        if not succeeded(answer):
            raise CatalogueError(f"{implementation.name}: {answer.get('reason')}")
        document = answer["document"]
        found = {**document, "counts": [*found["counts"], *document["counts"]]}
    return found


def nothing_counted(document: Mapping[str, Any], specs: Sequence[str]) -> bool:
    """Whether a kernel of the user's could not be counted at all."""
    own = document["counts"][-len(specs) :] if specs else []
    return any(all(e["quantities"][n]["value"] is None for n in EXECUTED) for e in own)
