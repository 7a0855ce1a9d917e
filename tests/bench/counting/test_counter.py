"""Many cases of one implementation: polynomials against calls that are followed."""

from dataclasses import replace
from functools import cache
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.counting import counter as counter_module
from bench.counting.counter import Counter, Search, conditions_of
from bench.counting.direct import count
from bench.counting.polynomials import Point
from bench.counting.result import EXECUTED, QUANTITIES
from implementations.case import Case
from implementations.catalogue import suite
from implementations.specs import from_function
from tests.daily import daily


@cache
def search(name, pass_="forward", is_causal=False):
    case = Case(seq_len=1, pass_=pass_, is_causal=is_causal)
    return Counter(suite()[name]).search(case)


SMALL = st.builds(
    Case,
    batch=st.integers(1, 4),
    num_heads=st.integers(1, 9),
    seq_len=st.integers(1, 300),
    head_dim=st.integers(1, 130),
)
BLOCKS = st.builds(
    Case,
    batch=st.integers(1, 3),
    num_heads=st.sampled_from([2, 4, 6]),
    seq_len=st.sampled_from([2048, 4096]),
    head_dim=st.integers(1, 130),
)


def agrees(name, case):
    """The quantities of which a polynomial speaks for the case; it must be right."""
    found = search(name, case.pass_, case.is_causal).counts(case)
    followed = count(suite()[name], case)
    spoken = [quantity for quantity in EXECUTED if found.value(quantity) is not None]
    assert {q: found.value(q) for q in spoken} == {q: followed.value(q) for q in spoken}
    # A short call may take an operator whose formula is known, where a long one is followed.
    assert found.by_formula >= followed.by_formula
    return spoken


@settings(max_examples=6)
@given(SMALL, st.sampled_from(["forward", "forward_backward"]), st.booleans())
@pytest.mark.parametrize("name", ["matmul", "sdpa", "sdpa_math"])
def test_polynomials_foretell_calls_at_any_size(name, case, pass_, is_causal):
    agrees(name, replace(case, pass_=pass_, is_causal=is_causal))


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("pass_", ["forward", "forward_backward"])
@pytest.mark.parametrize("name", ["matmul", "sdpa", "sdpa_math"])
def test_polynomials_of_the_workspace_hold_at_the_corners(name, pass_, is_causal):
    """Where rows are few or features are, another moment of a call is its peak."""
    found = search(name, pass_, is_causal)
    fitted = found.formula("workspace_bytes").fitted

    points = product((1, 2), (1, 2, 3, 5, 17), (1, 2, 8, 33, 128))
    cases = [Point(b=1, h=h, n=n, head_dim=d) for h, n, d in points]
    foretold = {at: fitted.polynomial(at) for at in cases if at in fitted.lattice}
    followed = {at: count(suite()[name], found.case_at(at)).workspace_bytes for at in foretold}

    assert foretold == followed
    assert foretold or name == "sdpa"  # whose polynomial begins at its kernel's blocks


@pytest.mark.parametrize("is_causal", daily([False, True]))
@settings(max_examples=3)
@given(BLOCKS)
def test_polynomials_foretell_a_program_of_blocks_on_its_lattice(is_causal, case):
    spoken = agrees("query_chunked", replace(case, is_causal=is_causal))

    assert "launches" in spoken
    assert "workspace_bytes" in spoken


def formula(name, quantity, **condition):
    found = search(name, **condition).formula(quantity).fitted
    return str(found.polynomial), str(found.lattice)


def test_matmul_is_4bhn2d_products_and_two_score_matrices():
    assert formula("matmul", "matmul_flops") == ("4·b·n²·d", "all sizes")
    assert formula("matmul", "workspace_bytes") == ("8·b·h·n²", "all sizes")
    assert not search("matmul").formula("matmul_flops").is_by_formula


def test_query_chunked_says_on_which_lengths_its_launches_are_a_polynomial():
    assert formula("query_chunked", "launches") == (
        "1/32·b·h·n",
        "n a multiple of 512, at least 2048",
    )
    assert formula("query_chunked", "workspace_bytes") == (
        "1024·n + 3072",
        "n at least 2048",
    )


def test_online_softmax_needs_the_same_memory_at_any_length():
    polynomial, valid = formula("online_softmax", "workspace_bytes")

    assert "n" not in polynomial
    assert "n at least 2048" in valid


