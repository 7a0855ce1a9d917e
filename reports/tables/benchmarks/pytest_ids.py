"""What a test id says of a parameter that has no text of its own, such as a lambda."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def shared_part(idents: Sequence[str], written: Sequence[Iterable[object]]) -> str:
    """The part of some test ids that they share, without what other parameters wrote there.

    `idents` are the ids of the tests that have one value of a parameter (`<lambda>0-1024`), and
    `written` has, for each, the values of its parameters that are numbers or text (1024).
    """
    first, *others = map(_without, idents, written)
    return "-".join(part for part in first if all(part in other for other in others))


def _without(ident: str, values: Iterable[object]) -> list[str]:
    texts = {str(value) for value in values}
    for text in sorted(filter(None, texts), key=lambda text: (-len(text), text)):
        ident = re.sub(rf"(?:^|(?<=-)){re.escape(text)}(?=-|$)", "", ident, count=1)
    return [part for part in ident.split("-") if part]
