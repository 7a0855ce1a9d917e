"""What the figures call the two sizes that they draw, which a foreign table calls as it likes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class SizeName:
    """What a figure calls a size: the letter in laws, the words, and the column as the user has it.

    Sizes of ours are counted in `elements`; what a foreign table counts is not known.
    """

    letter: str
    name: str
    column: str
    unit: str = ""

    @property
    def label(self) -> str:
        """The title of an axis: `sequence length, n = seq_len (elements)`, `n = length`."""
        known = f"{self.name}, " if self.name != self.column else ""
        letter = f"{self.letter} = " if self.letter != self.column else ""
        return f"{known}{letter}{self.column}{self.unit}"


OUR_SIZES: Mapping[str, SizeName] = MappingProxyType(
    {
        "seq_len": SizeName(
            letter="n", name="sequence length", column="seq_len", unit=" (elements)"
        ),
        "d_model": SizeName(letter="d", name="model width", column="d_model", unit=" (elements)"),
    }
)
"""By the columns that figures draw."""

HEADS = SizeName(letter="h", name="number of heads", column="num_heads")
"""The size that grows where d_model does not: the same operations in more heads."""
