"""Article 004: softmax of the scores, said to make columns sum to 1, multiplied by the scores."""

from __future__ import annotations

from torch import Tensor


def scores_times_weights(embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """The weights and the product that stands for the output, (n, n) each, of embeddings (n, d).

    The scores take the place of the values, and no √d divides them.
    """
    scores = embeddings @ embeddings.mT
    weights = scores.softmax(-1)
    return weights, scores @ weights
