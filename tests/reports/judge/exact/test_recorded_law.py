"""A workspace judged by the polynomial that its run counted."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import pytest

from reports.cells.case_columns import SIZES
from reports.cells.cells import cells_of
from reports.judge.exact.recorded_law import recorded_law
from reports.judge.fit import fit
from reports.judge.result import Fit, Verdict
from reports.verdicts.advice import advice

Record = Callable[..., dict[str, Any]]

LENGTHS = (256, 512, 1024, 2048, 4096, 8192)
WIDTHS = (128, 256, 512, 1024, 2048)
HEAD = 64
HEADS = 8
BATCH = 2
CONDITIONS = {
    "implementation": "sdpa",
    "pass": "forward",
    "device": "cpu",
    "dtype": "float32",
    "is_causal": False,
    "mask": "none",
}


def law_of(
    *terms: tuple[int | str, dict[str, int]], text: str = "n at least 768", **changes: Any
) -> dict[str, Any]:
    """What run.json says of one workspace; `changes` replace conditions and bounds."""
    bounds = {letter: {"multiple_of": 1, "at_least": 1} for letter in "hnd"}
    bounds["n"] = {"multiple_of": 1, "at_least": 768}
    bounds |= {name: changes.pop(name) for name in ("h", "n", "d") if name in changes}
    ratio = changes.pop("n_at_least_times_d", 0)
    return {
        **CONDITIONS,
        "text": "some polynomial",
        "terms": [{"coefficient": c, "powers": powers} for c, powers in terms],
        "valid": {"text": text, **bounds, "n_at_least_times_d": ratio},
        **changes,
    }


SDPA_TERMS = (4, {"b": 1, "h": 1, "n": 1}), (2048, {"d": 1}), (1_052_672, {})
SDPA = law_of(*SDPA_TERMS)
"""4·b·h·n + 2048·d + 1052672: nearly all of it a buffer, wherever anything can be measured."""


@pytest.fixture
def rows(record: Record) -> Callable[..., pd.DataFrame]:
    """Measured records of `sdpa`, below the law's range too, where the buffer is smaller."""

    def make(growth: str = "heads", **changes: Any) -> pd.DataFrame:
        found = []
        for n in LENGTHS:
            for width in WIDTHS:
                heads, head = (
                    (width // HEAD, HEAD) if growth == "heads" else (HEADS, width // HEADS)
                )
                cost = 4 * BATCH * heads * n + 2048 * head + 1_052_672
                found.append(
                    record(
                        batch=BATCH,
                        num_heads=heads,
                        head_dim=head,
                        seq_len=n,
                        key_len=n,
                        d_model=width,
                        workspace_bytes=cost if n >= 768 else cost // 2,
                    )
                )
        return pd.DataFrame(found).assign(**changes)

    return make


def judged(table: pd.DataFrame, claim: str, laws: Sequence[dict[str, Any]] = (SDPA,)) -> Fit:
    return fit(table, value="workspace_bytes", claim=claim, info={"workspace_laws": list(laws)})


def is_used(table: pd.DataFrame, laws: Sequence[dict[str, Any]]) -> bool:
    """Whether one of the laws is that of these records, before anything is judged by it."""
    cells = cells_of(table, SIZES, "workspace_bytes")
    law = recorded_law(table, cells, SIZES, {"workspace_laws": list(laws)})
    return law is not None and law.is_measured


def test_a_term_hidden_under_a_buffer_is_known_to_lead_where_heads_grow(rows) -> None:
    found = judged(rows(), "n*d")
    assert (found.verdict, found.reasons) == (Verdict.CONFIRMED, ())
    assert found.counted is not None
    assert "n at least 768" in found.counted
    assert [(one.start, one.end) for one in found.regimes] == [(256, 512), (1024, 8192)]
    assert found.regimes[0].evidence == "left out: the polynomial holds for n at least 768"
    assert found.predict({"n": 4096, "d": 1024}) == pytest.approx(
        4 * BATCH * 16 * 4096 + 2048 * HEAD + 1_052_672
    )


@pytest.mark.parametrize(
    ("claim", "reasons"),
    [
        ("n^2", ("faster_growing_term", "claimed_term_absent")),
        ("n^2*d", ("claimed_term_absent",)),
        ("n", ("faster_growing_term", "claimed_term_absent")),
        ("1", ("faster_growing_term",)),
    ],
)
def test_another_claim_is_refuted_by_the_same_polynomial(rows, claim: str, reasons) -> None:
    found = judged(rows(), claim)
    assert found.verdict is Verdict.REFUTED
    assert found.reasons == reasons


def test_where_the_head_grows_the_same_polynomial_is_another_law(rows) -> None:
    table = rows("head")
    both = judged(table, "n + d")
    assert both.verdict is Verdict.CONFIRMED
    assert judged(table, "n*d").verdict is Verdict.REFUTED
    assert judged(table, "n").verdict is Verdict.REFUTED
    assert both.predict({"n": 4096, "d": 1024}) == pytest.approx(
        4 * BATCH * HEADS * 4096 + 2048 * 128 + 1_052_672
    )


def test_only_the_cells_inside_the_range_are_judged(rows) -> None:
    assert judged(rows(), "n*d").ranges["n"] == (1024, 8192)


@pytest.mark.parametrize(("start", "stated"), [(2048, {"n", "d"}), (4096, {"d"})])
def test_two_values_inside_the_range_of_a_size_that_is_not_claimed_state_no_exponent(
    rows, start: int, stated: set[str]
) -> None:
    constant = law_of((1_052_672, {}), n={"multiple_of": 1, "at_least": start})
    table = rows().assign(workspace_bytes=1_052_672)
    table.loc[table["seq_len"] < start, "workspace_bytes"] = 4096 * table["seq_len"]

    found = judged(table, "1", [constant])

    assert found.verdict is Verdict.CONFIRMED
    assert set(found.exponents) == stated


def test_sizes_between_the_steps_of_a_law_are_outside_its_range(rows) -> None:
    even = {**SDPA, "valid": {**SDPA["valid"], "n": {"multiple_of": 2048, "at_least": 2048}}}
    assert judged(rows(), "n*d", [even]).ranges["n"] == (2048, 8192)


def test_a_law_for_long_sequences_only_holds_for_those(rows) -> None:
    found = judged(
        rows("head"), "n + d", [{**SDPA, "valid": {**SDPA["valid"], "n_at_least_times_d": 32}}]
    )
    assert found.verdict is Verdict.CONFIRMED
    assert found.cells == sum(n >= max(768, 32 * w // HEADS) for n in LENGTHS for w in WIDTHS)


@pytest.mark.parametrize("batch", [1, BATCH])
def test_a_law_of_one_item_says_nothing_of_several(rows, batch: int) -> None:
    table = rows()
    table["workspace_bytes"] = 4 * batch * table["num_heads"] * table["seq_len"] + 1_183_744
    single = {**SDPA, "valid": {**SDPA["valid"], "is_single": True}}
    found = judged(table.assign(batch=batch), "n*d", [single])
    assert ("n at least 768" in (found.counted or "")) == (batch == 1)


def test_a_fraction_is_read_as_one(rows) -> None:
    third = law_of(("14/3", {"b": 1, "h": 1, "n": 1}), (2048, {"d": 1}), (1_052_672, {}))
    table = rows()
    table["workspace_bytes"] += (2 * BATCH * table["num_heads"] * table["seq_len"]) // 3
    found = judged(table, "n*d", [third])
    assert found.verdict is Verdict.CONFIRMED
    assert found.counted is not None


def test_measured_cells_that_contradict_it_leave_the_law_aside(rows) -> None:
    table = rows()
    table["workspace_bytes"] += 4 * table["seq_len"] ** 2
    found = judged(table, "n*d")
    assert found.verdict is not Verdict.CONFIRMED
    assert "n at least 768" not in (found.counted or "")
    assert found.predict({"n": 8192, "d": 2048}) == pytest.approx(
        4 * BATCH * 32 * 8192 + 2048 * HEAD + 1_052_672 + 4 * 8192**2, rel=0.02
    )


def test_what_an_allocator_rounds_up_contradicts_nothing(rows) -> None:
    table = rows()
    table["workspace_bytes"] += 512
    assert judged(table, "n*d").verdict is Verdict.CONFIRMED


def test_no_cell_in_range_leaves_the_law_aside(rows) -> None:
    far = {**SDPA, "valid": {**SDPA["valid"], "n": {"multiple_of": 1, "at_least": 10**6}}}
    assert not is_used(rows(), [far])


FAR = law_of(*SDPA_TERMS, text="n at least 65536", n={"multiple_of": 1, "at_least": 65_536})


@pytest.mark.parametrize(("claim", "by_cells"), [("n*d", "refuted"), ("n^2", "confirmed")])
def test_a_law_that_holds_beyond_the_cells_and_rules_otherwise_leaves_the_claim_open(
    rows, claim: str, by_cells: str
) -> None:
    table = rows()
    table["workspace_bytes"] = 4 * table["seq_len"] ** 2
    assert judged(table, claim, []).verdict == by_cells

    found = judged(table, claim, [FAR])

    assert (found.verdict, found.reasons) == (Verdict.INCONCLUSIVE, ("counted_elsewhere",))
    told = advice(found, "counted_elsewhere") or ""
    assert "The counted law holds for n at least 65536, where nothing was measured" in told


@pytest.mark.parametrize(("claim", "verdict"), [("n*d", "confirmed"), ("n^2", "refuted")])
def test_a_law_that_holds_beyond_the_cells_and_agrees_changes_nothing(
    rows, claim: str, verdict: str
) -> None:
    table = rows()
    table["workspace_bytes"] = 16 * table["seq_len"] * table["d_model"]

    assert judged(table, claim, [FAR]).verdict == verdict
    assert judged(table, claim, [FAR]) == judged(table, claim, [])


def test_where_d_stands_still_nobody_knows_whether_heads_would_grow_with_it(rows) -> None:
    table = rows()[lambda table: table["d_model"] == 512]

    open_claim, without_d = judged(table, "n*d"), judged(table, "n")

    assert (open_claim.verdict, open_claim.reasons) == (Verdict.INCONCLUSIVE, ("too_few_sizes",))
    assert open_claim.exponents["d"].estimate is None
    assert without_d.verdict is Verdict.CONFIRMED
    assert judged(table, "n^2*d").verdict is Verdict.REFUTED


def test_heads_that_are_claimed_in_place_of_d_are_those_of_the_law(rows) -> None:
    """The law says d, which is h·head_dim, as today's runs do."""
    law = law_of((4, {"b": 1, "n": 1, "d": 1}), (1_052_672, {}))
    law["valid"]["head_dim"] = law["valid"]["d"]
    table = rows()
    table["workspace_bytes"] = 4 * BATCH * table["seq_len"] * table["d_model"] + 1_052_672

    assert judged(table, "n*h", [law]).verdict is Verdict.CONFIRMED
    assert judged(table, "n^2*h", [law]).verdict is Verdict.REFUTED


@pytest.mark.parametrize(
    "other",
    [
        {"implementation": "matmul"},
        {"dtype": "bfloat16"},
        {"is_causal": True},
        {"device": "cuda"},
        {"pass": "backward"},
        {"mask": "boolean"},
    ],
)
def test_a_law_under_other_conditions_is_not_that_of_these_records(rows, other) -> None:
    assert not is_used(rows(), [{**SDPA, **other}])
    assert is_used(rows(), [{**SDPA, **other}, SDPA])


def test_a_law_that_is_not_used_changes_nothing(rows) -> None:
    assert judged(rows(), "n*d", [{**SDPA, "dtype": "bfloat16"}]) == judged(rows(), "n*d", [])


def test_records_of_several_conditions_have_no_one_law(rows) -> None:
    assert not is_used(pd.concat([rows(), rows(dtype="bfloat16")]), [SDPA])


def test_batches_that_vary_beside_the_claim_leave_the_law_aside(rows) -> None:
    table = rows()
    table.loc[table["seq_len"] > 2048, "batch"] = 1
    assert "n at least 768" not in (judged(table, "n*d").counted or "")


def test_a_claimed_batch_is_one_of_the_sizes(rows) -> None:
    parts = [rows().assign(batch=b) for b in (1, 2, 4, 8)]
    for part in parts:
        part["workspace_bytes"] += 4 * (part["batch"] - BATCH) * part["num_heads"] * part["seq_len"]
    sizes = {"n": "seq_len", "d": "d_model", "b": "batch"}
    found = fit(
        pd.concat(parts),
        sizes=sizes,
        value="workspace_bytes",
        claim="b*n*d",
        info={"workspace_laws": [SDPA]},
    )
    assert found.verdict is Verdict.CONFIRMED
    assert "n at least 768" in (found.counted or "")


def test_a_time_is_never_judged_by_the_law_of_a_workspace(rows) -> None:
    found = fit(rows(), value="time_s", claim="n*d", info={"workspace_laws": [SDPA]})
    assert found.counted is None
