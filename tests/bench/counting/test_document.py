"""What `attnscale counts` prints, for programs and for people."""

import json

import pytest
from rich.console import Console

from bench.counting.document import document as document_of
from bench.counting.polynomials import Polynomial
from bench.counting.result import QUANTITIES
from bench.counting.sizes import SIZES, sizes_of
from bench.counting.table import table
from implementations.case import CaseError
from implementations.catalogue import load_all
from implementations.naming import CatalogueError, in_this_layout

KERNELS = """
def plain(query, key, value):
    return (query @ key.mT).softmax(-1) @ value

def choosy(query, key, value):
    if query.is_meta or query.shape[-2] % 2:
        raise ValueError("even lengths [only], with data")
    return plain(query, key, value)

def broken(query, key, value):
    raise RuntimeError("out of order")

def listed(query, key, value):
    return query.new_tensor(value.tolist())
"""


@pytest.fixture
def kernels(write):
    return write("kernels.py", KERNELS)


def counted(names, specs=(), layout="bhsd", at=None, **options):
    chosen = load_all(names, in_this_layout(specs, layout))
    return document_of(chosen, sizes=sizes_of(at or {}), **options)


def printed(document):
    console = Console(width=200, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(table(document))
    return captured.get()


def test_counts_of_matmul_are_exact_and_need_no_search_by_the_reader():
    document = json.loads(json.dumps(counted(["matmul"]), allow_nan=False))

    entry = document["counts"][0]
    products = entry["quantities"]["matmul_flops"]
    workspace = entry["quantities"]["workspace_bytes"]
    assert (entry["implementation"], entry["pass"], entry["counted_on"]) == (
        "matmul",
        "forward",
        ["meta"],
    )
    assert products["polynomial"] == "4·b·n²·d"
    assert products["terms"] == [{"coefficient": 4, "powers": {"b": 1, "n": 2, "d": 1}}]
    assert products["valid"]["text"] == "all sizes"
    assert products["basis"] == "counted"
    assert {"b": 1, "h": 8, "n": 2**20, "d": 512, "head_dim": 64} in products["checked_at"]
    assert products["value"] == 4 * 8 * 2**40 * 64
    assert workspace["polynomial"] == "8·b·h·n²"
    assert workspace["value"] == 8 * 8 * 2**40


def test_every_quantity_has_a_polynomial_or_a_reason():
    document = counted(["sdpa", "loop", "sdpa_cudnn"])

    for entry in document["counts"]:
        assert tuple(entry["quantities"]) == QUANTITIES
        for quantity in entry["quantities"].values():
            assert (quantity["polynomial"] is None) == (quantity["reason"] is not None)
            assert (quantity["basis"] is None) == (quantity["polynomial"] is None)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_threads_are_told_for_which_a_workspace_was_counted(threads, monkeypatch):
    monkeypatch.setattr("torch.get_num_threads", lambda: threads)

    told = " ".join(printed(counted(["matmul"])).split())
    assert f"each of torch's threads, here {threads}." in told


def test_hidden_arithmetic_is_marked():
    quantities = counted(["sdpa"])["counts"][0]["quantities"]

    marked = {name for name, one in quantities.items() if one["basis"] == "formula"}
    assert marked == {
        "useful_flops",
        "executed_flops",
        "matmul_flops",
        "transcendentals",
        "workspace_bytes",
    }


def test_backward_and_dtype_are_as_asked():
    document = counted(["matmul"], dtype="bfloat16", pass_="forward_backward")

    entry = document["counts"][0]
    assert (entry["dtype"], entry["pass"]) == ("bfloat16", "forward_backward")
    assert entry["quantities"]["matmul_flops"]["polynomial"] == "12·b·n²·d"
    # Three matrices of 2 bytes an element.
    assert entry["quantities"]["workspace_bytes"]["polynomial"] == "6·b·h·n²"


def test_a_kernel_of_the_users_is_counted(kernels):
    document = counted([], [f"{kernels}:plain"])

    assert [one["implementation"] for one in document["counts"]] == ["plain"]
    products = document["counts"][0]["quantities"]["matmul_flops"]
    assert products["polynomial"] == "4·b·n²·d"


def test_the_layout_of_the_users_kernel_is_heeded(write):
    file = write("other.py", "def mixed(query, key, value):\n    return query @ key.mT @ value\n")

    products = counted([], [f"{file}:mixed"], layout="bshd")["counts"][0]["quantities"][
        "matmul_flops"
    ]

    # Rows and heads in the other order: each token attends over its own heads.
    assert products["polynomial"] == "4·b·h·n·d"


def test_one_broken_kernel_keeps_nothing_from_being_counted(kernels):
    document = counted(["matmul"], [f"{kernels}:broken", f"{kernels}:listed"])

    found = {one["implementation"]: one["quantities"]["matmul_flops"] for one in document["counts"]}
    assert found["matmul"]["polynomial"] == "4·b·n²·d"
    assert "RuntimeError: out of order" in found["broken"]["reason"]
    assert "tolist" in found["listed"]["reason"]
    assert found["broken"]["value"] is None


def test_a_kernel_that_needs_data_has_polynomials_of_small_calls(kernels):
    entry = counted([], [f"{kernels}:choosy"])["counts"][0]

    products = entry["quantities"]["matmul_flops"]
    assert entry["counted_on"] == ["cpu"]
    assert products["polynomial"] == "4·b·n²·d"
    assert products["valid"]["text"] == "n a multiple of 2"
    assert max(point["n"] for point in products["checked_at"]) < 2048


def test_values_are_for_the_sizes_asked_for():
    document = counted(["query_chunked"], at={"n": 2**17, "h": 2})

    quantities = document["counts"][0]["quantities"]
    assert document["sizes"] == {"b": 1, "h": 2, "n": 2**17, "d": 128, "head_dim": 64}
    assert quantities["launches"]["value"] == 2 * 2**17 * 8 // 256


def test_a_value_off_the_lattice_is_followed_if_it_can_be():
    quantities = counted(["query_chunked"], at={"n": 100, "h": 1})["counts"][0]["quantities"]

    assert quantities["launches"]["value"] == 3
    assert quantities["launches"]["reason"] is None


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ({"m": 5}, "sizes are b, h, n, d, head_dim; got 'm'"),
        ({"n": 0}, "n must be at least 1, got 0"),
    ],
)
def test_sizes_that_do_not_exist_are_refused_in_one_line(at, message):
    with pytest.raises(CaseError, match=message):
        sizes_of(at)


