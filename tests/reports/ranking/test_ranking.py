"""Who is fastest where, by how much, and with how much memory."""

from __future__ import annotations

import json

import pytest

from reports.comparison.ratios import Finding
from reports.ranking.ranking import rankings
from tests.reports.ranking.some_run import frame, rows


def test_times_stand_beside_their_ratio_and_workspace_the_fastest_first() -> None:
    (found,) = rankings(frame())

    largest = found.sizes[-1]
    assert (found.reference, largest.words) == ("sdpa", "n = 2048, d = 1024")
    assert [one.implementation for one in largest.times] == ["sdpa", "quick", "slow"]
    slow = largest.of("slow")
    assert slow is not None
    assert slow.ratio is not None
    assert slow.behind == slow.ratio
    assert slow.time_s == pytest.approx(2e-9 * 2048**2 * 1024, rel=0.01)
    assert (slow.workspace_bytes, slow.ratio.finding) == (2048**2, Finding.SLOWER)
    assert slow.ratio.low
    assert slow.ratio.high
    assert 1.96 < slow.ratio.low < slow.ratio.estimate < slow.ratio.high < 2.04
    assert largest.sentence == (
        "fastest at n = 2048, d = 1024: sdpa, 4.29 s; quick is as fast (1.01 times the time)"
    )


@pytest.mark.parametrize(
    ("named", "names", "reference"),
    [
        (("slow", "sdpa"), ("sdpa", "slow"), "slow"),
        (("absent", "slow"), ("sdpa", "slow †"), "slow †"),
        ((), ("slow", "quick"), "quick"),
    ],
)
def test_the_reference_is_the_first_named_else_sdpa_else_the_fastest(
    named, names, reference
) -> None:
    factors = {"sdpa": 1.0, "quick": 1.01, "slow": 2.0, "slow †": 2.0}
    (found,) = rankings(frame(rows({name: factors[name] for name in names})), named)

    assert found.reference == reference


def test_conditions_are_ranked_apart_those_with_most_cells_first() -> None:
    few = rows(lengths=(128,), dtype="bfloat16")

    many, other = rankings(frame(few, rows()))

    assert (many.conditions, other.conditions) == ({"dtype": "float32"}, {"dtype": "bfloat16"})
    assert other.described == "cpu, bfloat16, forward, 1 thread"


def test_who_was_measured_at_other_sizes_only_is_told_apart() -> None:
    loop = rows({"loop": 1000.0}, lengths=(16, 32), widths=(64,))
    wider = rows({"loop": 1000.0}, lengths=(16,), widths=(64,), growth="head_dim", num_heads=2)

    (found,) = rankings(frame(rows(), loop, wider))

    assert found.sizes[-1].words == "n = 2048, d = 1024"

    (own,) = found.elsewhere
    assert (own.words, own.times[0].implementation) == ("n = 32, d = 64", "loop")
    assert "loop" not in found.implementations


def test_a_cell_without_a_time_says_why() -> None:
    reason = "predicted to need 2 PiB"
    lost = rows({"slow": 2.0}, lengths=(2048,), status="out_of_memory", reason=reason, time_s=None)
    (found,) = rankings(frame(rows({"sdpa": 1.0, "quick": 1.01}), lost))

    slow = found.sizes[-1].of("slow")
    assert slow is not None
    assert (slow.time_s, slow.without, slow.reason) == (None, "out of memory", reason)
    assert found.sizes[-1].times[-1] is slow


def test_widths_in_several_numbers_of_heads_are_told_apart() -> None:
    parts = [rows(lengths=(512,), widths=(512,), num_heads=h, head_dim=512 // h) for h in (1, 8)]

    (found,) = rankings(frame(*parts))

    assert [size.words for size in found.sizes] == [
        "n = 512, d = 512, 1 head",
        "n = 512, d = 512, 8 heads",
    ]


def test_on_a_gpu_its_own_time_is_ranked_where_all_have_it() -> None:
    found = frame(rows({"sdpa": 1.0, "quick": 1.01}, device="cuda"))
    some = found["time_s"].where(found["implementation"] == "sdpa")

    (own,) = rankings(found.assign(graph_time_s=found["time_s"] / 10))
    (calls,) = rankings(found.assign(graph_time_s=some))

    assert (own.is_gpu_time, calls.is_gpu_time) == (True, False)
    assert own.sizes[-1].times[0].time_s == pytest.approx(0.429, rel=0.01)


def test_cells_that_share_keys_are_another_problem_and_both_are_named() -> None:
    found = rankings(frame(rows(lengths=(512,)), rows(widths=(64,), kv_heads="h/4")))

    assert [one.described.split(", ")[3] for one in found] == ["key heads h", "key heads h/4"]


def test_a_table_of_something_else_has_no_ranking() -> None:
    assert rankings(frame().drop(columns="seq_len")) == []
    assert rankings(frame(rows(status="skipped", time_s=None))) == []


def test_a_ranking_is_json() -> None:
    windowed = rows(lengths=(512,), window=128, is_causal=True)
    found, other = rankings(frame(rows(), windowed))

    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["conditions"] == {"is_causal": False, "window": None}
    assert other.conditions == {"is_causal": True, "window": 128}
    assert document["sizes"][-1]["times"][1]["ratio"]["finding"] == "same"
