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
from implementations.interface import Feature, Implementation
from implementations.parameters import Build, seeded


class Recurrent(nn.Module):
    """torch's layer of one kind, d_model wide, as a map of x to the states h."""

    def __init__(self, kind: type[nn.RNNBase], d_model: int) -> None:
        super().__init__()
        self.steps = kind(d_model, d_model, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (batch, seq_len, d_model) to the states (batch, seq_len, d_model), h_0 = 0."""
        states, _ = self.steps(x)
        return states


def of_kind(kind: type[nn.RNNBase]) -> Build:
    """Builds the layer of this kind at the sizes of a case."""

    @seeded
    def build(case: Case) -> nn.Module:
        return Recurrent(kind, case.d_model)

    return build


Step = Callable[[Tensor, Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]
"""(W x_t + b, U h_{t-1} + c, (h_{t-1}, …)) -> (h_t, …), the gates side by side."""


def step_by_step(
    parameters: Mapping[str, Tensor], x: Tensor, step: Step, num_states: int
) -> Tensor:
    """The states (batch, seq_len, d_model) of a recurrence whose states begin as zeros."""
    w, u, b, c = (
        parameters[f"steps.{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    states = tuple(torch.zeros_like(x[:, 0]) for _ in range(num_states))
    outputs = []
    for t in range(x.shape[1]):
        states = step(x[:, t] @ w.mT + b, states[0] @ u.mT + c, states)
        outputs.append(states[0])
    return torch.stack(outputs, dim=1)


def rnn_oracle(
    parameters: Mapping[str, Tensor],
    x: Tensor,
    memory: Tensor | None,
    attn_mask: Tensor | None,
    case: Case,
) -> Tensor:
    """h_t = tanh(W x_t + b + U h_{t-1} + c)."""
    return step_by_step(parameters, x, lambda from_x, from_h, _: ((from_x + from_h).tanh(),), 1)


def gru_oracle(
    parameters: Mapping[str, Tensor],
    x: Tensor,
    memory: Tensor | None,
    attn_mask: Tensor | None,
    case: Case,
) -> Tensor:
    """h_t = (1 - z) ∘ tanh(W x_t + b + r ∘ (U h_{t-1} + c)) + z ∘ h_{t-1}, r and z sigmoids."""

    def step(from_x: Tensor, from_h: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (reset_x, keep_x, new_x), (reset_h, keep_h, new_h) = (
            from_x.chunk(3, -1),
            from_h.chunk(3, -1),
        )
        reset, keep = (reset_x + reset_h).sigmoid(), (keep_x + keep_h).sigmoid()
        return ((1.0 - keep) * (new_x + reset * new_h).tanh() + keep * states[0],)

    return step_by_step(parameters, x, step, 1)


def lstm_oracle(
    parameters: Mapping[str, Tensor],
    x: Tensor,
    memory: Tensor | None,
    attn_mask: Tensor | None,
    case: Case,
) -> Tensor:
    """c_t = f ∘ c_{t-1} + i ∘ tanh(g) and h_t = o ∘ tanh(c_t), i, f and o sigmoids."""

    def step(from_x: Tensor, from_h: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        enter, forget, new, leave = (from_x + from_h).chunk(4, -1)
        cell = forget.sigmoid() * states[1] + enter.sigmoid() * new.tanh()
        return leave.sigmoid() * cell.tanh(), cell

    return step_by_step(parameters, x, step, 2)


def needs_a_step(case: Case) -> str | None:
    """Why torch refuses a case."""
    return None if case.seq_len else "torch's layer needs at least one step, got seq_len=0"


IMPLEMENTATION = Implementation(
    name="rnn",
    title="Recurrent layer with tanh",
    source="Elman 1990",
    kind="layer",
    build=of_kind(nn.RNN),
    layer_oracle=rnn_oracle,
    time_law="n*d^2",
    workspace_law="n*d",
    declines=needs_a_step,
    supports=frozenset({Feature.BACKWARD}),
)

VARIANTS = (
    replace(
        IMPLEMENTATION,
        name="gru",
        title="Gated recurrent unit",
        source="Cho et al. 2014",
        build=of_kind(nn.GRU),
        layer_oracle=gru_oracle,
    ),
    replace(
        IMPLEMENTATION,
        name="lstm",
        title="Long short-term memory",
        source="Hochreiter & Schmidhuber 1997; Gers et al. 2000",
        build=of_kind(nn.LSTM),
        layer_oracle=lstm_oracle,
        workspace_law="n*d + d^2",
    ),
)
