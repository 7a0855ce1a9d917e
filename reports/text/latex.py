"""Text and tables for LaTeX, in which nothing that a user named acts as a command."""

from __future__ import annotations

import re
from types import MappingProxyType

import pandas as pd

from reports.text.wording import one_line

_COMMANDS = MappingProxyType(
    str.maketrans(
        {
            **{sign: f"\\{sign}" for sign in "{}$&#_%"},
            "\\": r"\textbackslash{}",
            "~": r"\textasciitilde{}",
            "^": r"\textasciicircum{}",
            "<": r"\textless{}",
            ">": r"\textgreater{}",
            "|": r"\textbar{}",
            '"': "''",
            "×": r"$\times$",
            "±": r"$\pm$",
            "≤": r"$\leq$",
            "–": "--",
        }
    )
)


def escaped(text: object) -> str:
    """The text on one line as LaTeX shows it, in text mode."""
    shown = one_line(text).translate(dict(_COMMANDS))
    # Behind the end of a table's row these two begin an argument.
    return f"{{{shown[0]}}}{shown[1:]}" if shown.startswith(("[", "*")) else shown


_IN_FORMULA = MappingProxyType(
    str.maketrans(
        {
            "·": r" \cdot ",
            "−": "-",
            "⌈": r"\lceil ",
            "⌉": r"\rceil",
            "✓": r"\checkmark",
            "✗": r"\times",
        }
    )
)
_RAISED, _LOWERED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "₀₁₂₃₄₅₆₇₈₉"
_DIGITS = str.maketrans(_RAISED + _LOWERED, "0123456789-0123456789")


def formula(text: str) -> str:
    """What we wrote for people, such as n²·d or n^(1/3), for mathematical mode."""
    shown = re.sub(r"[A-Za-z][A-Za-z0-9_]+", _name, text)
    for sign, digits in (("^", _RAISED), ("_", _LOWERED)):
        shown = re.sub(f"[{digits}]+", rf"{sign}(\g<0>)", shown)
    shown = re.sub(r"([\^_])(?:\(([^()]*)\)|([\d./]+))", _moved, shown.translate(_DIGITS))
    return shown.translate(dict(_IN_FORMULA)).strip()


def _name(found: re.Match[str]) -> str:
    """A name of several letters upright, or the logarithm."""
    is_log = re.fullmatch(r"log(_[a-z])?", found[0])
    return f"\\{found[0]}" if is_log else f"\\mathrm{{{escaped(found[0])}}}"


def _moved(found: re.Match[str]) -> str:
    """A power or an index."""
    sign, inside, number = found.groups()
    moved = inside or number
    return f"{sign}{moved}" if len(moved) == 1 else f"{sign}{{{moved}}}"


def with_sizes(text: str) -> str:
    """The text on one line, sizes such as n = 512 in mathematical mode."""
    return re.sub(r"\b([a-z]) = (\d+)", r"$\1 = \2$", escaped(text))


def tabular(table: pd.DataFrame, *, words: int) -> str:
    """A table for booktabs, of texts as LaTeX takes them.

    The columns behind the first `words` are numbers; equal headings of a row become one.
    """
    places = "l" * words + "r" * (len(table.columns) - words)
    shown = table.style.hide(axis="index")
    return str(shown.to_latex(hrules=True, column_format=places, multicol_align="c"))
