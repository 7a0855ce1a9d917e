"""The document of `attnscale counts --json`.

    {"letters": {"b": "batch", "h": "num_heads", "n": "seq_len, …", "d": "d_model, …", …},
     "conventions": "…",
     "sizes": {"b": 1, "h": 8, "n": 1048576, "d": 512, "head_dim": 64},
     "counts": [
       {"implementation": "matmul", "kind": "core", "pass": "forward", "dtype": "float32",
        "is_causal": false, "device": "cpu", "counted_on": ["meta"], "unseen": [],
        "sizes": {"b": 1, "h": 8, "n": 1048576, "d": 512, "head_dim": 64},
        "longest": null,
        "quantities": {
          "matmul_flops": {
            "polynomial": "4·b·n²·d",
            "terms": [{"coefficient": 4, "powers": {"b": 1, "n": 2, "d": 1}}],
            "valid": {"text": "all sizes", "h": {"multiple_of": 1, "at_least": 1}, …,
                      "n_at_least_times_head_dim": 0, "is_single": false},
            "checked_at": [{"b": 1, "h": 1, "n": 1, "d": 64, "head_dim": 64}, …],
            "basis": "counted", "is_lower_bound": false,
            "value": 2251799813685248, "reason": null}, …}}, …]}

Each quantity is one of `bench.counting.result.QUANTITIES`; `Counts` says what they are. `value` is
for the `sizes` of its entry. With `is_single` a polynomial holds for b = 1 only. `basis` is
`counted`, `formula` where the number holds parts that the program does not show, or null. `reason`
says why a polynomial, a value or both are missing. Where a budget of memory was asked for,
`longest` is {"budget_bytes": 8589934592, "n": 130552, "bytes": 8589909632, "reason": null}: the
largest n, and what its call takes, inputs, outputs and workspace together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from bench.counting.counter import Counter, point_of
from bench.counting.largest import longest
from bench.counting.polynomials import Point
from bench.counting.result import EXECUTED, QUANTITIES, Quantity
from bench.counting.sizes import SIZES, sizes_of
from bench.process.kernels import Kernels
from bench.process.supervisor import Worker, WorkerLost, succeeded
from implementations.case import Case, Pass
from implementations.interface import Implementation
from implementations.naming import CatalogueError

LIMIT_S = 60.0
MEANING = {
    "b": "batch",
    "h": "num_heads",
    "n": "seq_len, of queries and of keys",
    "d": "d_model, which is h·head_dim",
    "head_dim": "of queries, keys and values",
}
CONVENTIONS = (
    "A multiply-add is two operations, other arithmetic one an element; evaluations of exp, log "
    "and the like are transcendentals and no operations. Bytes are what operators touch, each "
    "distinct element of an operand once. Launches are operators other than views; sequential "
    "operations are the longest chain of those that have to wait for one another. Workspace is the "
    "peak beyond inputs and outputs; scalars of a few bytes are left out. Fused kernels hold "
    "blocks for each of torch's threads, here {threads}."
)


def document(
    implementations: Sequence[Implementation],
    *,
    dtype: str = "float32",
    pass_: Pass = "forward",
    is_causal: bool = False,
    sizes: Point = SIZES,
    budget_bytes: float | None = None,
) -> dict[str, Any]:
    """What the implementations cost, as JSON data (the module's docstring shows it).

    Raises:
        CaseError: a dtype or pass that does not exist.

    """
    like = Case(
        batch=sizes.b,
        num_heads=sizes.h,
        seq_len=sizes.n,
        head_dim=sizes.head_dim,
        dtype=dtype,
        pass_=pass_,
        is_causal=is_causal,
    )
    return {
        "letters": MEANING,
        "conventions": CONVENTIONS.format(threads=torch.get_num_threads()),
        "sizes": sizes.to_plain(),
        "counts": [_entry(one, like, budget_bytes) for one in implementations],
    }


def _entry(
    implementation: Implementation, like: Case, budget_bytes: float | None
) -> dict[str, Any]:
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
        "sizes": point_of(case).to_plain(),
        "longest": None if budget_bytes is None else _longest(counter, case, budget_bytes),
        "quantities": quantities,
    }


def _longest(counter: Counter, case: Case, budget_bytes: float) -> dict[str, Any]:
    workspace = counter.search(case).formula("workspace_bytes")
    found = longest(counter.implementation, case, workspace, budget_bytes)
    return {
        "budget_bytes": budget_bytes,
        "n": found.seq_len,
        "bytes": found.bytes,
        "reason": found.reason,
    }


def _quantity(quantity: Quantity, counter: Counter, case: Case) -> dict[str, Any]:
    formula = counter.search(case).formula(quantity)
    found = formula.fitted
    value, reason = formula.value(point_of(case)), formula.reason
    if value is None and not formula.is_unknown:
        counts = counter.at(case)
        value = counts.value(quantity)
        reason = formula.reason or counts.reasons.get(quantity)
    is_known = found is not None or value is not None
    basis = "formula" if formula.is_by_formula else "counted"
    return {
        "polynomial": None if found is None else str(found.polynomial),
        "terms": None if found is None else found.polynomial.to_plain(),
        "valid": None if found is None else found.lattice.to_plain(),
        "checked_at": [one.to_plain() for one in found.checked_at] if found else [],
        "basis": basis if is_known else None,
        "is_lower_bound": formula.is_lower_bound,
        "value": value,
        "reason": reason,
    }


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
    budget_bytes: float | None = None,
    tell: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> dict[str, Any]:
    """The same, one request an implementation: a user's kernel may crash, hang or exit.

    `tell` is told how many implementations are counted, of how many.

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
        "budget_bytes": budget_bytes,
    }
    found: dict[str, Any] = {"counts": []}
    chosen = Kernels(worker).chosen(names, specs, layout)
    for done, implementation in enumerate(chosen):
        tell(f"counting {implementation.name}", done, len(chosen))
        try:
            answer = worker.ask("counts", limit_s=LIMIT_S, spec=implementation.spec, **request)
        except WorkerLost as lost:
            raise CatalogueError(f"{implementation.name} cannot be counted: {lost}") from None
        if not succeeded(answer):
            raise CatalogueError(f"{implementation.name}: {answer.get('reason')}")
        document = answer["document"]
        found = {**document, "counts": [*found["counts"], *document["counts"]]}
    return found


def uncounted(document: Mapping[str, Any]) -> list[str]:
    """The implementations that could not be counted at all."""
    return [
        str(entry["implementation"])
        for entry in document["counts"]
        if all(entry["quantities"][name]["value"] is None for name in EXECUTED)
    ]
