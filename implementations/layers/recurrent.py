"""Recurrent layers: h_t from x_t and h_{t-1}, one step after the other.

`rnn` (Elman 1990, "Finding structure in time"): h_t = tanh(W x_t + b + U h_{t-1} + c).
`lstm` (Hochreiter & Schmidhuber 1997; forget gate of Gers et al. 2000) and `gru` (Cho et al. 2014,
with the reset gate after the product U h, as torch and cuDNN have it) add gates, each with a W, U,
b and c of its own: 2d² + 2d parameters a gate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from implementations.case import Case
from implementations.interface import Feature, Implementation, LayerOracle
from implementations.parameters import Build, seeded


class Recurrent(nn.Module):
    """torch's layer of one kind, d_model wide, as a map of x to the states h."""

    def __init__(self, kind: Callable[..., nn.RNNBase], d_model: int) -> None:
        super().__init__()
        self.steps = kind(d_model, d_model, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (batch, seq_len, d_model) to the states (batch, seq_len, d_model), h_0 = 0."""
        states: Tensor = self.steps(x)[0]
        return states


def of_kind(kind: Callable[..., nn.RNNBase]) -> Build:
    """Builds the layer of this kind at the sizes of a case."""

    @seeded
    def build(case: Case) -> nn.Module:
        return Recurrent(kind, case.d_model)

    return build


Step = Callable[[Tensor, Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]
"""(W x_t + b, U h_{t-1} + c, (h_{t-1}, …)) -> (h_t, …), the gates side by side."""


def rnn_step(from_x: Tensor, from_h: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """h_t = tanh(W x_t + b + U h_{t-1} + c)."""
    return ((from_x + from_h).tanh(),)


def gru_step(from_x: Tensor, from_h: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """h_t = (1 - z) ∘ tanh(W x_t + b + r ∘ (U h_{t-1} + c)) + z ∘ h_{t-1}, r and z sigmoids."""
    (reset_x, keep_x, new_x), (reset_h, keep_h, new_h) = from_x.chunk(3, -1), from_h.chunk(3, -1)
    reset, keep = (reset_x + reset_h).sigmoid(), (keep_x + keep_h).sigmoid()
    return ((1.0 - keep) * (new_x + reset * new_h).tanh() + keep * states[0],)


def lstm_step(from_x: Tensor, from_h: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """c_t = f ∘ c_{t-1} + i ∘ tanh(g) and h_t = o ∘ tanh(c_t), i, f and o sigmoids."""
    enter, forget, new, leave = (from_x + from_h).chunk(4, -1)
    cell = forget.sigmoid() * states[1] + enter.sigmoid() * new.tanh()
    return leave.sigmoid() * cell.tanh(), cell


def recurrence(step: Step, num_states: int = 1) -> LayerOracle:
    """The formula of a layer: one step after the other, from states that begin as zeros."""

    def oracle(
        parameters: Mapping[str, Tensor],
        x: Tensor,
        memory: Tensor | None,
        attn_mask: Tensor | None,
        case: Case,
    ) -> Tensor:
        w, u, b, c = (
            parameters[f"steps.{name}_l0"]
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        states = tuple(torch.zeros_like(x[:, 0]) for _ in range(num_states))
        outputs = []
        for t in range(x.shape[1]):
            states = step(x[:, t] @ w.mT + b, states[0] @ u.mT + c, states)
            outputs.append(states[0])
        return torch.stack(outputs, dim=1)

    return oracle


IMPLEMENTATION = Implementation(
    name="rnn",
    title="Recurrent layer with tanh",
    source="Elman 1990",
    kind="layer",
    build=of_kind(nn.RNN),
    layer_oracle=recurrence(rnn_step),
    time_law="n*d^2",
    workspace_law="n*d",
    supports=frozenset({Feature.BACKWARD}),
)

VARIANTS = (
    replace(
        IMPLEMENTATION,
        name="gru",
        title="Gated recurrent unit",
        source="Cho et al. 2014",
        build=of_kind(nn.GRU),
        layer_oracle=recurrence(gru_step),
    ),
    replace(
        IMPLEMENTATION,
        name="lstm",
        title="Long short-term memory",
        source="Hochreiter & Schmidhuber 1997; Gers et al. 2000",
        build=of_kind(nn.LSTM),
        layer_oracle=recurrence(lstm_step, num_states=2),
        # On a CPU oneDNN lays the weights out anew.
        workspace_law="n*d + d^2",
    ),
)
