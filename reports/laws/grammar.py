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
from collections.abc import Collection
from fractions import Fraction

from reports.laws.monomials import Factor, Floats, Law, Monomial
from reports.laws.tokens import (
    EXAMPLE,
    LOGS,
    SINGLE_LETTERS,
    SUPERSCRIPT_DIGITS,
    LawError,
    Token,
    declared,
    error_at,
    printable,
    tokens,
    unexpected,
)

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

# No program is measured over a range where more would not overflow, nor read by a person.
_LONGEST = 200
_LARGEST_POWER = 12

_ORDERS = frozenset({"O", "Θ", "Theta"})
_TIMES = frozenset({"*", "·", "⋅", "×"})


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


def parse_monomial(text: str) -> Monomial:
    """Read a law of exactly one term.

    Raises:
        LawError: the text is not a law, or is a sum.

    """
    terms = parse(text).terms
    if len(terms) != 1:
        raise LawError(f'expected one term, got {len(terms)} in "{text}"; split it at the "+"')
    return terms[0]


class _Parser:
    def __init__(self, text: str, names: Collection[str] | None) -> None:
        if len(text) > _LONGEST:
            raise LawError(f"a law has at most {_LONGEST} characters, got {len(text)}; {EXAMPLE}")
        self._text = text
        self._names = None if names is None else frozenset(names)
        self._known = SINGLE_LETTERS if self._names is None else self._names
        self._tokens = tokens(text, self._names)
        self._at = 0

    def law(self) -> tuple[Monomial, ...]:
        if self._peek().kind == "end":
            raise LawError(f'expected a law, got "{printable(self._text)}"; {EXAMPLE}')
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
        if token.text in LOGS:
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

    def _is_name(self, token: Token) -> bool:
        reserved = token.text in LOGS or token.text == "sqrt" or token.text in _ORDERS
        return not reserved or (self._names is not None and token.text in self._names)

    def _letters(self, token: Token) -> tuple[str, ...]:
        word = token.text
        if word in self._known:
            return (word,)
        letters = tuple(declared(letter, self._names) for letter in word)
        if all(letter in self._known for letter in letters):
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
            power = Fraction(int("".join(str(SUPERSCRIPT_DIGITS.index(d)) for d in digits)))
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

    def _small(self, power: Fraction, token: Token) -> Fraction:
        if abs(power) > _LARGEST_POWER:
            raise self._error(f"an exponent is at most {_LARGEST_POWER}", token)
        return power

    def _checked(self, product: Monomial, token: Token) -> Monomial:
        for factor in product.factors:
            self._small(factor.power, token)
            self._small(factor.log_power, token)
        return product

    def _peek(self, ahead: int = 0) -> Token:
        return self._tokens[min(self._at + ahead, len(self._tokens) - 1)]

    def _take(self, sign: str) -> bool:
        token = self._peek()
        found = token.kind == "sign" and token.text == sign
        self._at += found
        return found

    def _expect(self, sign: str) -> None:
        token = self._peek()
        if not self._take(sign):
            got = f'"{printable(token.text)}"' if token.kind != "end" else "the end"
            raise self._error(f'expected "{sign}", got {got}', token)

    def _unexpected(self, token: Token) -> LawError:
        return unexpected(token, self._text)

    def _error(self, what: str, token: Token) -> LawError:
        return error_at(what, token, self._text)


def logarithm(claim: str, name: str) -> str:
    """The logarithm that the claimed terms have beside the power that was fitted."""
    powers = {term.factor(name).log_power for term in parse(claim).leading}
    if not (log := max(powers)):
        return ""
    return f"·log({name})" if log == 1 else f"·log({name})^{float(log):g}"
