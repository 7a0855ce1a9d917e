"""Kernels whose dropout is wrong; without dropout, right, but for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from implementations.masking import safe_softmax
from tests.planted.pieces import Options, by_name, exponentials, masked_scores, plant
from tests.planted.planted import Planted, plain


def _weights(query: Tensor, key: Tensor, options: Options) -> Tensor:
    return safe_softmax(masked_scores(query, key, options))


def _kept(weights: Tensor, dropout_p: float) -> Tensor:
    """1 where a weight is kept, 0 where it is dropped."""
    if dropout_p == 0.0:
        return torch.ones_like(weights)  # draws nothing from the generator
    return torch.empty_like(weights).bernoulli_(1.0 - dropout_p)


def dropout_ignored(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Takes dropout_p and drops nothing."""
    options["dropout_p"] = 0.0
    return plain(query, key, value, **options)


def dropout_even_at_rate_zero(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Takes a rate of 0 for none given, and drops a tenth."""
    options["dropout_p"] = options.get("dropout_p") or 0.1
    return plain(query, key, value, **options)


def dropped_weights_not_rescaled(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Does not divide the kept weights by 1 - p."""
    weights = _weights(query, key, options)
    return weights * _kept(weights, options.get("dropout_p", 0.0)) @ value


def dropped_weights_rescaled_by_the_rate(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Multiplies the kept weights by 1 + p, not by 1 / (1 - p)."""
    weights, rate = _weights(query, key, options), options.get("dropout_p", 0.0)
    return weights * _kept(weights, rate) * (1.0 + rate) @ value


def rate_taken_for_the_kept_share(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Keeps a weight with probability p, not 1 - p."""
    rate = options.get("dropout_p", 0.0)
    return F.dropout(_weights(query, key, options), 1.0 - rate if rate else 0.0) @ value


def rate_in_sixteenths(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Rounds the rate down to a multiple of 1/16."""
    options["dropout_p"] = int(options.get("dropout_p", 0.0) * 16) / 16
    return plain(query, key, value, **options)


def dropout_twice(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Drops from the weights twice."""
    rate = options.get("dropout_p", 0.0)
    return F.dropout(F.dropout(_weights(query, key, options), rate), rate) @ value


def dropout_on_the_output(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Drops elements of the output instead of weights."""
    rate = options.get("dropout_p", 0.0)
    return F.dropout(_weights(query, key, options) @ value, rate)


def dropout_on_the_values(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Drops elements of the values instead of weights."""
    return _weights(query, key, options) @ F.dropout(value, options.get("dropout_p", 0.0))


def dropout_on_the_scores(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Sets dropped scores to 0 before the softmax, where a score of 0 still has weight."""
    scores, rate = masked_scores(query, key, options), options.get("dropout_p", 0.0)
    dropped = (_kept(scores, rate) == 0.0) & scores.isfinite()
    return safe_softmax(scores.masked_fill(dropped, 0.0)) @ value


def dropout_before_normalising(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Drops before the sum is taken, so that the kept weights always add up to 1."""
    powers, _ = exponentials(masked_scores(query, key, options))
    powers = F.dropout(powers, options.get("dropout_p", 0.0))
    totals = powers.sum(dim=-1, keepdim=True)
    return powers / totals.masked_fill(totals == 0.0, 1.0) @ value


def same_dropout_for_all_heads(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Draws one pattern of dropped weights and uses it for all batch items and heads."""
    weights = _weights(query, key, options)
    pattern = torch.ones(weights.shape[-2:], dtype=weights.dtype, device=weights.device)
    return weights * F.dropout(pattern, options.get("dropout_p", 0.0)) @ value


def same_dropout_for_all_queries(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Drops whole keys, for all queries of a head alike."""
    weights = _weights(query, key, options)
    factors = weights.new_ones((*weights.shape[:-2], 1, weights.shape[-1]))
    return weights * F.dropout(factors, options.get("dropout_p", 0.0)) @ value


def whole_rows_dropped(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Drops all weights of a query or none."""
    weights = _weights(query, key, options)
    factors = torch.ones_like(weights[..., :1])
    return weights * F.dropout(factors, options.get("dropout_p", 0.0)) @ value


class _OwnGenerator:
    """Drops by a generator of its own, which torch.manual_seed does not reach."""

    def __init__(self) -> None:
        self._generator = torch.Generator()
        self._generator.seed()

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
    ) -> Tensor:
        weights, rate = _weights(query, key, options), options.get("dropout_p", 0.0)
        if rate == 0.0:
            return weights @ value
        drawn = torch.rand(weights.shape, generator=self._generator).to(weights.device)
        return weights * (drawn >= rate) / (1.0 - rate) @ value


dropout_of_an_own_generator = _OwnGenerator()


def same_dropout_in_every_call(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Drops the same weights in every call, whatever the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return plain(query, key, value, **options)


def _rate_changed(change: Callable[[float], float], most_keys: float = 0) -> Callable[..., Tensor]:
    """Another rate than asked for, beyond some number of keys."""

    def kernel(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
        rate = options.get("dropout_p", 0.0)
        if rate and key.shape[-2] > most_keys:
            options["dropout_p"] = change(rate)
        return plain(query, key, value, **options)

    return kernel


_OTHER_RATES = tuple(
    plant(_rate_changed(change, most_keys), "dropout: weights", name=name, what=what)
    for name, what, change, most_keys in (
        ("rate_of_three_tenths", "drops three tenths at any rate", lambda rate: 0.3, 0),
        ("rate_of_a_half", "drops half at any rate", lambda rate: 0.5, 0),
        (
            "rate_of_a_half_at_most",
            "drops half where more is asked",
            lambda rate: min(rate, 0.5),
            0,
        ),
        ("rate_ignored_beyond_64_keys", "drops nothing of more than 64 keys", lambda rate: 0.0, 64),
        ("rate_ignored_beyond_100_keys", "drops nothing of over 100 keys", lambda rate: 0.0, 100),
        ("rate_ignored_beyond_1024_keys", "drops nothing of over 1024", lambda rate: 0.0, 1024),
    )
)

PLANTED: tuple[Planted, ...] = (
    *_OTHER_RATES,
    plant(dropout_ignored, "dropout: weights"),
    plant(dropout_even_at_rate_zero, "state: repeatable"),
    plant(dropped_weights_not_rescaled, "dropout: weights"),
    plant(dropped_weights_rescaled_by_the_rate, "dropout: weights"),
    plant(rate_taken_for_the_kept_share, "dropout: weights"),
    plant(rate_in_sixteenths, "dropout: weights"),
    plant(dropout_twice, "dropout: weights"),
    plant(dropout_on_the_output, "dropout: grad_value"),
    plant(dropout_on_the_values, "dropout: rate"),
    plant(dropout_on_the_scores, "dropout: weights"),
    plant(dropout_before_normalising, "dropout: weights"),
    plant(same_dropout_for_all_heads, "dropout: rate"),
    plant(same_dropout_for_all_queries, "dropout: rate"),
    plant(whole_rows_dropped, "dropout: rate"),
    plant(same_dropout_in_every_call, "dropout: seed"),
    plant(dropout_of_an_own_generator, "dropout: seed", name="dropout_of_an_own_generator"),
)
globals().update(by_name(_OTHER_RATES))
