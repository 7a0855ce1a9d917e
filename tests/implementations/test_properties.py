"""What is true of attention whatever its inputs are, held against every implementation.

Each law is a function of a kernel and of a drawn situation that asserts; kernels with a matching
fault show that every law can fail. What holds for the floating-point numbers themselves is asked
for exactly. Everything else is allowed what the gate's rule forgives each side: twice the error of
the plain formula in the same dtype, plus one rounding step of the terms that are added.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import Phase, find, given, reject, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from torch import Tensor

from implementations import blocks, blockwise
from implementations.attention import online_softmax, query_chunked
from implementations.case import Case
from implementations.catalogue import suite
from implementations.interface import Feature, Implementation, UnsupportedCaseError
from implementations.oracle import (
    QUANTITIES,
    largest_error,
    softmax_attention,
)
from tests.implementations.faulty import (
    aligned_bottom_right,
    formula,
    half_of_the_features_unweighted,
    in_half_precision,
    masked_by_a_large_number,
    next_item,
    query_added,
    shape_of_the_query_without_keys,
    softmax_with_one_maximum_for_all,
    softmax_without_maximum,
    unmasked,
    with_backward_of,
    without_last_keys,
    without_last_rows,
)
from tests.implementations.laws import (
    a_constant_on_a_row_of_scores_changes_nothing,
    batch_items_and_heads_do_not_touch_each_other,
    gradients_are_those_of_the_oracle,
    gradients_stay_within_their_batch_item_and_head,
    nothing_in_gives_gradients_of_zero,
    nothing_in_gives_zeros_of_the_right_shape,
    one_vector_added_to_all_keys_changes_nothing,
    outputs_are_linear_in_the_values,
    outputs_are_those_of_the_oracle,
    outputs_lie_in_the_convex_hull_of_the_values,
    permuting_keys_with_their_values_changes_nothing,
    permuting_queries_permutes_outputs,
    powers_of_two_pass_through_the_values_exactly,
    unseen_keys_have_no_influence,
    unseen_keys_neither_get_nor_change_gradients,
)
from tests.implementations.situations import (
    MASKED,
    WITHOUT_ORDER,
    Kernel,
    Law,
    Situation,
    judge,
    situations,
)

NATIVE = [
    one
    for one in suite().values()
    if one.kind == "core" and "cpu" in one.devices and "float32" in one.dtypes and not one.compiles
    if one.unsupported(Case(seq_len=5)) is None
]

ORACLES = [one.oracle for one in NATIVE]
COMPARED = [one for one in NATIVE if ORACLES.count(one.oracle) > 1]

EXAMPLES = settings(max_examples=6)
# The faults are looked for among as many examples as the implementations are asked for.
SEARCH = settings(EXAMPLES, phases=[Phase.generate])


@pytest.fixture(scope="module", autouse=True)
def small_blocks() -> Iterator[None]:
    # Blocks of a few rows and keys, so that small sizes cross their borders in every way.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "scores_per_tile", lambda device, working: 9)
        patch.setattr(blockwise, "SHORT", 0)
        patch.setattr(query_chunked, "ROWS_PER_THREAD", 1)
        patch.setattr(online_softmax, "KEYS_PER_BLOCK", 3)
        yield


# Every implementation obeys, and every fault is caught


BACKWARD = frozenset({Feature.BACKWARD})
LARGE_NUMBER = formula(masking=masked_by_a_large_number)
UNMASKED_GRADIENTS = with_backward_of(unmasked)

LAWS = (
    Law(
        check=outputs_are_those_of_the_oracle,
        smallest=0,
        faults={"weights_in_half_precision": formula(weights=in_half_precision)},
    ),
    Law(
        check=gradients_are_those_of_the_oracle,
        smallest=0,
        needs=BACKWARD,
        faults={"doubled": formula(weights=lambda weights: 2.0 * weights - weights.detach())},
    ),
    Law(
        check=permuting_queries_permutes_outputs,
        conditions=WITHOUT_ORDER,
        faults={"last_rows_missing": formula(output=without_last_rows)},
    ),
    Law(
        check=permuting_keys_with_their_values_changes_nothing,
        conditions=WITHOUT_ORDER,
        faults={"last_keys_missing": formula(weights=without_last_keys)},
    ),
    Law(
        check=outputs_lie_in_the_convex_hull_of_the_values,
        faults={
            "weights_sum_to_less": formula(weights=lambda weights: 0.9 * weights),
            "half_of_the_features_unweighted": half_of_the_features_unweighted,
        },
    ),
    Law(
        check=outputs_are_linear_in_the_values,
        faults={"values_clipped": formula(values=lambda values: values.clamp(-1.0, 1.0))},
    ),
    Law(
        check=powers_of_two_pass_through_the_values_exactly,
        faults={"values_in_half_precision": formula(values=in_half_precision)},
    ),
    Law(
        check=a_constant_on_a_row_of_scores_changes_nothing,
        conditions=("none", "causal", "boolean"),
        needs=frozenset({Feature.FLOAT_MASK}),
        faults={"no_maximum_subtracted": formula(softmax=softmax_without_maximum)},
    ),
    Law(
        check=one_vector_added_to_all_keys_changes_nothing,
        only_products=True,
        faults={"scores_capped": formula(scores=lambda scores: 10.0 * (scores / 10.0).tanh())},
    ),
    Law(
        name="the_future_has_no_influence",
        check=unseen_keys_have_no_influence,
        conditions=("causal",),
        faults={
            "aligned_bottom_right": formula(masking=aligned_bottom_right),
            "masked_by_a_large_number": LARGE_NUMBER,
        },
    ),
    Law(
        name="the_future_gets_no_gradient",
        check=unseen_keys_neither_get_nor_change_gradients,
        conditions=("causal",),
        needs=BACKWARD,
        faults={"gradients_without_mask": UNMASKED_GRADIENTS},
    ),
    Law(
        name="masked_keys_have_no_influence",
        check=unseen_keys_have_no_influence,
        conditions=MASKED,
        faults={"masked_by_a_large_number": LARGE_NUMBER},
    ),
    Law(
        name="masked_keys_get_no_gradient",
        check=unseen_keys_neither_get_nor_change_gradients,
        conditions=MASKED,
        needs=BACKWARD,
        faults={"gradients_without_mask": UNMASKED_GRADIENTS},
    ),
    Law(
        check=batch_items_and_heads_do_not_touch_each_other,
        smallest_items=2,
        faults={
            "one_maximum_for_all": formula(softmax=softmax_with_one_maximum_for_all),
            "values_of_the_next_item": formula(values=next_item),
        },
    ),
    Law(
        check=gradients_stay_within_their_batch_item_and_head,
        smallest_items=2,
        needs=BACKWARD,
        faults={"of_the_next_item": with_backward_of(formula(values=next_item))},
    ),
    Law(
        check=nothing_in_gives_zeros_of_the_right_shape,
        empty=True,
        faults={"shape_of_the_query_without_keys": shape_of_the_query_without_keys},
    ),
    Law(
        check=nothing_in_gives_gradients_of_zero,
        empty=True,
        needs=BACKWARD,
        faults={"query_added": query_added},
    ),
)


@pytest.mark.parametrize(
    ("law", "implementation"),
    [
        # `unscaled` and `additive` share what is tried with `matmul` and the chunked one.
        pytest.param(
            law, one, marks=pytest.mark.slow if one.name in ("unscaled", "additive") else ()
        )
        for law in LAWS
        for one in NATIVE
        if law.concerns(one)
    ],
    ids=lambda one: one.name,
)
@EXAMPLES
@given(data=st.data())
def test_every_implementation_obeys_the_law_that(law, implementation, data):
    situation = data.draw(law.situations(implementation))
    try:
        law.check(implementation.call, situation)
    except UnsupportedCaseError:
        reject()


def as_implementation(name: str, kernel: Kernel) -> Implementation:
    """The kernel, declared to support everything."""
    return replace(suite()["matmul"], name=name, fn=kernel)


def breaks(law: Law, implementation: Implementation) -> bool:
    """Whether a search as long as that of the tests finds a situation that breaks the law."""

    def broken(situation: Situation) -> bool:
        try:
            law.check(implementation.call, situation)
        except AssertionError:
            return True
        return False

    try:
        find(law.situations(implementation), broken, settings=SEARCH)
    except NoSuchExample:
        return False
    return True


@pytest.mark.parametrize(
    ("law", "fault"),
    [(law, fault) for law in LAWS for fault in law.faults],
    ids=lambda one: one if isinstance(one, str) else one.name,
)
def test_a_kernel_with_a_matching_fault_breaks_the_law_that(law, fault):
    assert breaks(law, as_implementation(fault, law.faults[fault]))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_the_formula_without_a_fault_does_not_break_the_law_that(law):
    assert not breaks(law, as_implementation("formula", formula()))


# Agreement of all with each other


def differences(results: Mapping[str, Tensor]) -> pd.DataFrame:
    """max |row - column| for every pair."""
    return pd.DataFrame(
        {
            one: {other: largest_error(found, result.double()) for other, found in results.items()}
            for one, result in results.items()
        }
    )


def assert_all_agree(kernels: Iterable[Implementation], situation: Situation) -> None:
    """Every pair, in the output and each gradient, within the sum of the two allowances."""
    call, draws = situation.start()
    upstream = draws.normal(*call.output_shape)
    _, allowed = judge(call, upstream)
    found: dict[str, dict[str, Tensor]] = {name: {} for name in QUANTITIES}
    for one in kernels:
        if one.oracle is not situation.oracle or one.unsupported(situation.case()) is not None:
            continue
        try:
            if Feature.BACKWARD in one.supports:
                results = call.quantities(one.call, upstream)
            else:
                results = {"output": call.output(one.call)}
        except UnsupportedCaseError:
            continue
        for quantity, tensor in results.items():
            found[quantity][one.name] = tensor

    for quantity, results in found.items():
        table = differences(results)
        assert len(table) > 1
        assert bool((table <= 2 * allowed[quantity]).all(axis=None)), (
            f"{quantity}: largest differences, where {2 * allowed[quantity]:.3g} is allowed\n"
            f"{table.to_string(float_format='{:.2g}'.format)}"
        )


@settings(max_examples=25)
@given(situation=st.one_of([situations(one) for one in COMPARED]))
def test_all_implementations_of_an_oracle_agree_with_each_other(situation):
    assert_all_agree(NATIVE, situation)


def test_a_kernel_that_agrees_with_nobody_stands_alone_in_the_matrix():
    masked = [one for one in NATIVE if Feature.BOOLEAN_MASK in one.supports]
    others = [one for one in masked if one.oracle is softmax_attention]
    situation = Situation(
        leading=(2,),
        query_len=5,
        key_len=7,
        head_dim=11,
        value_dim=11,
        dtype="float32",
        condition="boolean",
        mask_per_head=True,
        scale=None,
        seed=0,
    )
    stranger = as_implementation("stranger", formula(weights=without_last_keys))

    with pytest.raises(AssertionError, match="output: largest differences") as refusal:
        assert_all_agree([*others, stranger], situation)

    _, header, *rows = str(refusal.value).split("\nassert")[0].splitlines()
    names = header.split()
    table = {row.split()[0]: dict(zip(names, row.split()[1:], strict=True)) for row in rows}
    assert list(table) == names == [one.name for one in (*others, stranger)]
    far = {(a, b) for a in names for b in names if float(table[a][b]) > 1e-3}
    assert far == {(a, b) for a in names for b in names if (a == "stranger") != (b == "stranger")}
