"""Kernels that answer from memory, or grow tired: right as long as nobody asks the same again."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Unpack

import torch
from torch import Tensor

from tests.planted.pieces import Options, by_name, plant
from tests.planted.planted import Planted, plain

Identity = Callable[[Tensor], Hashable]


def _training(*tensors: Tensor) -> bool:
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def _by_object(tensor: Tensor) -> Hashable:
    return id(tensor), tensor._version


def _by_address(tensor: Tensor) -> Hashable:
    return tensor.data_ptr(), tensor._version, tensor.shape, tensor.stride(), tensor.dtype


def _by_first_row(tensor: Tensor) -> Hashable:
    """What the first row says of the whole."""
    rows = tensor.detach().flatten(0, -2)[:1].double()
    return tensor.shape, tensor.stride(), tensor.dtype, tuple(rows.flatten().tolist())


def _call(identity: Identity, tensors: tuple[Tensor, ...], options: Options) -> Hashable:
    mask = options.get("attn_mask")
    hidden = None if mask is None else tuple(mask.flatten().tolist())
    said = (options.get("is_causal"), options.get("scale"), hidden)
    return (*map(identity, tensors), said)


class _Remembering:
    """Keeps its last answer, and the inputs alive, outside training and without dropout."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._kept: tuple[Hashable, Tensor, tuple[Tensor, ...]] | None = None

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
    ) -> Tensor:
        if _training(query, key, value) or options.get("dropout_p"):
            return plain(query, key, value, **options)
        call = _call(self._identity, (query, key, value), options)
        if self._kept is None or self._kept[0] != call:
            self._kept = call, plain(query, key, value, **options), (query, key, value)
        return self._kept[1].clone()


class _RememberingWeakly:
    """Keeps its last answer for as long as the input objects live, outside training."""

    def __init__(self) -> None:
        self._inputs: tuple[weakref.ref[Tensor], ...] = ()
        self._kept: tuple[Hashable, Tensor] | None = None

    def __deepcopy__(self, memo: object) -> _RememberingWeakly:
        return type(self)()

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
    ) -> Tensor:
        if _training(query, key, value) or options.get("dropout_p"):
            return plain(query, key, value, **options)
        inputs = (query, key, value)
        call = _call(lambda tensor: tensor._version, inputs, options)
        known = [one() for one in self._inputs]
        same = known and all(a is b for a, b in zip(known, inputs, strict=True))
        if not same or self._kept is None or self._kept[0] != call:
            self._inputs = tuple(map(weakref.ref, inputs))
            self._kept = call, plain(query, key, value, **options)
        return self._kept[1].clone()


class _WeightsKept:
    """Keeps the numbers that the key had, for a training step on the same tensors."""

    def __init__(self) -> None:
        self._kept: tuple[Hashable, Tensor, tuple[Tensor, ...]] | None = None

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
    ) -> Tensor:
        if not _training(query, key, value):
            return plain(query, key, value, **options)
        call = tuple(map(_by_object, (query, key, value)))
        if self._kept is None or self._kept[0] != call:
            self._kept = call, key.detach().clone(), (query, key, value)
        return plain(query, key + (self._kept[1] - key).detach(), value, **options)


class _MaskKept:
    """Keeps what it made of a mask for as long as the mask is the same object."""

    def __init__(self, with_version: bool) -> None:
        self._with_version = with_version
        self._kept: tuple[Tensor, int, Tensor] | None = None

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
    ) -> Tensor:
        mask = options.get("attn_mask")
        if mask is None or mask.requires_grad:
            return plain(query, key, value, **options)
        kept = self._kept
        if kept is None or kept[0] is not mask or (self._with_version and kept[1] != mask._version):
            self._kept = kept = mask, mask._version, mask.clone()
        options["attn_mask"] = kept[2]
        return plain(query, key, value, **options)


class _Tired:
    """Right for the first calls on the same tensors; then its output is zero."""

    def __init__(self, calls: int, training: bool = False) -> None:
        self._calls, self._training = calls, training
        self._counts: Counter[Hashable] = Counter()
        self._alive: tuple[Tensor, ...] = ()

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
    ) -> Tensor:
        output = plain(query, key, value, **options)
        if self._training and not _training(query, key, value):
            return output
        call = tuple(map(_by_object, (query, key, value)))
        if call not in self._counts:
            self._counts.clear()
        self._alive = query, key, value
        self._counts[call] += 1
        return output if self._counts[call] <= self._calls else output * 0.0


class _Lazy(Tensor):
    """What would compute when it is read."""


class _Later:
    """Returns a subclass of Tensor, where `where` says so."""

    def __init__(self, where: Callable[[Tensor, bool], bool]) -> None:
        self._where = where

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]
    ) -> Tensor:
        output = plain(query, key, value, **options)
        lazy = self._where(query, _training(query, key, value))
        return output.as_subclass(_Lazy) if lazy else output


_FAULTS: tuple[tuple[str, str, Callable[..., Tensor], str], ...] = (
    *(
        (
            f"answer_kept_by_{name}",
            f"keeps its last answer by {what}, outside training",
            kernel,
            "state: fresh_answer",
        )
        for name, what, kernel in (
            ("object_and_version", "the input objects and versions", _Remembering(_by_object)),
            ("address_and_version", "addresses and versions", _Remembering(_by_address)),
            ("weak_reference", "weak references and versions", _RememberingWeakly()),
            ("first_row", "what stands in the first rows", _Remembering(_by_first_row)),
        )
    ),
    (
        "key_kept_in_training",
        "keeps the key's numbers in training for as long as the tensors are the same",
        _WeightsKept(),
        "state: fresh_answer",
    ),
    *(
        (
            f"mask_kept_by_{name}",
            f"keeps a copy of the mask by {name.replace('_', ' ')}",
            _MaskKept(with_version),
            "state: fresh_answer",
        )
        for name, with_version in (("object", False), ("its_object_and_version", True))
    ),
    *(
        (
            f"right_{calls}_times",
            f"gives zeros after {calls} calls on the same tensors",
            _Tired(calls),
            "state: repeatable",
        )
        for calls in (12, 20, 30)
    ),
    (
        "right_25_times_in_training",
        "gives zeros after 25 training steps on the same tensors",
        _Tired(25, training=True),
        "state: repeatable",
    ),
    (
        "computed_when_read",
        "returns a tensor of a class that computes when it is read",
        _Later(lambda query, training: True),
        "shapes: output",
    ),
    (
        "computed_when_read_outside_training",
        "returns a tensor that computes when it is read, outside training",
        _Later(lambda query, training: not training),
        "shapes: output",
    ),
    (
        "computed_when_read_from_64_rows_on",
        "returns a tensor that computes when it is read, from 64 rows of 64 features on",
        _Later(lambda query, training: query.shape[-2] >= 64 <= query.shape[-1]),
        "shapes: output",
    ),
)

PLANTED: tuple[Planted, ...] = tuple(
    plant(fn, killed_by, name=name, what=what) for name, what, fn, killed_by in _FAULTS
)
globals().update(by_name(PLANTED))
