"""The words, numbers and signs of a law, each with its place, for `reports.laws.grammar`."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

EXAMPLE = "laws look like n^2*d + n*d^2"
SINGLE_LETTERS = frozenset("ndhbwkmr")
"""Sizes that may be written side by side (`nd^2`) when no names are declared."""
LOGS = frozenset({"log", "ln", "lg", "log2", "log10"})
SUPERSCRIPT_DIGITS = "⁰¹²³⁴⁵⁶⁷⁸⁹"

_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3}(?![0-9A-Za-z_]))?|\.[0-9]+)"
    r"|(?P<word>[A-Za-z_][A-Za-z_0-9]*|Θ)"
    r"|(?P<superscript>⁻?[" + SUPERSCRIPT_DIGITS + r"]+)"
    r"|(?P<sign>\*\*|[-+*/^()·⋅×])"
)
_RUN_TOGETHER = re.compile(r"(?P<before>[A-Za-z]{0,9}?)(?P<log>log10|log2|log|ln|lg)(?P<after>\w*)")


class LawError(ValueError):
    """A text that is not a law; the message is one line and shows the column."""


@dataclass(frozen=True, kw_only=True)
class Token:
    """A piece of a law: its kind, its text, and the column of its first letter, from 1."""

    kind: str
    text: str
    column: int


def tokens(text: str, names: Collection[str] | None) -> list[Token]:
    """The pieces of a law, and an end. A word is the name of a declared size where it means one.

    Raises:
        LawError: a letter can be no part of a law.

    """
    found: list[Token] = []
    at = 0
    while at < len(text):
        piece = _TOKEN.match(text, at)
        if piece is None or piece.lastgroup is None:
            raise unexpected(Token(kind="wrong", text=text[at], column=at + 1), text)
        if piece.lastgroup == "word":
            found += _words(piece.group(), at + 1, names)
        elif piece.lastgroup != "space":
            found.append(Token(kind=piece.lastgroup, text=piece.group(), column=at + 1))
        at = piece.end()
    return [*found, Token(kind="end", text="", column=len(text) + 1)]


def declared(word: str, names: Collection[str] | None) -> str:
    """The declared size that the word means: itself, else the only one in another case."""
    if names is None or word in names:
        return word
    same = [name for name in names if name.casefold() == word.casefold()]
    return same[0] if len(same) == 1 else word


def unexpected(token: Token, text: str) -> LawError:
    """The error for a piece of a law in the wrong place."""
    what = "unexpected end" if token.kind == "end" else f'unexpected "{printable(token.text)}"'
    return error_at(what, token, text)


def error_at(what: str, token: Token, text: str) -> LawError:
    """The error that shows the column of a piece in the whole law."""
    return LawError(f'{what} at column {token.column} of "{printable(text)}"; {EXAMPLE}')


def printable(text: str) -> str:
    """The text on one line, whatever it holds."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _words(text: str, column: int, names: Collection[str] | None) -> list[Token]:
    """The word, or those that people write as one, as in `nlogn`, if all but the log are sizes."""
    known = SINGLE_LETTERS if names is None else names
    word = declared(text, names)
    together = None if word in known else _RUN_TOGETHER.fullmatch(text)
    if together is not None:
        before = [declared(letter, names) for letter in together["before"]]
        after = [declared(together["after"], names)] if together["after"] else []
        if (before or after) and all(size in known for size in (*before, *after)):
            starts = [*range(len(before)), together.start("log"), together.start("after")]
            return [
                Token(kind="word", text=one, column=column + start)
                for one, start in zip([*before, together["log"], *after], starts, strict=False)
            ]
    return [Token(kind="word", text=word, column=column)]
