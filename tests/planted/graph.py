"""Kernels that cut the graph, or tie what nobody asked for into it."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor

from implementations.masking import safe_softmax
from tests.planted.pieces import Options, drop, masked_scores, plant
from tests.planted.planted import Planted, plain


def query_detached(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Gives the query no gradient."""
    return plain(query.detach(), key, value, **options)


def key_detached(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Gives the key no gradient."""
    return plain(query, key.detach(), value, **options)


def value_detached(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
    """Gives the value no gradient."""
    return plain(query, key, value.detach(), **options)


def weights_detached(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Gives query and key a gradient of zero, as if the weights were constants."""
    weights = safe_softmax(masked_scores(query, key, options))
    return drop(weights.detach() + 0.0 * weights, options) @ value


def output_detached(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Returns an output that is no part of the graph."""
    return plain(query, key, value, **options).detach()


def output_asked_for_a_gradient_afterwards(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Computes under no_grad and asks for a gradient afterwards, which ends at the output."""
    with torch.no_grad():
        output = plain(query, key, value, **options)
    return output.requires_grad_(torch.is_grad_enabled() and query.requires_grad)


def gradient_required_unasked(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Returns an output that requires gradients when no input does."""
    if torch.is_grad_enabled() and not query.requires_grad:
        query = query.detach().requires_grad_()
    return plain(query, key, value, **options)


def graph_only_if_the_key_asks(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Takes gradients to be wanted only if the key asks for one."""
    with torch.set_grad_enabled(torch.is_grad_enabled() and key.requires_grad):
        return plain(query, key, value, **options)


def graph_inside_no_grad(
    query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
) -> Tensor:
    """Builds a graph where the caller has switched gradients off."""
    with torch.enable_grad():
        return plain(query, key, value, **options)


PLANTED: tuple[Planted, ...] = (
    plant(query_detached, "gradients: grad_query"),
    plant(key_detached, "gradients: grad_key"),
    plant(value_detached, "gradients: grad_value"),
    plant(weights_detached, "gradients: grad_query"),
    plant(output_detached, "gradients: grad_query"),
    plant(output_asked_for_a_gradient_afterwards, "gradients: grad_query"),
    plant(gradient_required_unasked, "gradients: only_where_asked"),
    plant(graph_only_if_the_key_asks, "gradients: grad_query"),
    plant(graph_inside_no_grad, "gradients: only_where_asked"),
)
