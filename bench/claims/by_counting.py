"""Claims on what attention costs, decided by exact counts of operations and parameters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.claims.claim import Decision, Ruling, Value, all_hold
from bench.claims.counted import coefficient, core_at, law, layer_at, layer_law
from bench.claims.reach import ROUNDING, normal
from bench.counting.polynomials import Polynomial
from implementations.attention.additive import IMPLEMENTATION as ADDITIVE
from implementations.attention.matmul import matmul
from implementations.case import Case
from implementations.interface import AttentionFunction, Implementation
from implementations.layers import recurrent
from implementations.layers.multi_head import IMPLEMENTATION as MULTI_HEAD
from implementations.layers.multi_head import around
from implementations.layers.single_head import build as single_head
from implementations.masking import resolve_scale
from implementations.oracle import largest_error
from implementations.parameters import Build, parameter_count

# Products as they are written, no fused kernel whose inside only a formula knows.
multi_head = around(matmul)
RECURRENT = (recurrent.IMPLEMENTATION, *recurrent.VARIANTS)
HEADS, D_MODEL, ROWS = (1, 2, 4, 8), 24, 7
WIDTHS = (8, 16, 24, 40)
"""Of d_model: any of `HEADS` divides each."""


def complexity(core: AttentionFunction = matmul, layer: Build = single_head) -> Decision:
    """Is O(n²d) right, for the core and for the layer?"""
    in_core = law(lambda n, d: core_at(core, n, d).products // 2)
    in_layer = layer_law(layer)
    pairs, rest = coefficient(in_layer, n=2, d=1), coefficient(in_layer, n=1, d=2)
    values: dict[str, Value] = {"core": str(in_core), "layer": str(in_layer)}
    evidence = f"multiply-adds of the core: {in_core}; of the layer with projections: {in_layer}"
    is_core_right = len(in_core.terms) == 1 and coefficient(in_core, n=2, d=1) > 0
    if not (is_core_right and pairs):
        return Decision(ruling=Ruling.FALSE, evidence=evidence, values=values)
    if not rest:
        return Decision(ruling=Ruling.TRUE, evidence=evidence, values=values)
    ratio = float(rest / pairs)
    return Decision(
        ruling=Ruling.CONDITIONAL,
        evidence=evidence,
        values={**values, "n_over_d": ratio},
        condition=f"right for the core; in the layer n²·d leads only for n > {ratio:g}·d",
    )


def additive_attention(core: AttentionFunction = ADDITIVE.fn) -> Decision:
    """Does the core compute vᵀtanh(W₁q + W₂k), and how often does it evaluate tanh?"""
    query, key, value = (normal(1, 1, 7, 5, seed=seed) for seed in range(3))
    expected = ADDITIVE.oracle(query, key, value, None, resolve_scale(query, None))
    error = largest_error(core(query, key, value), expected)
    evaluations = law(lambda n, d: core_at(core, n, d).transcendentals)
    tanhs = coefficient(evaluations, n=2, d=1)
    return all_hold(
        [
            (error <= ROUNDING, f"differs from the formula by {error:.2g}"),
            (tanhs > 0, f"evaluations of tanh and exp: {evaluations}"),
        ],
        error=error,
        evaluations=str(evaluations),
    )


def heads_cost(layer: Build = multi_head) -> Decision:
    """Does multi-head attention cost more than one head of the same d_model?"""
    found = [
        layer_at(layer, Case(seq_len=ROWS, num_heads=heads, head_dim=D_MODEL // heads))
        for heads in HEADS
    ]
    counts = {
        "multiply-adds": [one.products // 2 for one in found],
        "exponentials": [one.transcendentals for one in found],
        "bytes moved": [one.bytes_read + one.bytes_written for one in found],
    }
    told = "; ".join(f"{name} {listed(row)}" for name, row in counts.items())
    values: dict[str, Value] = {
        f"{name.replace('-', '_').replace(' ', '_')}_h{heads}": count
        for name, row in counts.items()
        for heads, count in zip(HEADS, row, strict=True)
    }
    evidence = f"d_model = {D_MODEL}, n = {ROWS}, num_heads = {listed(HEADS)}: {told}"
    grows = {name: row[-1] > row[0] for name, row in counts.items()}
    if grows["multiply-adds"] or not any(grows.values()):
        ruling = Ruling.TRUE if grows["multiply-adds"] else Ruling.FALSE
        return Decision(ruling=ruling, evidence=evidence, values=values)
    return Decision(
        ruling=Ruling.CONDITIONAL,
        evidence=evidence,
        values=values,
        condition="where exponentials and the traffic of scores count: the products are the same",
    )


def listed(numbers: Iterable[object]) -> str:
    """Numbers beside each other."""
    return ", ".join(map(str, numbers))


def parameters(
    attention: Implementation = MULTI_HEAD, others: Sequence[Implementation] = RECURRENT
) -> Decision:
    """Does self-attention need more parameters than recurrent layers of the same d_model?"""
    laws = [parameter_law(attention, heads) for heads in HEADS]
    found = {one.name: parameter_law(one) for one in others}
    leading = coefficient(laws[0], n=0, d=2)
    more = [name for name, other in found.items() if leading > coefficient(other, n=0, d=2)]
    fewer = [name for name, other in found.items() if leading < coefficient(other, n=0, d=2)]
    at = f"with {listed(HEADS)} heads" if all(one == laws[0] for one in laws) else "with one head"
    told = "; ".join(f"{name} {other}" for name, other in found.items())
    evidence = f"parameters in d = d_model: self-attention {laws[0]} {at}; {told}"
    values: dict[str, Value] = {"attention": str(laws[0])}
    values |= {name: str(other) for name, other in found.items()}
    if more and fewer:
        return Decision(
            ruling=Ruling.CONDITIONAL,
            evidence=evidence,
            values=values,
            condition=f"more than {listed(more)}; fewer than {listed(fewer)}",
        )
    ruling = Ruling.TRUE if more else Ruling.FALSE
    return Decision(ruling=ruling, evidence=evidence, values=values)


def parameter_law(layer: Implementation, heads: int = 1) -> Polynomial:
    """The parameters of a layer with so many heads as a polynomial in d_model."""

    def counted(_: int, d_model: int) -> int:
        case = Case(seq_len=1, num_heads=heads, head_dim=d_model // heads)
        return parameter_count(layer, case)

    return law(counted, widths=WIDTHS)
