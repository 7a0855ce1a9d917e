"""An example as `attnscale explain --json` writes it, with numbers that are easy to follow."""

from typing import Any


def some_example(**changed: Any) -> dict[str, Any]:
    """Two words of one feature; equal scores in the first row, ln 3 apart in the second."""
    return {
        "name": "two",
        "title": "Two words",
        "source": "this test",
        "rule": "Q = K = V = X",
        "words": ["ah", "oh"],
        "is_causal": False,
        "head_dim": 1,
        "query": [[0.0], [1.0]],
        "key": [[0.0], [1.0986122886681098]],
        "value": [[2.0], [4.0]],
        "scores": [[0.0, 0.0], [0.0, 1.0986122886681098]],
        "weights": [[0.5, 0.5], [0.25, 0.75]],
        "output": [[3.0], [3.5]],
        "difference": 0.0,
        "allowed": 1e-15,
        **changed,
    }


CAUSAL: dict[str, Any] = {
    "is_causal": True,
    "scores": [[0.0, None], [0.0, 1.0986122886681098]],
    "weights": [[1.0, 0.0], [0.25, 0.75]],
    "output": [[2.0], [3.5]],
}
