"""Kinds of situations in the words of people: what a refusal or a failure may depend on."""

from __future__ import annotations

from collections.abc import Callable

from bench.checks.situation import CheckCase

Kind = Callable[[CheckCase], str | None]
MULTIPLES = (8, 16, 32, 64, 128)
LONGEST = (128, 256, 512, 1024, 2048, 4096)
LEAST_HEAD, WIDEST_HEAD = 16, 128
MOST_ITEMS = 64


def dtype(case: CheckCase) -> str | None:
    """The dtype, which is a kind of its own in every situation."""
    return case.case.dtype


def _dimensions(case: CheckCase) -> str | None:
    return f"{len(case.leading) + 2} dimensions"


def _odd_heads(multiple: int) -> Kind:
    def kind(case: CheckCase) -> str | None:
        odd = case.case.head_dim % multiple or case.case.value_dim % multiple
        return f"a head_dim that is no multiple of {multiple}" if odd else None

    return kind


def _small_heads(case: CheckCase) -> str | None:
    least = min(case.case.head_dim, case.case.value_dim)
    return f"a head_dim below {LEAST_HEAD}" if least < LEAST_HEAD else None


def _uneven_heads(case: CheckCase) -> str | None:
    sizes = (case.case.head_dim, case.case.value_dim)
    uneven = any(size & (size - 1) for size in sizes)
    return "a head_dim that is no power of 2" if uneven else None


def _wide_heads(case: CheckCase) -> str | None:
    return f"a head_dim of {case.case.head_dim}" if case.case.head_dim > WIDEST_HEAD else None


def _odd_lengths(multiple: int) -> Kind:
    def kind(case: CheckCase) -> str | None:
        odd = case.case.seq_len % multiple or case.case.key_len % multiple
        return f"a length that is no multiple of {multiple}" if odd else None

    return kind


def _long(name: str, most: int) -> Kind:
    def kind(case: CheckCase) -> str | None:
        return f"a {name} above {most}" if getattr(case.case, name) > most else None

    return kind


def _number_of_heads(case: CheckCase) -> str | None:
    return "an odd number of heads" if case.leading and case.case.num_heads % 2 else None


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


def _causal_longer(case: CheckCase) -> str | None:
    return f"{_longer(case)} with is_causal" if _longer(case) and case.case.is_causal else None


def _empty(case: CheckCase) -> str | None:
    empty = not case.case.seq_len or not case.case.key_len or not case.case.batch
    return case.name.replace("_", " ") if empty else None


def _example(case: CheckCase) -> str:
    """What a kind is named after: round sizes, of which dtypes have some each, count as one."""
    return "round sizes" if case.name.startswith("round") else case.name


def _memory(case: CheckCase) -> str | None:
    return f"inputs in memory as in {_example(case)}" if case.arrange else None


def _mask_shape(case: CheckCase) -> str | None:
    broadcast = any(statement.startswith("attn_mask = torch.") for statement in case.prepare)
    if case.case.mask == "none" or broadcast:
        return f"the mask of {_example(case)}" if broadcast else None
    return "a mask of (query_len, key_len)"


def _zero_scale(case: CheckCase) -> str | None:
    return "a scale of 0" if case.scale == 0.0 else None


# Of several that fit, the widest comes first.
KINDS: tuple[Kind, ...] = (
    dtype,
    _lengths,
    _longer,
    _causal_lengths,
    _causal_longer,
    _dimensions,
    *map(_odd_heads, MULTIPLES),
    _small_heads,
    _uneven_heads,
    _wide_heads,
    _value_dim,
    *map(_odd_lengths, MULTIPLES),
    *(_long("key_len", most) for most in LONGEST),
    *(_long("seq_len", most) for most in LONGEST),
    _long("batch", MOST_ITEMS),
    _long("num_heads", MOST_ITEMS),
    _number_of_heads,
    _empty,
    _memory,
    _mask_shape,
    _zero_scale,
)


def _causal(case: CheckCase) -> str | None:
    return "is_causal" if case.case.is_causal else None


def _mask(case: CheckCase) -> str | None:
    return None if case.case.mask == "none" else f"a {case.case.mask} mask"


def _scale(case: CheckCase) -> str | None:
    return None if case.scale is None else "scale"


def _dropout(case: CheckCase) -> str | None:
    return "dropout_p" if case.probe == "dropout" else None


# What a signature promises, and a kernel may refuse on purpose.
FEATURES: tuple[Kind, ...] = (_causal, _mask, _scale, _dropout)
PROMISED: tuple[Kind, ...] = (*FEATURES, _zero_scale)
# What a failure may depend on.
ALL_KINDS: tuple[Kind, ...] = (
    *(kind for kind in KINDS if kind not in (_causal_lengths, _causal_longer)),
    *FEATURES,
)
