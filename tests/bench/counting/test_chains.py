"""Which operators of a program have to wait for one another."""

import pytest
import torch

from bench.counting.counter import Counter
from bench.counting.following import Follower
from bench.counting.polynomials import Point
from implementations.case import Case
from implementations.catalogue import suite

META = torch.device("meta")


def depth(call):
    follower = Follower("cpu")
    with follower, META:
        call()
    return follower.chains.longest


def tensor(*shape):
    return torch.empty(shape, device=META)


def recurrence(n):
    state, inputs = tensor(5), tensor(n, 5)
    weight = tensor(5, 5)

    def call():
        current = state
        for i in range(n):
            current = (inputs[i] + weight @ current).tanh()

    return call


def test_operators_that_need_one_another_make_a_chain():
    x = tensor(3, 5)

    assert depth(lambda: x.exp().exp().exp()) == 3


def test_operators_that_do_not_need_one_another_run_side_by_side():
    x = tensor(3, 5)

    assert depth(lambda: [x.exp() for _ in range(7)]) == 1
    assert depth(lambda: torch.stack([x.exp() for _ in range(7)])) == 2


def test_views_are_no_steps():
    x = tensor(3, 5)

    assert depth(lambda: x.mT[1:].reshape(-1)[:2].unsqueeze(0).exp()) <= 2
    assert depth(lambda: x.mT[1:].exp()) == 1


@pytest.mark.parametrize("n", [2, 7, 13])
def test_a_recurrence_takes_as_many_rounds_as_positions(n):
    assert depth(recurrence(n)) == 3 * n


def test_blocks_that_write_their_own_rows_of_one_buffer_do_not_wait():
    x = tensor(7, 5)

    def blocks():
        out = torch.empty(7, 5)
        for i in range(7):
            torch.exp(x[i], out=out[i])
            out[i].mul_(3)

    assert depth(blocks) == 2


def test_a_running_sum_in_one_place_waits_for_itself():
    x = tensor(7, 5)

    def running():
        total = torch.zeros(5)
        for i in range(7):
            total += x[i]

    assert depth(running) == 1 + 7


def test_a_buffer_that_is_overwritten_starts_anew():
    x = tensor(7, 5)

    def reused():
        scratch = torch.empty(5)
        return [torch.exp(x[i], out=scratch).sum() for i in range(7)]

    assert depth(reused) == 2


def test_what_a_later_storage_at_the_same_address_holds_is_not_taken_for_the_earlier_one():
    def forgetful():
        for _ in range(100):
            torch.zeros(5).exp_().exp_()

    assert depth(forgetful) == 3


@pytest.mark.parametrize(
    ("name", "polynomial"),
    [("matmul", "4"), ("row_loop", "5"), ("sdpa", "1"), ("online_softmax", "1/512·n + 4")],
)
def test_cores_say_how_their_sequential_operations_grow(name, polynomial):
    search = Counter(suite()[name]).search(Case(seq_len=1))

    assert str(search.formula("sequential_operations").fitted.polynomial) == polynomial


def test_a_backward_pass_lengthens_the_chain():
    search = Counter(suite()["matmul"]).search(Case(seq_len=1, pass_="forward_backward"))

    assert search.formula("sequential_operations").value(Point(b=1, h=2, n=64, head_dim=16)) > 4
