import pytest

from reports.tables.benchmarks.pytest_ids import shared_part


@pytest.mark.parametrize(
    ("idents", "written", "expected"),
    [
        (["<lambda>0-64", "<lambda>0-128"], [[64], [128]], "<lambda>0"),
        (["64-<lambda>0"], [[64]], "<lambda>0"),
        (["small-by-hand", "large-by-hand"], [[64], [4096]], "by-hand"),
        (["1-1"], [[1]], "1"),
        (["fn0-1e-05-x"], [[1e-05, "x"]], "fn0"),
        (["fn1-a-b"], [["a-b"]], "fn1"),
        (["sort0-1024"], [[1024, 0]], "sort0"),
        (["64"], [[64]], ""),
        ([""], [[]], ""),
    ],
)
def test_what_other_parameters_wrote_is_no_part_of_a_name(
    idents: list[str], written: list[list[object]], expected: str
) -> None:
    assert shared_part(idents, written) == expected
