"""What Table 1 states, counted from the programs of the suite."""

from dataclasses import replace

import pytest

from bench.counting import mechanisms as counting
from bench.counting.mechanisms import MECHANISMS, Mechanism, MechanismError, mechanisms
from implementations.catalogue import suite
from implementations.interface import no_core


@pytest.fixture(scope="module")
def rows():
    return mechanisms()["rows"]


def terms(row, quantity):
    return {
        tuple(sorted(term["powers"].items())): term["coefficient"]
        for term in row[quantity]["terms"]
    }


ND2, N2D = (("d", 2), ("n", 1)), (("d", 1), ("n", 2))


@pytest.mark.parametrize(
    ("row", "leading", "coefficient"),
    [
        ("self_attention", N2D, 4),
        ("recurrent", ND2, 4),
        ("convolutional", ND2, 2 * 3),
        ("convolutional_contiguous", ND2, 2 * 3),
        ("restricted", (("d", 1), ("n", 1), ("r", 1)), 5),  # 4 in the band, a quarter in vain
        ("linear", ND2, 4),
    ],
)
def test_the_leading_term_is_that_of_the_table(rows, row, leading, coefficient):
    found = terms(rows[row], "flops")

    assert found[leading] == coefficient
    assert max(sum(power for _, power in powers) for powers in found) == 3


def test_only_recurrent_layers_take_rounds_that_grow_with_n(rows):
    growing = {
        name for name, row in rows.items() if (("n", 1),) in terms(row, "sequential_operations")
    }

    assert growing == {"recurrent"}
    assert terms(rows["recurrent"], "sequential_operations")[("n", 1),] == 3


def lengths(rows, row, **sizes):
    return {
        path["sizes"]["n"]: path["layers"]
        for path in rows[row]["paths"]
        if sizes.items() <= path["sizes"].items()
    }


def test_attention_and_recurrence_need_one_layer_and_others_a_stack(rows):
    assert set(lengths(rows, "self_attention").values()) == {1}
    assert set(lengths(rows, "linear").values()) == {1}
    assert set(lengths(rows, "recurrent").values()) == {1}
    assert lengths(rows, "convolutional") == {8: 2, 16: 3, 32: 4, 64: 4, 128: 5}
    assert lengths(rows, "convolutional_contiguous") == {8: 4, 16: 8, 32: 16, 64: 32, 128: 64}
    assert lengths(rows, "restricted", r=9) == {8: 2, 16: 4, 32: 8, 64: 16, 128: 32}
    assert lengths(rows, "restricted", r=17) == {8: 1, 16: 2, 32: 4, 64: 8, 128: 16}


def test_a_recurrent_path_is_as_long_as_the_sequence_inside_one_layer(rows):
    assert [path["operators"] for path in rows["recurrent"]["paths"]] == [
        3 * n + 1 for n in (8, 16, 32, 64, 128)
    ]


def test_a_row_without_a_polynomial_is_an_error():
    with pytest.raises(MechanismError, match="loop: sequential_operations"):
        mechanisms({"loop": Mechanism(counted="loop")})


def test_what_is_neither_a_core_nor_a_layer_cannot_be_stacked(monkeypatch):
    hollow = replace(suite()["matmul"], fn=no_core)
    monkeypatch.setattr(counting, "suite", lambda: {"matmul": hollow})
    monkeypatch.setattr(counting, "_polynomial", lambda *_: {})

    with pytest.raises(MechanismError, match="matmul: neither a core nor a layer"):
        mechanisms({"hollow": Mechanism(counted="matmul")})


def test_every_row_counts_an_implementation_of_the_suite(rows):
    assert {name: row["counted"] for name, row in rows.items()} == {
        name: one.counted for name, one in MECHANISMS.items()
    }
