"""Counts one case by following one call of it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from bench.counting.following import Follower, TooManyOperatorsError
from bench.counting.fused import Attending
from bench.counting.result import (
    ARITHMETIC,
    EXECUTED,
    CountedOn,
    Counts,
    Quantity,
    nothing_but_useful,
)
from bench.process.answers import named, one_line
from bench.timing.inputs import inputs_of
from bench.timing.prepared_call import prepare
from implementations.attention.loop import loop
from implementations.case import Case, useful_flops
from implementations.interface import Implementation, UnsupportedCaseError

# How the reason begins of a call that goes on where torch does not see it.
OUTSIDE = "takes its numbers out of torch"
MOST_PAIRS_ON_CPU = 2**20
"""Scores of all heads up to which a call is made on the CPU, where it takes time and memory."""
LOOP_STEPS_A_PAIR = 5
"""Scale, largest, difference, sum and quotient."""


def count(
    implementation: Implementation, case: Case, *, most_operators: int | None = None
) -> Counts:
    """What one call does (see `Counts`), followed on meta tensors, so that nothing is computed.

    A program that looks at its data is called on the CPU instead, where the case is small. A case
    that is not supported, a kernel that raises, and one of more operators than allowed give no
    numbers but reasons.
    """
    unsupported = implementation.unsupported(case)
    if unsupported is not None:
        return nothing_but_useful(implementation, case, unsupported)
    if implementation.fn is loop:
        return _loop_counts(case)
    on_meta = _attempted(implementation, case, "meta", most_operators)
    if isinstance(on_meta, Counts):
        return on_meta
    obstacle = f"not countable on meta tensors ({on_meta})"
    if "cpu" not in implementation.devices:
        return nothing_but_useful(implementation, case, obstacle)
    if _all_pairs(case) > MOST_PAIRS_ON_CPU:
        large = f"for a real call on the CPU it has more than {MOST_PAIRS_ON_CPU} scores"
        return nothing_but_useful(implementation, case, f"{obstacle}, and {large}")
    on_cpu = _attempted(implementation, case, "cpu", most_operators)
    if isinstance(on_cpu, Counts):
        return on_cpu
    return nothing_but_useful(implementation, case, f"{on_cpu}; on meta tensors: {on_meta}")


def _attempted(
    implementation: Implementation, case: Case, counted_on: CountedOn, most_operators: int | None
) -> Counts | str:
    """What following the call gives; or what the kernel raised, which another device may not."""
    try:
        return _followed(implementation, case, counted_on, most_operators)
    except UnsupportedCaseError as problem:
        return nothing_but_useful(implementation, case, one_line(problem))
    except TooManyOperatorsError:
        reason = f"it has more than {most_operators} operators, too many to follow"
        return nothing_but_useful(implementation, case, reason, is_cut_short=True)
    except (Exception, SystemExit) as problem:
        return named(problem)


def _all_pairs(case: Case) -> int:
    return case.batch * case.num_heads * case.seq_len * case.key_len


def _loop_counts(case: Case) -> Counts:
    """Both products over all pairs, also those that a mask hides afterwards, and the softmax.

    They are read off the source of `implementations.attention.loop`: it works on Python floats.
    """
    pairs = _all_pairs(case)
    products = 2 * pairs * (case.head_dim + case.value_dim)
    reason = "loop works on Python floats, which no operator and no allocator of tensors shows"
    return Counts(
        useful_flops=useful_flops(case),
        matmul_flops=products,
        executed_flops=products + (LOOP_STEPS_A_PAIR + (case.mask != "none")) * pairs,
        transcendentals=pairs,
        counted_on="formula",
        by_formula=frozenset(("useful_flops", *ARITHMETIC)),
        reasons={name: reason for name in EXECUTED if name not in ARITHMETIC},
    )


def _followed(
    implementation: Implementation, case: Case, counted_on: CountedOn, most_operators: int | None
) -> Counts:
    there = replace(case, device=counted_on)
    inputs = inputs_of(implementation, there)
    follower = Follower(case.device_type, most_operators=most_operators)
    attending = Attending(case.device_type, follower.paused)
    # What a kernel prints must not get into a document on stdout.
    with contextlib.redirect_stdout(sys.stderr), _eager(), torch.device(counted_on):
        prepared = prepare(implementation, inputs, there)
        with attending, follower:
            outputs = prepared.run()
    if attending.taken_out:
        ways = " and ".join(sorted(attending.taken_out))
        return nothing_but_useful(
            implementation, case, f"{OUTSIDE} ({ways}), where no operator shows what they do"
        )
    return _summed(implementation, case, follower, outputs, counted_on)


def _summed(
    implementation: Implementation,
    case: Case,
    follower: Follower,
    outputs: Sequence[Tensor],
    counted_on: CountedOn,
) -> Counts:
    hidden_memory = "; ".join(sorted(follower.hidden_memory))
    unseen = [f"operator {name} has no rule" for name in sorted(follower.unknown)]
    if follower.scalars_taken_out:
        unseen.append(f"numbers taken out of torch by item: {follower.scalars_taken_out}")
    lower_bounds: set[Quantity] = set(ARITHMETIC if unseen else ())
    if case.device_type == "cpu" and follower.has_half_products and not hidden_memory:
        lower_bounds.add("workspace_bytes")
        unseen.append("products in half precision take memory of their own on a CPU")
    return Counts(
        useful_flops=implementation.useful_flops(case),
        executed_flops=follower.products + follower.others,
        matmul_flops=follower.products,
        transcendentals=follower.transcendentals,
        bytes_read=follower.bytes_read,
        bytes_written=follower.bytes_written,
        launches=follower.launches,
        sequential_operations=follower.chains.longest,
        workspace_bytes=None if hidden_memory else follower.workspace_bytes(outputs),
        counted_on=counted_on,
        by_formula=frozenset(("useful_flops", *follower.by_formula)),
        lower_bounds=frozenset(lower_bounds),
        unseen=tuple(unseen),
        reasons={"workspace_bytes": hidden_memory} if hidden_memory else {},
    )


def _eager() -> contextlib.AbstractContextManager[object]:
    """Where a compiler may be at work: its programs run operator by operator, as written."""
    if "torch._dynamo" not in sys.modules:  # to load it takes seconds
        return contextlib.nullcontext()
    stance: contextlib.AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return stance
