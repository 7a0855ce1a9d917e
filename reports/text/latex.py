"""Text and tables for LaTeX, in which nothing that a user named acts as a command."""

from __future__ import annotations

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


def tabular(table: pd.DataFrame, *, words: int) -> str:
    """A table of texts for booktabs; the columns behind the first `words` are numbers."""
    shown = table.map(escaped).rename(columns=escaped)
    places = "l" * words + "r" * (len(table.columns) - words)
    return str(shown.style.hide(axis="index").to_latex(hrules=True, column_format=places))
