"""Cells ready to be timed inside a measuring process, within a limit of memory."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor

from bench.machine.environment import available_bytes
from bench.machine.nvml import Unavailable
from bench.timing.built_module import bound_module, build_module, call_bytes, parameters_of
from bench.timing.changing_contents import ChangingInputs, Pool
from bench.timing.cuda import Captured, CudaStopwatch, capture
from bench.timing.inputs import CallInputs, LayerInputs, differentiate, inputs_of
from bench.timing.stopwatch import Call, CpuStopwatch, Stopwatch
from implementations.case import Case
from implementations.interface import Implementation

# Three processes hold inputs at the same time, and calls need room beside them.
HELD_SHARE = 0.1
# A larger graph is captured, replayed and closed within a visit.
LARGEST_GRAPH = 0.1


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A cell ready to be timed.

    `call` is what the stopwatch loops over: as little as possible beside the kernel itself. It has
    to run under `conditions()`. `parameters` are those of a layer's module, by name.
    """

    call: Call
    is_backward: bool
    parameters: Mapping[str, Tensor] = field(default_factory=dict)

    def conditions(self) -> torch.set_grad_enabled:
        """Gradients on or off, once around all calls and not in each of them: for `with`."""
        return torch.set_grad_enabled(self.is_backward)

    def outputs(self, result: object) -> Sequence[Tensor]:
        """Every output tensor of what a call returned: the output and, backward, the gradients."""
        if self.is_backward:
            assert isinstance(result, tuple)
            return result
        if not isinstance(result, Tensor):
            raise TypeError(f"expected a tensor, got {type(result).__name__}")
        return (result,)

    def run(self) -> Sequence[Tensor]:
        """One call, its output tensors."""
        with self.conditions():
            return self.outputs(self.call())


def prepare(implementation: Implementation, inputs: CallInputs, case: Case) -> Prepared:
    """The call that is timed, its keywords and tensors bound beforehand.

    A backward pass gives the gradients of all inputs and, of a layer, of all parameters too.
    """
    tensors = tuple(inputs.tensors.values())
    parameters: Mapping[str, Tensor] = {}
    # What stands for a window where only masks are taken is made here, before anything is timed.
    if isinstance(inputs, LayerInputs):
        module = build_module(implementation, case)
        parameters = parameters_of(module)
        forward = bound_module(implementation, module, inputs, case)
    else:
        query, key, _ = tensors
        asked = implementation.keywords(case, query, key, inputs.attn_mask)
        forward = implementation.bound(*tensors, **asked)
    if not case.is_backward:
        return Prepared(call=forward, is_backward=False, parameters=parameters)
    leaves = (*(tensor.requires_grad_() for tensor in tensors), *parameters.values())
    grad_output = inputs.grad_output

    def forward_backward() -> Sequence[Tensor]:
        output = forward()
        gradients = differentiate(output, leaves, grad_output)
        return (output.detach(), *(one for one in gradients if one is not None))

    return Prepared(call=forward_backward, is_backward=True, parameters=parameters)


@cache
def stopwatch(device: str) -> Stopwatch:
    """The stopwatch of a device."""
    return CudaStopwatch.on(device) if device.startswith("cuda") else CpuStopwatch()


@cache
def replay_stopwatch(device: str) -> Stopwatch:
    """The stopwatch of a GPU's replays, which leaves launches out."""
    return CudaStopwatch.on(device, queued=True)


@dataclass(kw_only=True)
class ReadyCell:
    """A cell that stays ready between its readings.

    `changing` are its inputs, which it shares with other implementations. `once_s` and `replay_s`
    are the quickest seconds of a call and of a replay so far; `replay` is the call captured in a
    GPU's graph, why it cannot be captured, or None where it was not tried. `is_compiled` is whether
    what compiles has been called.
    """

    prepared: Prepared
    changing: ChangingInputs
    is_compiled: bool = False
    once_s: float = math.inf
    replay_s: float = math.inf
    replay: Captured | Unavailable | None = None


@dataclass(kw_only=True)
class _Shared:
    """Inputs, and the cells of all implementations that take them."""

    changing: ChangingInputs
    held_bytes: int
    cells: dict[str, ReadyCell] = field(default_factory=dict)


class ReadyCells:
    """The cells of a measuring process; implementations share inputs.

    Beyond `most_bytes` of inputs and graphs those used longest ago are given up, and are made again
    when they are asked for.
    """

    def __init__(self, most_bytes: float) -> None:
        self._most_bytes = most_bytes
        self._pool = Pool()
        self._shared: OrderedDict[object, _Shared] = OrderedDict()

    def get(self, implementation: Implementation, case: Case, seed: int) -> ReadyCell:
        """The cell, ready to be called."""
        # Gradients are switched on in the tensors themselves: passes do not share them.
        kind = (implementation.kind, implementation.layout, implementation.needs_memory)
        key = (case, kind, seed)
        if key not in self._shared:
            held = call_bytes(implementation, case)
            self._make_room(held)
            inputs = inputs_of(implementation, case, seed=seed)
            changing = ChangingInputs(inputs, self._pool)
            self._shared[key] = _Shared(changing=changing, held_bytes=held)
        self._shared.move_to_end(key)
        shared = self._shared[key]
        spec = implementation.spec
        if spec not in shared.cells:
            prepared = prepare(implementation, shared.changing.inputs, case)
            shared.cells[spec] = ReadyCell(prepared=prepared, changing=shared.changing)
        return shared.cells[spec]

    def holds(self, workspace_bytes: int) -> bool:
        """Whether a graph with such a workspace may stay: many of them share the limit."""
        return workspace_bytes <= LARGEST_GRAPH * self._most_bytes

    def captured(self, cell: ReadyCell, case: Case, workspace_bytes: int) -> Captured | None:
        """The cell's graph on a GPU, captured when it is first asked for; None if it cannot be.

        One that the cell does not keep is to be closed by who asked for it.
        """
        if isinstance(cell.replay, Unavailable) or case.device_type != "cuda":
            return None
        if cell.replay is not None:
            return cell.replay
        if self.holds(workspace_bytes):
            self._make_room(workspace_bytes, keep=1)  # its own inputs are the newest
        with cell.prepared.conditions():
            found = capture(cell.prepared.run, case.device)
        if isinstance(found, Unavailable):
            cell.replay = found
            return None
        if self.holds(workspace_bytes):
            cell.replay = found
            next(reversed(self._shared.values())).held_bytes += workspace_bytes
        return found

    def _make_room(self, wanted_bytes: float, keep: int = 0) -> None:
        held = sum(one.held_bytes for one in self._shared.values())
        while len(self._shared) > keep and held + wanted_bytes > self._most_bytes:
            _, oldest = self._shared.popitem(last=False)
            held -= oldest.held_bytes
            for cell in oldest.cells.values():
                if isinstance(cell.replay, Captured):
                    cell.replay.close()


def held_limit_bytes(device: str) -> float:
    """How much a process may hold between readings: a part of what is free on the device."""
    free = torch.cuda.mem_get_info(device)[0] if device.startswith("cuda") else available_bytes()
    return HELD_SHARE * free
