"""Kernels of a user's to verify."""

import io

from rich.console import Console

from bench.checks.command import Verified

CHECKED = ("plain", "more_keys", "causal", "calls_in_turn")
KERNELS = """
    from dataclasses import replace
    from implementations.attention.matmul import IMPLEMENTATION, matmul

    def mine(query, key, value, *, is_causal=False):
        return matmul(query, key, value, is_causal=is_causal)

    def wrong(query, key, value):
        return matmul(query, key, value, scale=1.0)

    def chatty(query, key, value):
        print("[bold]hello[/bold]")
        return matmul(query, key, value)

    def refusing(query, key, value):
        raise ValueError("not [red]today[/red]")

    def heads_third(query, key, value):
        query, key, value = (t.transpose(1, 2) for t in (query, key, value))
        return matmul(query, key, value).transpose(1, 2)

    def scores_of_heads(query, key, value):
        return 2 * heads_third(query, key, value)

    def declining(query, key, value):
        raise NotImplementedError("needs a GPU of another kind")

    def any_keywords(query, key, value, **_):
        return heads_third(query, key, value)

    DECLARED = replace(IMPLEMENTATION, name="declared", fn=any_keywords)
"""


def printed(found: Verified, width: int | None = None) -> str:
    output = io.StringIO()
    found.print(Console(file=output, width=width))
    return output.getvalue()
