"""The grammar of laws: `parse("n^2*d + n*d^2")`. A tokenizer and a parser; nothing is evaluated.

    law      = sum | ("O" | "Θ" | "Theta") "(" sum ")"
    sum      = product { "+" product }
    product  = factor { [ "*" | "·" | "×" | "/" ] factor }      two factors side by side multiply
    factor   = base [ ("^" | "**") exponent | superscript ]
    base     = number | name | log "(" name ")" | log name | "sqrt" "(" product ")"
    log      = "log" | "ln" | "lg" | "log2" | "log10"
    exponent = [ "-" ] number | "(" [ "-" ] number [ "/" number ] ")"

A log may stand between its neighbours (`nlogn`), and a size in the other case (`N^2`) is the one
that is declared. Only growth is claimed, so positive coefficients are read and dropped: `4*n^2*d`
is `n^2*d`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction

from reports.laws.monomials import Law, Monomial

EXAMPLE = "laws look like n^2*d + n*d^2"
# No program is measured over a range where more would not overflow, nor read by a person.
_LONGEST = 200
_LARGEST_POWER = 12

_SINGLE_LETTERS = frozenset("ndhbwkmr")
"""Sizes that may be written side by side (`nd^2`) when no names are declared."""
_LOGS = frozenset({"log", "ln", "lg", "log2", "log10"})
_ORDERS = frozenset({"O", "Θ", "Theta"})
_TIMES = frozenset({"*", "·", "⋅", "×"})
_SUPERSCRIPT_DIGITS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3}(?![0-9A-Za-z_]))?|\.[0-9]+)"
    r"|(?P<word>[A-Za-z_][A-Za-z_0-9]*|Θ)"
    r"|(?P<superscript>⁻?[" + _SUPERSCRIPT_DIGITS + r"]+)"
    r"|(?P<sign>\*\*|[-+*/^()·⋅×])"
    r"|(?P<wrong>.)",
    flags=re.DOTALL,
)
_RUN_TOGETHER = re.compile(r"(?P<before>[A-Za-z]{0,9}?)(?P<log>log10|log2|log|ln|lg)(?P<after>\w*)")


class LawError(ValueError):
    """A text that is not a law; the message is one line and shows the column."""


def parse(text: str, names: Collection[str] | None = None) -> Law:
    """Read a law. Nothing in the text is executed or looked up.

    With `names`, only these sizes are allowed, and single-letter ones may be written side by side
    (`nd^2`). Without, any name is, and the letters n d h b w k m r may be written side by side.

    Raises:
        LawError: the text is not a law; the message shows the column and an example.

    """
    return Law.of(_Parser(text, names).law())


def parse_declared(text: str, sizes: Collection[str]) -> Law:
    """Read a law that an implementation declares: of these sizes, and of constants of its own.

    Raises:
        LawError: the text is not a law.

    """
    try:
        return parse(text, names=sizes)
    except LawError:
        return parse(text)


def parse_monomial(text: str) -> Monomial:
    """Read a law of exactly one term.

    Raises:
        LawError: the text is not a law, or is a sum.

    """
    terms = parse(text).terms
    if len(terms) != 1:
        raise LawError(f'expected one term, got {len(terms)} in "{text}"; split it at the "+"')
    return terms[0]


def logarithm(claim: str, name: str) -> str:
    """The logarithm that the claimed terms have beside the power that was fitted."""
    powers = {term.factor(name).log_power for term in parse(claim).leading}
    if not (log := max(powers)):
        return ""
    return f"·log({name})" if log == 1 else f"·log({name})^{float(log):g}"


@dataclass(frozen=True, kw_only=True)
class _Token:
    """A piece of a law: its kind, its text, and the column of its first letter, from 1."""

    kind: str
    text: str
    column: int


class _Parser:
    def __init__(self, text: str, names: Collection[str] | None) -> None:
        if len(text) > _LONGEST:
            raise LawError(f"a law has at most {_LONGEST} characters, got {len(text)}; {EXAMPLE}")
        self._text = text
        self._names = None if names is None else frozenset(names)
        self._known = _SINGLE_LETTERS if self._names is None else self._names
        self._tokens = list(self._read())
        self._at = 0

    def _read(self) -> Iterator[_Token]:
        """The pieces of the law, and an end."""
        for piece in _TOKEN.finditer(self._text):
            token = _Token(kind=str(piece.lastgroup), text=piece.group(), column=piece.start() + 1)
            if token.kind == "wrong":
                raise self._unexpected(token)
            if token.kind == "word":
                yield from self._words(token)
            elif token.kind != "space":
                yield token
        yield _Token(kind="end", text="", column=len(self._text) + 1)

    def _words(self, token: _Token) -> Iterator[_Token]:
        """The word, or those that people write as one, as in `nlogn`, if all but log are sizes."""
        word = self._declared(token.text)
        together = None if word in self._known else _RUN_TOGETHER.fullmatch(token.text)
        if together is not None:
            before = [self._declared(letter) for letter in together["before"]]
            after = [self._declared(together["after"])] if together["after"] else []
            if (before or after) and self._known.issuperset((*before, *after)):
                starts = [*range(len(before)), together.start("log"), together.start("after")]
                for one, start in zip([*before, together["log"], *after], starts, strict=False):
                    yield _Token(kind="word", text=one, column=token.column + start)
                return
        yield _Token(kind="word", text=word, column=token.column)

    def _declared(self, word: str) -> str:
        """The declared size that a word means: itself, else the only one in another case."""
        if self._names is None or word in self._names:
            return word
        same = [name for name in self._names if name.casefold() == word.casefold()]
        return same[0] if len(same) == 1 else word

    def law(self) -> list[Monomial]:
        if self._peek().kind == "end":
            raise LawError(f'expected a law, got "{_printable(self._text)}"; {EXAMPLE}')
        wrapped = self._peek().text in _ORDERS and self._peek(1).text == "("
        if wrapped:
            self._at += 2
        terms = [self._product()]
        while self._take("+"):
            terms.append(self._product())
        if wrapped:
            self._expect(")")
        if self._peek().kind != "end":
            raise self._unexpected(self._peek())
        return terms

    def _product(self) -> Monomial:
        product = self._factor()
        while True:
            token = self._peek()
            if token.text == "/" or token.text in _TIMES:
                self._at += 1
            elif token.kind not in ("word", "number"):
                return self._checked(product, token)
            power = Fraction(-1 if token.text == "/" else 1)
            product = product.times(self._factor().raised(power))

    def _factor(self) -> Monomial:
        start = self._peek()
        if start.kind == "word" and self._is_name(start) and len(self._letters(start)) > 1:
            self._at += 1
            *before, last = self._letters(start)  # nd^2 is n·d²: the exponent is the last letter's
            product = Monomial.of({last: 1}).raised(self._exponent())
            for letter in before:
                product = product.times(Monomial.of({letter: 1}))
            return product
        base = self._base()
        return self._checked(base.raised(self._exponent()), start)

    def _base(self) -> Monomial:
        token = self._next()
        if token.kind == "number":
            if not any(digit in "123456789" for digit in re.split("[eE]", token.text)[0]):
                raise self._error(f'a coefficient must be positive, got "{token.text}"', token)
            return Monomial()
        if token.kind != "word":
            raise self._unexpected(token)
        if token.text in _LOGS:
            bracket = self._take("(")
            name = self._name(self._next())
            if bracket:
                self._expect(")")
            return Monomial.of({}, {name: 1})
        if token.text == "sqrt":
            self._expect("(")
            inside = self._product()
            self._expect(")")
            return inside.raised(Fraction(1, 2))
        return Monomial.of({self._name(token): 1})

    def _name(self, token: _Token) -> str:
        if token.kind != "word" or not self._is_name(token):
            raise self._unexpected(token)
        letters = self._letters(token)
        if len(letters) > 1:
            raise self._error(f'expected one size, got "{token.text}"', token)
        return letters[0]

    def _is_name(self, token: _Token) -> bool:
        reserved = token.text in {*_LOGS, *_ORDERS, "sqrt"}
        return not reserved or (self._names is not None and token.text in self._names)

    def _letters(self, token: _Token) -> tuple[str, ...]:
        """The sizes that a word means: one, or several that are written side by side."""
        word = token.text
        if word in self._known:
            return (word,)
        letters = tuple(map(self._declared, word))
        if self._known.issuperset(letters):
            return letters
        if self._names is not None:
            sizes = ", ".join(sorted(self._names)) or "none"
            raise self._error(f'unknown size "{word}" (known: {sizes})', token)
        if any(letter.isdigit() for letter in word):
            raise self._error(f'unknown size "{word}"', token)
        return (word,)

    def _exponent(self) -> Fraction:
        token = self._peek()
        if token.kind == "superscript":
            self._at += 1
            digits = token.text.removeprefix("⁻")
            power = Fraction("".join(str(_SUPERSCRIPT_DIGITS.index(d)) for d in digits))
            return self._small(-power if token.text.startswith("⁻") else power, token)
        if not (self._take("^") or self._take("**")):
            return Fraction(1)
        token = self._peek()
        bracket = self._take("(")
        power = self._signed()
        if bracket and self._take("/"):
            below = self._signed()
            if below == 0:
                raise self._error("an exponent cannot be divided by 0", token)
            power /= below
        if bracket:
            self._expect(")")
        return self._small(power, token)

    def _signed(self) -> Fraction:
        sign = -1 if self._take("-") else 1
        token = self._next()
        if token.kind != "number":
            raise self._unexpected(token)
        return sign * Fraction(token.text)

    def _small(self, power: Fraction, token: _Token) -> Fraction:
        if abs(power) > _LARGEST_POWER:
            raise self._error(f"an exponent is at most {_LARGEST_POWER}", token)
        return power

    def _checked(self, product: Monomial, token: _Token) -> Monomial:
        for factor in product.factors:
            self._small(factor.power, token)
            self._small(factor.log_power, token)
        return product

    def _peek(self, ahead: int = 0) -> _Token:
        return self._tokens[min(self._at + ahead, len(self._tokens) - 1)]

    def _next(self) -> _Token:
        token = self._peek()
        self._at += 1
        return token

    def _take(self, sign: str) -> bool:
        token = self._peek()
        taken = token.kind == "sign" and token.text == sign
        self._at += taken
        return taken

    def _expect(self, sign: str) -> None:
        token = self._peek()
        if not self._take(sign):
            got = f'"{_printable(token.text)}"' if token.kind != "end" else "the end"
            raise self._error(f'expected "{sign}", got {got}', token)

    def _unexpected(self, token: _Token) -> LawError:
        end = token.kind == "end"
        what = "unexpected end" if end else f'unexpected "{_printable(token.text)}"'
        return self._error(what, token)

    def _error(self, what: str, token: _Token) -> LawError:
        """The error that shows the column of a piece in the whole law."""
        text = _printable(self._text)
        return LawError(f'{what} at column {token.column} of "{text}"; {EXAMPLE}')


def _printable(text: str) -> str:
    """The text on one line, whatever it holds."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)