def test_useful_operations_under_a_causal_mask_are_those_of_the_triangle():
    assert formula("matmul", "useful_flops", is_causal=True)[0] == "2·b·n²·d + 2·b·n·d"
    assert formula("matmul", "matmul_flops", is_causal=True)[0] == "4·b·n²·d"
    assert formula("sdpa", "matmul_flops", is_causal=True)[0] == "2·b·n²·d + 2·b·n·d"


def test_the_kernel_that_is_too_long_to_follow_is_answered_by_its_polynomial():
    counter = Counter(suite()["query_chunked"])
    case = Case(num_heads=8, seq_len=2**17, head_dim=64)

    found = counter.at(case)

    assert found.launches == 8 * 2**17 * 8 // 256
    assert all(found.value(quantity) is not None for quantity in QUANTITIES)


def test_a_long_case_off_the_lattice_keeps_what_is_known_and_says_why(monkeypatch):
    case = Case(num_heads=64, seq_len=2**17 + 1, head_dim=64)
    counter = Counter(suite()["query_chunked"])
    assert not counter.search(case).is_complete(case)
    monkeypatch.setattr(counter_module, "MOST_OPERATORS", 2000)  # more are no use, and take time

    found = counter.at(case)

    assert found.matmul_flops == 4 * 64 * (2**17 + 1) ** 2 * 64
    assert found.launches is None
    assert "n a multiple of 512" in found.reasons["launches"]


def test_a_case_that_is_quick_to_follow_is_followed_and_needs_no_search(monkeypatch):
    monkeypatch.setattr(Counter, "search", lambda *_: pytest.fail("searched"))
    counter = Counter(suite()["matmul"])
    case = Case(num_heads=2, seq_len=2**20, head_dim=64)

    assert counter.at(case) == count(suite()["matmul"], case)


def test_cases_beyond_one_that_was_too_long_are_not_tried_again(monkeypatch):
    counter = Counter(suite()["row_loop"])
    counter.at(Case(seq_len=500, head_dim=16))
    tried = []
    monkeypatch.setattr(counter_module, "count", lambda *_, **__: tried.append(_))

    found = counter.at(Case(num_heads=2, seq_len=1000, head_dim=16))

    assert tried == []
    assert found.launches == 4001


def test_lengths_of_keys_that_differ_are_followed():
    case = Case(seq_len=300, key_len=7, head_dim=5)

    found = Counter(suite()["row_loop"]).at(case)

    assert found.matmul_flops == 4 * 300 * 7 * 5


def test_conditions_leave_the_sizes_out():
    one = Case(seq_len=5, key_len=7, head_dim=3, value_dim=2, dtype="float64", growth="head_dim")

    assert conditions_of(one) == Case(seq_len=1, head_dim=1, dtype="float64")


def root_chunked(query, key, value):
    length = query.shape[-2]
    rows = max(1, round(length**0.5))
    blocks = [q @ key.mT @ value for q in query.split(rows, dim=-2)]
    return torch.cat(blocks, dim=-2)


def test_no_polynomial_is_claimed_where_there_is_none():
    found = Search(from_function(root_chunked), Case(seq_len=1, head_dim=1))

    launches = found.formula("launches")
    assert launches.fitted is None
    assert "no polynomial" in launches.reason
    assert str(found.formula("matmul_flops").fitted.polynomial) == "4·b·n²·d"


def test_a_search_that_takes_too_many_steps_ends(monkeypatch):
    monkeypatch.setattr(counter_module, "MOST_LAUNCHES_IN_ALL", 50)
    found = Search(suite()["row_loop"], Case(seq_len=1, head_dim=1))

    assert found.formula("launches").fitted is None
    assert len(found._counts) < 20


def test_what_never_gives_a_number_says_why():
    found = Search(suite()["loop"], Case(seq_len=1, head_dim=1))

    launches = found.formula("launches")
    assert launches.is_unknown
    assert "Python floats" in launches.reason
    assert str(found.formula("executed_flops").fitted.polynomial) == "4·b·n²·d + 5·b·h·n²"


@pytest.mark.parametrize("mask", ["boolean", "float"])
def test_masks_have_polynomials_of_their_own(mask):
    found = Counter(suite()["sdpa"]).search(Case(seq_len=1, mask=mask))

    # One more operation for every pair than without a mask.
    assert "5·b·h·n²" in str(found.formula("executed_flops").fitted.polynomial)
