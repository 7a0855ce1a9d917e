"""How many operators of a program have to wait for one another: the depth of its data flow.

An operator can start once the memory that it reads has been written. The longest chain of such
operators is what Vaswani et al. 2017, Table 1, call the minimum number of sequential operations.
One operator counts as one step, whatever its size: the sums inside a matrix product, a softmax or
a scan are reductions, which as many processors as terms finish in logarithmic time. A fused
operator also counts as one step, so its inner loop does not show.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


class Chains:
    """The longest chain of operators that leads to each piece of memory, in `longest` to any.

    A piece is a range of bytes of a storage. A later write replaces what it covers, even if an
    earlier reader would have to finish first: with memory of its own, the writer could start.
    """

    def __init__(self) -> None:
        self.longest = 0
        self._written: dict[int, list[tuple[int, int, int]]] = {}

    def add(self, read: Sequence[Tensor], written: Sequence[Tensor]) -> None:
        """Note an operator by the tensors that it reads and those that it writes."""
        depth = 1 + max(map(self._depth, read), default=0)
        self.longest = max(self.longest, depth)
        for tensor in written:
            first, end = _range(tensor)
            place = tensor.untyped_storage()._cdata
            others = self._written.get(place, [])
            kept = [one for one in others if one[0] < first or one[1] > end]
            self._written[place] = [*kept, (first, end, depth)]

    def forget(self, place: int) -> None:
        """Forget the storage of this address, which something else may get."""
        self._written.pop(place, None)

    def _depth(self, tensor: Tensor) -> int:
        pieces = self._written.get(tensor.untyped_storage()._cdata, ())
        if not pieces:
            return 0
        first, end = _range(tensor)
        return max((depth for low, high, depth in pieces if low < end and first < high), default=0)


def _range(tensor: Tensor) -> tuple[int, int]:
    """The bytes of its storage from the first to the last element, those between among them."""
    if not tensor.numel():
        return 0, 0
    last = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
    first = int(tensor.storage_offset())
    return first * tensor.element_size(), (first + last + 1) * tensor.element_size()
