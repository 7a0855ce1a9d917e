"""Small layers with their oracles: attention over x or a memory, and a recurrence."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from implementations.case import Case
from implementations.interface import ALL_FEATURES, Feature, Implementation
from implementations.masking import apply_mask, causal_mask, safe_softmax

SELF = ALL_FEATURES - {Feature.CROSS_LENGTH, Feature.VALUE_DIM}


def heads_apart(tensor: Tensor, case: Case) -> Tensor:
    """(batch, rows, d_model) as (batch, num_heads, rows, head_dim)."""
    return tensor.unflatten(-1, (case.num_heads, case.head_dim)).transpose(1, 2)


class Attention(nn.Module):
    """Projections around softmax attention over x, or over the memory."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.case = case
        self.query, self.key, self.value, self.output = (
            nn.Linear(case.d_model, case.d_model) for _ in range(4)
        )

    def forward(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        *,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        seen = x if memory is None else memory
        query, key, value = (
            heads_apart(projection(tensor), self.case)
            for projection, tensor in ((self.query, x), (self.key, seen), (self.value, seen))
        )
        if is_causal:
            attn_mask = causal_mask(x.shape[1], seen.shape[1], device=x.device)
        return self.output(self.mixed(query, key, value, attn_mask).transpose(1, 2).flatten(2))

    def mixed(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        """Softmax attention of every head."""
        scores = apply_mask(query @ key.mT * self.case.head_dim**-0.5, mask)
        return safe_softmax(scores) @ value


def attention_formula(
    parameters: Mapping[str, Tensor],
    x: Tensor,
    memory: Tensor | None,
    attn_mask: Tensor | None,
    case: Case,
) -> Tensor:
    """The same by einsum, one head beside the other."""
    seen = x if memory is None else memory

    def projected(name: str, tensor: Tensor) -> Tensor:
        weight = parameters[f"{name}.weight"]
        return torch.einsum("bnd,ed->bne", tensor, weight) + parameters[f"{name}.bias"]

    if case.is_causal:
        attn_mask = torch.arange(seen.shape[1]) <= torch.arange(x.shape[1])[:, None]
        attn_mask = attn_mask.to(x.device)
    outputs = []
    for head in range(case.num_heads):
        own = slice(head * case.head_dim, (head + 1) * case.head_dim)
        query, key, value = (
            projected(name, tensor)[..., own]
            for name, tensor in (("query", x), ("key", seen), ("value", seen))
        )
        scores = torch.einsum("bnd,bmd->bnm", query, key) / case.head_dim**0.5
        outputs.append(
            torch.einsum("bnm,bmd->bnd", safe_softmax(apply_mask(scores, attn_mask)), value)
        )
    return projected("output", torch.cat(outputs, -1))


class Recurrence(nn.Module):
    """torch's RNN without its last state."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.rnn = nn.RNN(case.d_model, case.d_model, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.rnn(x)[0]
        return output


def recurrence_formula(
    parameters: Mapping[str, Tensor],
    x: Tensor,
    memory: Tensor | None,
    attn_mask: Tensor | None,
    case: Case,
) -> Tensor:
    """h = tanh(W x + U h + b), step by step."""
    own = {name.removeprefix("rnn."): one for name, one in parameters.items()}
    state, states = torch.zeros_like(x[:, 0]), []
    for step in range(x.shape[1]):
        into = x[:, step] @ own["weight_ih_l0"].mT + own["bias_ih_l0"]
        state = torch.tanh(into + state @ own["weight_hh_l0"].mT + own["bias_hh_l0"])
        states.append(state)
    return torch.stack(states, 1)


ATTENTION = Implementation(
    name="attention",
    title="projections around softmax attention",
    source="a test",
    kind="layer",
    build=Attention,
    layer_oracle=attention_formula,
    time_law="n^2*d + n*d^2",
    workspace_law="n^2 + n*d",
    supports=SELF,
    spec=f"{__file__}:ATTENTION",
)
CROSS = Implementation(
    name="cross",
    title="projections around softmax attention over a memory",
    source="a test",
    kind="layer",
    build=Attention,
    layer_oracle=attention_formula,
    needs_memory=True,
    time_law="n^2*d + n*d^2",
    workspace_law="n^2 + n*d",
    supports=SELF | {Feature.CROSS_LENGTH},
    spec=f"{__file__}:CROSS",
)
RECURRENCE = Implementation(
    name="recurrence",
    title="torch's RNN",
    source="a test",
    kind="layer",
    build=Recurrence,
    layer_oracle=recurrence_formula,
    time_law="n*d^2",
    workspace_law="n*d",
    supports=frozenset({Feature.BACKWARD}),
    spec=f"{__file__}:RECURRENCE",
)
LAYERS = (ATTENTION, CROSS, RECURRENCE)