def test_sizes_left_out_have_defaults():
    assert sizes_of({"n": 5}) == SIZES._replace(n=5)


@pytest.mark.parametrize(
    ("at", "h", "head_dim"),
    [
        ({"d": 1024}, 16, 64),
        ({"d": 32}, 1, 32),
        ({"d": 33, "h": 3}, 3, 11),
        ({"d": 33, "head_dim": 11}, 3, 11),
        ({"h": 3, "head_dim": 11}, 3, 11),
        ({"head_dim": 128}, 8, 128),
        ({"h": 2, "d": 22, "head_dim": 11}, 2, 11),
    ],
)
def test_d_is_d_model_and_two_of_three_sizes_give_the_third(at, h, head_dim):
    sizes = sizes_of(at)

    assert (sizes.h, sizes.head_dim, sizes.d) == (h, head_dim, h * head_dim)


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ({"d": 100}, "got d = 100, no multiple of head_dim = 64; give h or head_dim too"),
        ({"d": 35, "h": 3}, r"got d = 35 with h = 3 and head_dim = 11; correct"),
        ({"h": 3, "head_dim": 5, "d": 16}, r"got d = 16 with h = 3 and head_dim = 5; correct"),
    ],
)
def test_a_d_that_heads_do_not_divide_is_refused(at, message):
    with pytest.raises(CaseError, match=f"d is d_model, h·head_dim; {message}"):
        sizes_of(at)


def test_the_longest_sequence_within_memory_counts_all_tensors():
    (entry,) = counted(["matmul"], at={"h": 2}, budget_bytes=2**30)["counts"]

    found, n = entry["longest"], entry["longest"]["n"]
    needed = lambda n: 4 * 4 * n * 128 + 2 * 8 * n * n  # noqa: E731  # four tensors, two scores
    assert found["bytes"] == needed(n) <= 2**30 < needed(n + 1)
    assert "within 1 GiB (inputs, outputs, workspace)" in printed(
        counted(["matmul"], at={"h": 2}, budget_bytes=2**30)
    )


def test_a_missing_longest_sequence_has_a_reason():
    loop, matmul = counted(["loop", "matmul"], budget_bytes=100)["counts"]

    assert loop["longest"]["n"] is None
    assert "Python floats" in loop["longest"]["reason"]
    assert "even n = 1 takes" in matmul["longest"]["reason"]


@pytest.mark.parametrize(
    ("options", "error"),
    [({"dtype": "int8"}, CaseError), ({"pass_": "sideways"}, CaseError), ({}, CatalogueError)],
)
def test_a_wrong_request_is_refused(options, error):
    with pytest.raises(error):
        counted(["matmul" if options else "nothing"], **options)


def test_people_see_products_apart_from_other_operations():
    text = printed(counted(["matmul", "query_chunked"]))

    for expected in ("4·b·n²·d", "5·b·h·n²", "24·b·h·n² + 16·b·n·d", "8·b·h·n²"):
        assert expected in text
    assert "n a multiple of 512" in text
    assert "5·b·h·n² †" in text
    assert "†: by formula" in text
    assert "4·b·n²·d †" not in text


def test_people_see_why_a_number_is_missing(kernels):
    text = printed(counted(["loop"], [f"{kernels}:broken", f"{kernels}:choosy"]))

    assert "loop: loop works on Python floats" in text
    assert "RuntimeError: out of order" in text


def test_terms_evaluate_to_the_value():
    document = counted(["matmul"])
    sizes = sizes_of(document["sizes"])

    for quantity in document["counts"][0]["quantities"].values():
        assert Polynomial.from_plain(quantity["terms"])(sizes) == quantity["value"]
