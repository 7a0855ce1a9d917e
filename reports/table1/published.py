"""What was published on each mechanism: operations a layer, sequential operations, path length.

n is the length of the sequence, d the width of the model, k the size of a kernel, r the number of
positions that restricted attention sees.
"""

from __future__ import annotations

from dataclasses import dataclass

from reports.laws.grammar import parse
from reports.laws.monomials import Law

TABLE_1 = "Vaswani et al. 2017, table 1"
SECTION_4 = "Vaswani et al. 2017, section 4"
LINEAR = "Katharopoulos et al. 2020, section 3.2"
ATTENTION = "self_attention"
CONTROL = "n^2*d"
"""Every row is judged under this law too: it has to hold for self-attention and for no other."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A row as it was published, and the implementation whose time is measured for it."""

    row: str
    title: str
    source: str
    measured: str
    time: str
    sequential: str
    path: str


ROWS = (
    Published(
        row=ATTENTION,
        title="Self-attention",
        source=TABLE_1,
        measured="sdpa",
        time="O(n²·d)",
        sequential="O(1)",
        path="O(1)",
    ),
    Published(
        row="recurrent",
        title="Recurrent",
        source=TABLE_1,
        measured="rnn",
        time="O(n·d²)",
        sequential="O(n)",
        path="O(n)",
    ),
    Published(
        row="convolutional",
        title="Convolutional (dilated)",
        source=TABLE_1,
        measured="convolution_dilated",
        time="O(k·n·d²)",
        sequential="O(1)",
        path="O(log_k(n))",
    ),
    Published(
        row="convolutional_contiguous",
        title="Convolutional (contiguous)",
        source=SECTION_4,
        measured="convolution",
        time="O(k·n·d²)",
        sequential="O(1)",
        path="O(n/k)",
    ),
    Published(
        row="restricted",
        title="Self-attention (restricted)",
        source=TABLE_1,
        measured="sliding_window",
        time="O(r·n·d)",
        sequential="O(1)",
        path="O(n/r)",
    ),
    Published(
        row="linear",
        title="Linear attention",
        source=LINEAR,
        measured="linear",
        time="O(n·d²)",
        sequential="O(1)",
        path="O(1)",
    ),
)


def law_of(text: str) -> Law:
    """The law that was published; the base of a logarithm is a constant factor."""
    return parse(text.replace("log_k", "log"))
