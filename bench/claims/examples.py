"""The articles' worked examples: words, their embeddings, and how they become queries.

Nothing here loads torch, so that a wrong name is refused at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from implementations.naming import did_you_mean

if TYPE_CHECKING:
    from torch import Tensor


class ExampleError(ValueError):
    """There is no such example; the message is one line for the user."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """A few words, their embeddings, and the rule by which they become queries, keys and values.

    `embeddings` has a row for each word. `queries` maps the embeddings (n, d) to the queries
    (n, d), as `rule` says; the keys and the values are the embeddings.
    """

    name: str
    title: str
    source: str
    words: tuple[str, ...]
    embeddings: tuple[tuple[float, ...], ...]
    rule: str
    queries: Callable[[Tensor], Tensor]


EXAMPLES = {
    one.name: one
    for one in (
        Example(
            name="three",
            title="Three words, with inputs that fit each other",
            source="article 003, made consistent: W_Q works on the features of a word",
            words=("I", "like", "tea"),
            embeddings=((1, 0, 1), (0, 1, 0), (1, 1, 1)),
            rule="Q = X·W_Q with W_Q = ones (3 × 3); K = V = X",
            queries=lambda x: x @ x.new_ones(x.shape[1], x.shape[1]),
        ),
        Example(
            name="literal",
            title="The same three words with the inputs as the article gives them",
            source="article 003, literally: W_Q stands on the left and adds up the words",
            words=("I", "like", "tea"),
            embeddings=((1, 2), (3, 4), (5, 6)),
            rule="Q = W_Q·X with W_Q = ones (3 × 3); K = V = X",
            queries=lambda x: x.new_ones(x.shape[0], x.shape[0]) @ x,
        ),
        Example(
            name="five",
            title="Five words without projections",
            source="article 004, with softmax over each row and the weights times V",
            words=("we", "read", "five", "short", "words"),
            embeddings=((1, 2), (2, 3), (3, 4), (4, 5), (5, 6)),
            rule="Q = K = V = X",
            queries=lambda x: x,
        ),
    )
}


def chosen(names: Sequence[str]) -> list[Example]:
    """The examples of these names, each once; all of them without a name.

    Raises:
        ExampleError: a name that no example has.

    """
    unknown = [name for name in names if name not in EXAMPLES]
    if unknown:
        near = did_you_mean(unknown[0], EXAMPLES)
        raise ExampleError(f"examples are {', '.join(EXAMPLES)}; got {unknown[0]!r}{near}")
    return [EXAMPLES[name] for name in dict.fromkeys(names or EXAMPLES)]
