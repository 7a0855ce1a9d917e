"""Layers with the faults that layers have: items for positions, the wrong axis, an old answer."""

import torch
from torch import Tensor, nn

from implementations.case import Case
from implementations.masking import apply_mask
from tests.bench.some_layers import ATTENTION, RECURRENCE, Attention
from tests.planted.planted import Planted


class ItemsForPositions(nn.Module):
    """A recurrence that steps from item to item."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.rnn = nn.RNN(case.d_model, case.d_model)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.rnn(x)[0]
        return output


class WrongAxis(Attention):
    """Weights that sum to one over the queries."""

    def mixed(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        scores = apply_mask(query @ key.mT * self.case.head_dim**-0.5, mask)
        return scores.softmax(-2) @ value


class LastAnswer(Attention):
    """Computes once for each shape where nothing is trained."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.answers: dict[object, Tensor] = {}

    def forward(self, x: Tensor, memory: Tensor | None = None, **options: object) -> Tensor:
        if torch.is_grad_enabled():
            return super().forward(x, memory, **options)  # type: ignore[arg-type]
        asked = (x.shape, *sorted(options))
        if asked not in self.answers:
            self.answers[asked] = super().forward(x, memory, **options)  # type: ignore[arg-type]
        return self.answers[asked].clone()


PLANTED = (
    Planted(
        name="ItemsForPositions",
        what="a recurrence without batch_first, which mixes the items of a batch",
        fn=ItemsForPositions,
        layer=RECURRENCE,
        killed_by="shapes: output",
    ),
    Planted(
        name="WrongAxis",
        what="a layer whose softmax runs over the queries",
        fn=WrongAxis,
        layer=ATTENTION,
        killed_by="shapes: output",
    ),
    Planted(
        name="LastAnswer",
        what="a layer that gives its last answer to inputs of the same shape",
        fn=LastAnswer,
        layer=ATTENTION,
        killed_by="state: fresh_answer",
    ),
)
