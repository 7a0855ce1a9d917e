"""The judging process of the pytest plugin: a JSON document in, a JSON document out.

It answers `claims`, before the tests run, with the marks that are wrong, and `verdicts`, when all
have run, with the fits, the text for the terminal, and how many claims are refuted or undecided.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from reports.claims_in_pytest.tests import Received


def answer(document: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the question of a document."""
    received = Received(document["tests"])
    if document["question"] == "claims":
        return {"wrong": received.wrong}
    from reports.claims_in_pytest.judged import complexity_json, judge_tests, verdict_text

    judged = judge_tests(received.tests)
    return {
        "claims": len(judged),
        "refuted": sum(one.is_refuted for one in judged),
        "undecided": sum(one.is_open for one in judged),
        "documents": complexity_json(judged),
        "text": verdict_text(judged, width=document["width"], colour=document["colour"]),
    }


if __name__ == "__main__":
    print(json.dumps(answer(json.load(sys.stdin)), allow_nan=False))
