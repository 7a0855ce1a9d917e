"""Kinds of situations in the words of people: what a refusal or a failure may depend on."""

from __future__ import annotations

from collections.abc import Callable

from bench.checks.situation import CheckCase

Kind = Callable[[CheckCase], str | None]
MULTIPLES = (8, 16, 32, 64, 128)
LONGEST = (128, 256, 512, 1024, 2048, 4096)
LEAST_HEAD, WIDEST_HEAD = 16, 128
MOST_ITEMS = 64


def _when(words: str, holds: Callable[[CheckCase], object]) -> Kind:
    """The kind of the situations for which something holds."""
    return lambda one: words if holds(one) else None


def dtype(one: CheckCase) -> str:
    """The dtype, which is a kind of its own in every situation."""
    return one.case.dtype


def _odd(what: str, *names: str) -> list[Kind]:
    """Kinds in which one of two sizes is no multiple of 8, of 16, and so on."""

    def no_multiple(of: int) -> Kind:
        words = f"a {what} that is no multiple of {of}"
        return _when(words, lambda one: any(getattr(one.case, name) % of for name in names))

    return [no_multiple(of) for of in MULTIPLES]


def _long(name: str, most: int) -> Kind:
    return _when(f"a {name} above {most}", lambda one: getattr(one.case, name) > most)


def _is_power(size: int) -> bool:
    return not size & (size - 1)


_lengths = _when("a key_len other than query_len", lambda one: one.case.seq_len != one.case.key_len)


def _longer(one: CheckCase) -> str | None:
    more_keys = one.case.key_len > one.case.seq_len
    more, fewer = ("keys", "queries") if more_keys else ("queries", "keys")
    return f"more {more} than {fewer}" if _lengths(one) else None


def _with_is_causal(kind: Kind) -> Kind:
    return lambda one: f"{kind(one)} with is_causal" if kind(one) and one.case.is_causal else None


def _empty(one: CheckCase) -> str | None:
    empty = 0 in (one.case.seq_len, one.case.key_len, one.case.batch)
    return one.name.replace("_", " ") if empty else None


def _example(one: CheckCase) -> str:
    """What a kind is named after: round sizes, of which dtypes have some each, count as one."""
    return "round sizes" if one.name.startswith("round") else one.name


def _memory(one: CheckCase) -> str | None:
    return f"inputs in memory as in {_example(one)}" if one.arrange else None


def _mask_shape(one: CheckCase) -> str | None:
    if any(statement.startswith("attn_mask = torch.") for statement in one.prepare):
        return f"the mask of {_example(one)}"
    return None if one.case.mask == "none" else "a mask of (query_len, key_len)"


_causal_lengths, _causal_longer = _with_is_causal(_lengths), _with_is_causal(_longer)
_zero_scale = _when("a scale of 0", lambda one: one.scale == 0.0)

# Of several that fit, the widest comes first.
KINDS: tuple[Kind, ...] = (
    dtype,
    _lengths,
    _longer,
    _causal_lengths,
    _causal_longer,
    lambda one: f"{len(one.leading) + 2} dimensions",
    *_odd("head_dim", "head_dim", "value_dim"),
    _when(
        f"a head_dim below {LEAST_HEAD}",
        lambda one: min(one.case.head_dim, one.case.value_dim) < LEAST_HEAD,
    ),
    _when(
        "a head_dim that is no power of 2",
        lambda one: not (_is_power(one.case.head_dim) and _is_power(one.case.value_dim)),
    ),
    lambda one: f"a head_dim of {one.case.head_dim}" if one.case.head_dim > WIDEST_HEAD else None,
    _when("a value_dim other than head_dim", lambda one: one.case.value_dim != one.case.head_dim),
    *_odd("length", "seq_len", "key_len"),
    *(_long("key_len", most) for most in LONGEST),
    *(_long("seq_len", most) for most in LONGEST),
    _long("batch", MOST_ITEMS),
    _long("num_heads", MOST_ITEMS),
    _when("an odd number of heads", lambda one: one.leading and one.case.num_heads % 2),
    _empty,
    _memory,
    _mask_shape,
    _zero_scale,
)

# What a signature promises, and a kernel may refuse on purpose.
FEATURES: tuple[Kind, ...] = (
    _when("is_causal", lambda one: one.case.is_causal),
    lambda one: None if one.case.mask == "none" else f"a {one.case.mask} mask",
    _when("scale", lambda one: one.scale is not None),
    _when("dropout_p", lambda one: one.probe == "dropout"),
    _when("enable_gqa", lambda one: one.case.is_grouped),
    _when("window", lambda one: one.case.window is not None),
)
PROMISED: tuple[Kind, ...] = (*FEATURES, _zero_scale)
# What a failure may depend on.
ALL_KINDS: tuple[Kind, ...] = (
    *(kind for kind in KINDS if kind not in (_causal_lengths, _causal_longer)),
    *FEATURES,
)
