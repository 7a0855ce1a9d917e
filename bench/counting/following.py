"""Follows a call operator by operator: arithmetic, traffic, launches, order and live memory."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import torch
import torch.autograd.graph
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from bench.counting.chains import Chains
from bench.counting.fused import kernel_buffers
from bench.counting.operators import Bound, Cost, Rule, base_name, rule_of
from bench.counting.result import Quantity
from bench.counting.traffic import Schema, tensors_in, touched_bytes
from bench.machine.workspace import Allocation, peak_beyond

HALF = (torch.bfloat16, torch.float16)


class TooManyOperatorsError(BaseException):
    """More operators than were allowed; no Exception, so that no kernel takes it for its own."""


class _PlainMode(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """A mode without torch's shield against compilers, which loads them: seconds for nothing."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


class _Looking(_PlainMode):  # type: ignore[no-untyped-call]  # as above
    """Notes who holds the first operand of each addition."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.holders: list[tuple[int, int]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.add.Tensor:
            self.holders.append(_holders(args[0]))
        return func(*args, **(kwargs or {}))


@cache
def _known(operator: torch._ops.OpOverload) -> tuple[Schema, Rule]:
    return Schema.of(operator), rule_of(operator)


@cache
def _holders_of_exclusive() -> tuple[int, int]:
    """The holders of a gradient that only autograd holds, as a mode sees them: found by trying."""
    leaf = torch.ones(1, requires_grad=True)
    with torch.enable_grad(), _Looking() as looking:
        torch.autograd.grad([leaf * 2.0, leaf * 3.0], leaf, [torch.ones(1), torch.ones(1)])
    found: tuple[int, int] = looking.holders[0]
    return found


def _holders(tensor: Tensor) -> tuple[int, int]:
    """References to the tensor and to its storage; a view shares the storage with its base."""
    storage = tensor.untyped_storage()._cdata
    held: int = tensor._use_count()  # type: ignore[attr-defined]  # not in torch's stubs
    return held, torch._C._storage_Use_Count(storage)


def _is_dense(tensor: Tensor) -> bool:
    return tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()


def _shapes(value: object) -> Hashable:
    """What of an argument decides about the shape of a result."""
    if isinstance(value, Tensor):
        return value.shape, value.stride(), value.dtype, value.device
    if isinstance(value, list | tuple):
        return tuple(_shapes(one) for one in value)
    # 2 and 2.0 are equal, and lead to different dtypes; what has no hash equals nothing.
    return (type(value), value) if isinstance(value, Hashable) else object()


class Follower(_PlainMode):  # type: ignore[no-untyped-call]  # as above
    """While it is entered, every operator is counted; what made the inputs lies outside.

    `device` is where the program is meant to run: fused kernels have memory of their own there.
    `chains` knows which operators wait for which. `unknown` names operators without a rule,
    `hidden_memory` says what took memory of unknown size, `by_formula` names the quantities that
    formulas had a part in.
    """

    def __init__(self, device: str, *, most_operators: int | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.products = self.others = self.transcendentals = 0
        self.bytes_read = self.bytes_written = self.launches = 0
        self.scalars_taken_out = 0
        self.unknown: set[str] = set()
        self.hidden_memory: set[str] = set()
        self.by_formula: set[Quantity] = set()
        self.has_half_products = False
        self.chains = Chains()
        self._exclusive = _holders_of_exclusive()
        self._device = device
        self._most_operators = most_operators
        self._operators = 0
        self._is_paused = False
        self._layouts: dict[Hashable, tuple[torch.Size, tuple[int, ...], torch.dtype]] = {}
        self._events: list[Allocation] = []
        self._addresses: dict[int, int] = {}
        self._watched: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """A context in which nothing is counted."""
        self._is_paused = True
        try:
            yield
        finally:
            self._is_paused = False

    def workspace_bytes(self, outputs: Sequence[Tensor]) -> int:
        """Peak live bytes of storages made here beyond those of the outputs."""
        found = (self._addresses.get(one.untyped_storage()._cdata) for one in outputs)
        return peak_beyond(self._events, {address for address in found if address is not None})

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: Iterable[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> Any:
        """Run one operator and count it."""
        kwargs = kwargs or {}
        if self._is_paused:
            return func(*args, **kwargs)
        self._operators += 1
        if self._most_operators is not None and self._operators > self._most_operators:
            raise TooManyOperatorsError
        if func is torch.ops.aten.add.Tensor:
            func, args = self._as_autograd_adds(func, args)
        schema, rule = _known(func)
        result = self._result(func, schema, args, kwargs)
        if schema.is_view:
            return result
        bound = schema.bind(args, kwargs)
        operands = [one for value in bound.values() for one in tensors_in(value)]
        given = {one.untyped_storage()._cdata for one in operands}
        returned = list(tensors_in(result))
        fresh = [one for one in returned if one.untyped_storage()._cdata not in given]
        for one in fresh:
            self._watch(one.untyped_storage())
        is_alias = bool(returned) and not fresh and not schema.written
        if not schema.is_allocation and not is_alias:
            read, overwritten = schema.operands(bound)
            written = [*overwritten, *fresh]
            self.launches += 1
            self.bytes_read += touched_bytes(read)
            self.bytes_written += touched_bytes(written)
            self.chains.add(read, written)
            cost = rule(bound, written)
            self._add(func, cost)
            self.has_half_products |= cost.products > 0 and any(x.dtype in HALF for x in operands)
            self._hold(func, bound)
        return result

    def _result(
        self,
        operator: torch._ops.OpOverload,
        schema: Schema,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """What the operator returns; without data, what it returned for the same shapes before.

        Asking torch each time would make a program of many small steps take seconds.
        """
        if schema.is_inplace and args[0].is_meta:
            return args[0]
        if schema.is_view or schema.written:
            return operator(*args, **kwargs)
        key = (operator, _shapes(args), _shapes(tuple(kwargs.items())))
        layout = self._layouts.get(key)
        if layout is not None:
            shape, strides, dtype = layout
            return torch.empty_strided(shape, strides, dtype=dtype, device="meta")
        result = operator(*args, **kwargs)
        if isinstance(result, Tensor) and result.is_meta and _is_dense(result):
            places = {one.untyped_storage()._cdata for one in tensors_in([*args, *kwargs.values()])}
            if result.untyped_storage()._cdata not in places:
                self._layouts[key] = (result.shape, result.stride(), result.dtype)
        return result

    def _as_autograd_adds(
        self, add: torch._ops.OpOverload, args: tuple[Any, ...]
    ) -> tuple[torch._ops.OpOverload, tuple[Any, ...]]:
        """The addition, in place where autograd sums gradients that nobody else holds.

        It would do so by itself, if no mode looked on, and then a sum takes no memory.
        """
        caller = sys._getframe(2).f_globals.get("__name__")
        if caller == torch.autograd.graph.__name__ and torch._C._current_graph_task_id() >= 0:
            for one, other in (args, args[::-1]):
                if _holders(one) == self._exclusive and _is_dense(one):
                    return torch.ops.aten.add_.Tensor, (one, other)
        return add, args

    def _add(self, operator: torch._ops.OpOverload, cost: Cost) -> None:
        self.products += cost.products
        self.others += cost.others
        self.transcendentals += cost.transcendentals
        if cost.by_formula:
            self.by_formula.update(cost.quantities)
        if base_name(operator) == "_local_scalar_dense":
            self.scalars_taken_out += 1
        if not cost.is_known:
            self.unknown.add(f"{operator.namespace}.{base_name(operator)}")

    def _hold(self, operator: torch._ops.OpOverload, arguments: Bound) -> None:
        """Take what the operator needs for itself, beside its results, and give it back."""
        buffers = kernel_buffers(base_name(operator), arguments, self._device)
        if isinstance(buffers, str):
            self.hidden_memory.add(buffers)
        elif buffers:
            self.by_formula.add("workspace_bytes")
            address = len(self._events)
            self._events += [Allocation(address=address, size=n) for n in (buffers, -buffers)]

    def _watch(self, storage: torch.UntypedStorage) -> None:
        """Note when a storage comes and when it goes; its place in the list is its address."""
        place, size = storage._cdata, storage.nbytes()
        if place in self._addresses:
            return
        address = len(self._events)
        self._events.append(Allocation(address=address, size=size))

        def gone(_: weakref.ref[torch.UntypedStorage]) -> None:
            self._events.append(Allocation(address=address, size=-size))
            del self._addresses[place]
            del self._watched[place]
            self.chains.forget(place)

        self._addresses[place] = address
        self._watched[place] = weakref.ref(storage, gone)
