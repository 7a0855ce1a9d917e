"""`attnscale counts`: the exit code where something could not be counted."""

import pytest

from attnscale.exit_codes import DONE, FAILED, INCONCLUSIVE
from bench.counting import document
from bench.counting.result import QUANTITIES


def entry(name: str, value: int | None) -> dict[str, object]:
    return {"implementation": name, "quantities": {one: {"value": value} for one in QUANTITIES}}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], DONE),
        (["sdpa"], DONE),
        (["flex", "sdpa"], INCONCLUSIVE),
        (["sdpa", "--impl", "math:sin"], FAILED),
    ],
)
def test_what_was_named_and_could_not_be_counted_decides_the_code(
    attnscale_, direct_workers, monkeypatch, arguments, code
):
    found = [entry("sdpa", 7), entry("flex", None), entry("sin", None)]
    chosen = [one for one in found if one["implementation"] != "sin"] if code != FAILED else found
    monkeypatch.setattr(document, "counts_in_worker", lambda *_, **__: {"counts": chosen})

    assert attnscale_("counts", *arguments, "--json").code == code
