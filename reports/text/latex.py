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
            **{raised: f"^{number}" for number, raised in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
            **{lowered: f"_{number}" for number, lowered in enumerate("₀₁₂₃₄₅₆₇₈₉")},
        }
    )
)


def formula(text: str) -> str:
    """What we wrote for people, such as n²·d or n^2.2, for mathematical mode."""
    shown = text.replace("log", r"\log").translate(dict(_IN_FORMULA))
    return re.sub(r"\^(\d+(?:[./]\d+)+)", r"^{\1}", shown).strip()


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
