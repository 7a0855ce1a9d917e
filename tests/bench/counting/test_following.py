"""One operator at a time: what it reads and writes, and what arithmetic it does."""

import pytest
import torch

from bench.counting.following import Follower

META = torch.device("meta")


def followed(call):
    follower = Follower("cpu")
    with follower:
        call()
    return follower


def tensor(*shape, dtype=torch.float32):
    return torch.empty(shape, dtype=dtype, device=META)


def test_views_and_empty_memory_cost_nothing():
    x = tensor(3, 5)

    found = followed(lambda: (x.mT, x[1:], x.reshape(15), x.expand(7, 3, 5), torch.empty_like(x)))

    assert (found.launches, found.bytes_read, found.bytes_written) == (0, 0, 0)


def test_a_broadcast_operand_is_read_once_an_element():
    matrix, row = tensor(3, 5), tensor(5)

    found = followed(lambda: matrix + row.expand(3, 5))

    assert found.bytes_read == 4 * (15 + 5)
    assert found.bytes_written == 4 * 15
    assert found.others == 15


def test_an_operand_given_twice_is_read_once():
    x = tensor(3, 5)

    assert followed(lambda: x * x).bytes_read == 4 * 15


@pytest.mark.parametrize(
    ("change", "read", "written"),
    [
        (lambda x, y: x.mul_(y), 30, 15),
        (lambda x, y: x.copy_(y), 15, 15),
        (lambda x, y: x.zero_(), 0, 15),
        (lambda x, y: torch.exp(y, out=x), 15, 15),
        (lambda x, y: torch.zeros_like(y), 0, 15),
        (lambda x, y: x[1:].neg_(), 10, 10),
    ],
)
def test_what_is_overwritten_is_not_read(change, read, written):
    x, y = tensor(3, 5), tensor(3, 5)

    found = followed(lambda: change(x, y))

    assert (found.bytes_read, found.bytes_written) == (4 * read, 4 * written)


@pytest.mark.parametrize(
    ("call", "others", "evaluations"),
    [
        (lambda x: x.exp(), 0, 15),
        (lambda x: x.exp2_(), 0, 15),
        (lambda x: x.log2(), 0, 15),
        (lambda x: x.tanh(), 0, 15),
        (lambda x: torch.nn.functional.silu(x), 15, 15),
        (lambda x: x**2, 15, 0),
        (lambda x: x**2.5, 0, 15),
        (lambda x: x.sum(-1), 15, 0),
        (lambda x: x.amax(-1), 15, 0),
        (lambda x: x.cumsum(-1), 15, 0),
        (lambda x: x.softmax(-1), 60, 15),
        (lambda x: x == 0.0, 15, 0),
        (lambda x: x.masked_fill(x == 0.0, 1.0), 15, 0),
        (lambda x: x.half(), 0, 0),
        (lambda x: torch.cat([x, x]), 0, 0),
        (lambda x: ~(x > 0), 15, 0),
    ],
)
def test_arithmetic_follows_the_conventions(call, others, evaluations):
    x = tensor(3, 5)

    found = followed(lambda: call(x))

    assert (found.others, found.transcendentals) == (others, evaluations)
    assert found.unknown == set()


@pytest.mark.parametrize(
    ("call", "products", "others"),
    [
        (lambda a, b, c: a @ b, 2 * 3 * 5 * 7, 0),
        (lambda a, b, c: torch.addmm(c, a, b), 2 * 3 * 5 * 7, 21),
        (lambda a, b, c: torch.addmm(c, a, b, beta=0, alpha=0.5), 2 * 3 * 5 * 7, 21),
        (lambda a, b, c: c.addmm_(a, b, alpha=2.0), 2 * 3 * 5 * 7, 42),
        (lambda a, b, c: a @ b[:, 0], 2 * 3 * 5, 0),
    ],
)
def test_epilogues_of_products_count_apart(call, products, others):
    a, b, c = tensor(3, 5), tensor(5, 7), tensor(3, 7)

    found = followed(lambda: call(a, b, c))

    assert (found.products, found.others) == (products, others)


def test_a_product_that_forgets_its_old_values_does_not_read_them():
    a, b, c = tensor(3, 5), tensor(5, 7), tensor(3, 7)

    found = followed(lambda: torch.addmm(c, a, b, beta=0, out=c))

    assert found.bytes_read == 4 * (15 + 35)


def test_memory_is_live_until_its_last_name_is_gone():
    x = tensor(100)
    follower = Follower("cpu")
    with follower:
        first = x + 1.0
        view = first[1:]
        del first
        second = view * 2.0  # the view keeps all of first alive
        del view
        third = second * 2.0

    # first and second, then second and third; third is the output.
    assert follower.workspace_bytes([third]) == 4 * (100 + 99)
    assert follower.workspace_bytes([second, third]) == 4 * 100
