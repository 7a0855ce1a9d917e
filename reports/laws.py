"""The grammar of laws: `parse("n^2*d + n*d^2")`. A tokenizer and a parser; nothing is evaluated.

    law      = sum | ("O" | "Θ" | "Theta") "(" sum ")"
    sum      = product { "+" product }
    product  = factor { [ "*" | "·" | "×" | "/" ] factor }      two factors side by side multiply
    factor   = base [ ("^" | "**") exponent | superscript ]
    base     = number | name | "log" "(" name ")" | "log" name | "sqrt" "(" product ")"
    exponent = [ "-" ] number | "(" [ "-" ] number [ "/" number ] ")"

Only growth is claimed, so positive coefficients are read and dropped: `4*n^2*d` is `n^2*d`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction

from reports.monomials import Factor, Floats, Law, Monomial

__all__ = [
    "Factor",
    "Floats",
    "Law",
    "LawError",
    "Monomial",
    "parse",
    "parse_declared",
    "parse_monomial",
]

EXAMPLE = "laws look like n^2*d + n*d^2"
SINGLE_LETTERS = frozenset("ndhbwkmr")
"""Sizes that may be written side by side (`nd^2`) when no names are declared."""

# No program is measured over a range where more would not overflow, nor read by a person.
_LONGEST = 200
_LARGEST_POWER = 12

_SUPERSCRIPT_DIGITS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3}(?![0-9A-Za-z_]))?|\.[0-9]+)"
    r"|(?P<word>[A-Za-z_][A-Za-z_0-9]*|Θ)"
    r"|(?P<superscript>⁻?[" + _SUPERSCRIPT_DIGITS + r"]+)"
    r"|(?P<sign>\*\*|[-+*/^()·⋅×])"
)
_ORDERS = frozenset({"O", "Θ", "Theta"})
_LOGS = frozenset({"log", "ln", "log2", "log10"})
_TIMES = frozenset({"*", "·", "⋅", "×"})


class LawError(ValueError):
    """A text that is not a law; the message is one line and shows the column."""


@dataclass(frozen=True, kw_only=True)
class _Token:
    kind: str
    text: str
    column: int


def parse(text: str, names: Collection[str] | None = None) -> Law:
    """Read a law. Nothing in the text is executed or looked up.

    With `names`, only these sizes are allowed, and single-letter ones may be written side by side
    (`nd^2`). Without, any name is, and the letters n d h b w k m r may be written side by side.

    Raises:
        LawError: the text is not a law; the message shows the column and an example.

    """
    law = _Parser(text, names).law()
    return Law.of(law)


def parse_declared(text: str, sizes: Collection[str]) -> Law:
    """Read a law that an implementation declares: of these sizes, and of constants of its own.

    Raises:
        LawError: the text is not a law.

    """
    try:
        return parse(text, names=sizes)
    except LawError:
        return parse(text)


def parse_monomial(text: str, names: Collection[str] | None = None) -> Monomial:
    """Read a law of exactly one term.

    Raises:
        LawError: the text is not a law, or is a sum.

    """
    terms = parse(text, names).terms
    if len(terms) != 1:
        raise LawError(f'expected one term, got {len(terms)} in "{text}"; split it at the "+"')
    return terms[0]


class _Parser:
    def __init__(self, text: str, names: Collection[str] | None) -> None:
        if len(text) > _LONGEST:
            raise LawError(f"a law has at most {_LONGEST} characters, got {len(text)}; {EXAMPLE}")
        self._text = text
        self._names = None if names is None else frozenset(names)
        self._tokens = self._tokenize()
        self._at = 0

    def law(self) -> tuple[Monomial, ...]:
        if self._peek().kind == "end":
            raise LawError(f'expected a law, got "{_printable(self._text)}"; {EXAMPLE}')
        wrapped = self._peek().text in _ORDERS and self._peek(1).text == "("
        if wrapped:
            self._at += 2
        terms = self._sum()
        if wrapped:
            self._expect(")")
        if self._peek().kind != "end":
            raise self._unexpected(self._peek())
        return terms

    def _sum(self) -> tuple[Monomial, ...]:
        terms = [self._product()]
        while self._take("+"):
            terms.append(self._product())
        return tuple(terms)

    def _product(self) -> Monomial:
        product = self._factor()
        while True:
            token = self._peek()
            if token.text == "/":
                self._at += 1
                product = product.times(self._factor().raised(Fraction(-1)))
            elif token.text in _TIMES:
                self._at += 1
                product = product.times(self._factor())
            elif token.kind in ("word", "number"):
                product = product.times(self._factor())
            else:
                return self._checked(product, token)

    def _factor(self) -> Monomial:
        start = self._peek()
        if start.kind == "word" and self._is_name(start) and len(self._letters(start)) > 1:
            self._at += 1
            letters = self._letters(start)  # the exponent belongs to the last letter: nd^2 is n·d²
            product = Monomial()
            for letter in letters[:-1]:
                product = product.times(Monomial.of({letter: 1}))
            return product.times(Monomial.of({letters[-1]: 1}).raised(self._exponent()))
        base = self._base()
        return self._checked(base.raised(self._exponent()), start)

    def _base(self) -> Monomial:
        token = self._peek()
        self._at += 1
        if token.kind == "number":
            if not any(digit in "123456789" for digit in re.split("[eE]", token.text)[0]):
                raise self._error(f'a coefficient must be positive, got "{token.text}"', token)
            return Monomial()
        if token.kind != "word":
            raise self._unexpected(token)
        if token.text in _LOGS:
            bracket = self._take("(")
            name = self._name()
            if bracket:
                self._expect(")")
            return Monomial.of({}, {name: 1})
        if token.text == "sqrt":
            self._expect("(")
            inside = self._product()
            self._expect(")")
            return inside.raised(Fraction(1, 2))
        self._at -= 1
        return Monomial.of({self._name(): 1})

    def _name(self) -> str:
        token = self._peek()
        self._at += 1
        if token.kind != "word" or not self._is_name(token):
            raise self._unexpected(token)
        letters = self._letters(token)
        if len(letters) > 1:
            raise self._error(f'expected one size, got "{token.text}"', token)
        return letters[0]

    def _is_name(self, token: _Token) -> bool:
        reserved = token.text in _LOGS or token.text == "sqrt" or token.text in _ORDERS
        return not reserved or (self._names is not None and token.text in self._names)

    def _letters(self, token: _Token) -> tuple[str, ...]:
        word = token.text
        known = SINGLE_LETTERS if self._names is None else self._names
        if word in known:
            return (word,)
        if all(letter in known for letter in word):
            return tuple(word)
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
            power = Fraction(int("".join(str(_SUPERSCRIPT_DIGITS.index(d)) for d in digits)))
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
        token = self._peek()
        if token.kind != "number":
            raise self._unexpected(token)
        self._at += 1
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

    def _tokenize(self) -> list[_Token]:
        tokens: list[_Token] = []
        at = 0
        while at < len(self._text):
            found = _TOKEN.match(self._text, at)
            if found is None or found.lastgroup is None:
                wrong = _Token(kind="wrong", text=self._text[at], column=at + 1)
                raise self._unexpected(wrong)
            if found.lastgroup != "space":
                tokens.append(_Token(kind=found.lastgroup, text=found.group(), column=at + 1))
            at = found.end()
        tokens.append(_Token(kind="end", text="", column=len(self._text) + 1))
        return tokens

    def _peek(self, ahead: int = 0) -> _Token:
        return self._tokens[min(self._at + ahead, len(self._tokens) - 1)]

    def _take(self, sign: str) -> bool:
        token = self._peek()
        found = token.kind == "sign" and token.text == sign
        self._at += found
        return found

    def _expect(self, sign: str) -> None:
        token = self._peek()
        if not self._take(sign):
            got = f'"{_printable(token.text)}"' if token.kind != "end" else "the end"
            raise self._error(f'expected "{sign}", got {got}', token)

    def _unexpected(self, token: _Token) -> LawError:
        what = "unexpected end" if token.kind == "end" else f'unexpected "{_printable(token.text)}"'
        return self._error(what, token)

    def _error(self, what: str, token: _Token) -> LawError:
        return LawError(f'{what} at column {token.column} of "{_printable(self._text)}"; {EXAMPLE}')


def _printable(text: str) -> str:
    """The text on one line, whatever it holds."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)
