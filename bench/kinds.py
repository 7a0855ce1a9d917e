"""Kinds of situations in the words of people: what a refusal or a failure may depend on."""

from __future__ import annotations

from collections.abc import Callable

from bench.check_case import CheckCase

Kind = Callable[[CheckCase], str | None]
MULTIPLE, BLOCK = 8, 64
WIDEST_HEAD = 128


def _dtype(case: CheckCase) -> str | None:
    return case.case.dtype


def _dimensions(case: CheckCase) -> str | None:
    return None if len(case.leading) == 2 else f"{len(case.leading) + 2} dimensions"


def _narrow_heads(case: CheckCase) -> str | None:
    odd = case.case.head_dim % MULTIPLE or case.case.value_dim % MULTIPLE
    return f"a head_dim that is no multiple of {MULTIPLE}" if odd else None


def _wide_heads(case: CheckCase) -> str | None:
    return f"a head_dim of {case.case.head_dim}" if case.case.head_dim > WIDEST_HEAD else None


def _value_dim(case: CheckCase) -> str | None:
    return None if case.case.value_dim == case.case.head_dim else "a value_dim other than head_dim"


def _lengths(case: CheckCase) -> str | None:
    return None if case.case.seq_len == case.case.key_len else "a key_len other than query_len"


def _longer(case: CheckCase) -> str | None:
    more, fewer = (
        ("keys", "queries") if case.case.key_len > case.case.seq_len else ("queries", "keys")
    )
    return None if _lengths(case) is None else f"more {more} than {fewer}"


def _causal_lengths(case: CheckCase) -> str | None:
    return _lengths(case) and f"{_lengths(case)} with is_causal" if case.case.is_causal else None


def _empty(case: CheckCase) -> str | None:
    empty = not case.case.seq_len or not case.case.key_len or not case.case.batch
    return case.name.replace("_", " ") if empty else None


def _memory(case: CheckCase) -> str | None:
    return f"inputs in memory as in {case.name}" if case.arrange else None


def _mask_shape(case: CheckCase) -> str | None:
    broadcast = any(statement.startswith("attn_mask = torch.") for statement in case.prepare)
    return f"the mask of {case.name}" if broadcast else None


KINDS: tuple[Kind, ...] = (
    _dtype,
    _lengths,
    _longer,
    _causal_lengths,
    _dimensions,
    _narrow_heads,
    _wide_heads,
    _value_dim,
    _empty,
    _memory,
    _mask_shape,
)


def _blocks(case: CheckCase) -> str | None:
    odd = case.case.seq_len % BLOCK or case.case.key_len % BLOCK
    return f"a length that is no multiple of {BLOCK}" if odd else None


def _causal(case: CheckCase) -> str | None:
    return "is_causal" if case.case.is_causal else None


def _mask(case: CheckCase) -> str | None:
    return None if case.case.mask == "none" else f"a {case.case.mask} mask"


# What a failure may depend on as well.
ALL_KINDS: tuple[Kind, ...] = (
    *(kind for kind in KINDS if kind is not _causal_lengths),
    _causal,
    _mask,
    _blocks,
)
