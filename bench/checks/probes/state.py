"""What a kernel keeps between calls: buffers, caches, chance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from bench.checks.error_bound import Expected
from bench.checks.probes.trial import (
    GRADIENTS,
    Trial,
    gradients_of,
    leaves_of,
    probe,
    same,
    shared_memory,
)
from bench.checks.results import CheckResult
from bench.checks.situation import CheckCase
from bench.timing.inputs import Inputs
from implementations.interface import Feature

REPETITIONS = 5
# Where a call is small, the very same tensors are given as often: who answers from memory, or
# grows tired of it, shows only then.
IDENTICAL_CALLS = 48
SMALL = 4096
UNSEEN = "changed where torch does not see it"


@probe
def check_state(trial: Trial) -> Iterator[CheckResult]:
    """Repeatability, own memory, and answers that follow the inputs."""
    inputs = trial.inputs()
    first = trial.formed(trial.forward(inputs), inputs)
    found = trial.compared_output(first)
    if found.bad:  # what follows compares answers with each other, which says nothing then
        yield found
        return
    kept = first.clone()
    trial.forward(trial.inputs(1))
    shared = shared_memory(first, inputs)
    reason = shared or "a later call changed the output of an earlier one"
    yield trial.judged("own_memory", not shared and same(first, kept), reason)
    reason = _unsteady(trial, kept)
    yield trial.judged("repeatable", not reason, reason)
    yield _fresh_answer(trial)


def _unsteady(trial: Trial, first: Tensor) -> str:
    """What differs between calls that are the same; empty if nothing does."""
    for _ in range(REPETITIONS):
        if not same(first, trial.forward(trial.inputs())):
            return "the same call gave another answer"
    if trial.case.size < SMALL and not _lasting(trial, first):
        return "the same call on the same tensors gave another answer"
    if _gradients_repeat(trial):
        try:
            one, again = _gradients(trial), _gradients(trial)
        except Exception:
            return ""  # refused gradients are the business of other checks
        if not _same_gradients(one, again):
            return "the same call gave other gradients"
        if not _same_gradients(one, _gradients(trial, between=True)):
            return "a call in between changes the backward pass"
        if not _same_gradients(one, _gradients(trial, twice=True)):
            return "a second backward pass gave other gradients"
    return ""


def _gradients_repeat(trial: Trial) -> bool:
    """Whether gradients must repeat: on a GPU they are summed by whichever block comes first."""
    return trial.wants_gradients and trial.case.case.device == "cpu"


def _lasting(trial: Trial, first: Tensor) -> bool:
    """Whether the same tensors give the same output every time, with gradients and without."""
    inputs = trial.inputs()
    for _ in range(IDENTICAL_CALLS):
        output = trial.forward(inputs)
        if trial.objection(output, inputs) is not None or not same(first, output):
            return False
    if not _gradients_repeat(trial):
        return True
    leaves = leaves_of(inputs)
    rounds = []
    for _ in range(IDENTICAL_CALLS):
        try:
            output = trial.call(inputs, leaves)
            rounds.append([output.detach(), *gradients_of(output, leaves, inputs)])
        except Exception:
            return not rounds  # refused gradients are the business of other checks
    return all(_same_gradients(rounds[0], one) for one in rounds)


def _gradients(trial: Trial, twice: bool = False, between: bool = False) -> list[Tensor | None]:
    """The gradients; with `twice` those of a second backward pass over the same graph.

    With `between`, another call comes before the backward pass, as it does in a model of layers.
    """
    inputs = trial.inputs()
    leaves = leaves_of(inputs)
    output = trial.call(inputs, leaves)
    if between:
        other = trial.inputs(1)
        trial.call(other, leaves_of(other))
    if not twice:
        return list(gradients_of(output, leaves, inputs))
    try:
        gradients_of(output, leaves, inputs, retain_graph=True)
        return list(gradients_of(output, leaves, inputs))
    except RuntimeError:  # a graph that does not allow it says so
        return _gradients(trial)


def _same_gradients(left: list[Tensor | None], right: list[Tensor | None]) -> bool:
    return all(
        a is b is None or (a is not None and b is not None and same(a, b))
        for a, b in zip(left, right, strict=True)
    )


def _fresh_answer(trial: Trial) -> CheckResult:
    """Other values in the same memory, then other cases of the same shapes, then other sizes."""
    found = []
    for name, inputs, expected, quantities in _turns(trial):
        trial.formed(quantities["output"], inputs, "fresh_answer", f", after {name}")
        for quantity, actual in quantities.items():
            value, allowed = expected.values[quantity], expected.allowed[quantity]
            stale = "answer" if quantity == "output" else "gradient"
            reason = f"the {stale} is stale after {name}"
            found.append(trial.compared("fresh_answer", actual, value, allowed, reason))
            if found[-1].bad:
                return found[-1]
    return max(found, key=CheckResult.severity)


Turn = tuple[str, Inputs, Expected, dict[str, Tensor]]


def _turns(trial: Trial) -> Iterator[Turn]:
    """What came before, the inputs, what they must give, and what the kernel gave."""
    held, other = trial.inputs(), trial.inputs(1)

    def answer() -> dict[str, Tensor]:
        return {"output": trial.forward(held)}

    yield "other calls", held, trial.expected(), answer()
    _overwrite(held, other)
    yield "inputs changed in place", held, trial.expected(1), answer()
    _overwrite(held, trial.inputs(), unseen=True)
    yield f"inputs {UNSEEN}", held, trial.expected(), answer()
    for name in ("key", "value", "query"):
        mine, new = getattr(held, name), getattr(other, name)
        middle = mine.shape[-2] // 2
        mine.data[..., middle, :] = new[..., middle, :]
        yield f"one {name} {UNSEEN}", held, trial.expect(held), answer()
    for name, case in _variants(trial):
        variant = replace(trial, case=case)
        asked = variant.inputs()
        try:
            output = variant.forward(asked)
        except Exception:
            if trial.implementation.declared:
                raise
            continue  # what it refuses is said by the checks of its own
        yield name, asked, variant.expected(), {"output": output}
        again = trial.inputs()
        yield f"{name} and back", again, trial.expected(), {"output": trial.forward(again)}
    yield from _mask_turns(trial)
    if trial.wants_gradients:
        yield from _training_turns(trial, other)


def _mask_turns(trial: Trial) -> Iterator[Turn]:
    """A mask of other contents in the same memory."""
    for kind in _mask_kinds(trial):
        masked = replace(trial, case=trial.case.under(mask=kind))
        inputs = masked.inputs()
        assert inputs.attn_mask is not None
        try:
            masked.forward(inputs)
        except Exception:
            continue  # what it refuses is said by the checks of its own
        inputs.attn_mask.data.copy_(inputs.attn_mask.flip(0))
        answer = {"output": masked.forward(inputs)}
        yield f"a {kind} mask {UNSEEN}", inputs, masked.expect(inputs), answer


def _overwrite(held: Inputs, new: Inputs, unseen: bool = False) -> None:
    """Give the tensors other contents; unseen, as NumPy would, so that no version is counted."""
    for name in ("query", "key", "value"):
        mine: Tensor = getattr(held, name)
        (mine.data if unseen else mine).copy_(getattr(new, name))


def _training_turns(trial: Trial, other: Inputs) -> Iterator[Turn]:
    """The same leaves twice, with other contents: output and gradients must follow them."""
    held = trial.inputs()
    leaves = leaves_of(held)
    try:
        gradients_of(trial.call(held, leaves), leaves, held)
    except Exception:
        return  # refused gradients are the business of other checks
    _overwrite(held, other, unseen=True)
    output = trial.call(held, leaves)
    arrived = zip(GRADIENTS, gradients_of(output, leaves, held), strict=True)
    answer = {"output": output, **{name: one for name, one in arrived if one is not None}}
    yield f"inputs of a training step {UNSEEN}", held, trial.expect(held), answer


def _variants(trial: Trial) -> Iterator[tuple[str, CheckCase]]:
    base, supports = trial.case, trial.implementation.supports
    if Feature.CAUSAL in supports:
        yield "a causal call", base.under(is_causal=True)
    for kind in _mask_kinds(trial):
        masked = base.under(mask=kind)
        yield f"a {kind} mask", masked
        flipped = ("attn_mask = attn_mask.flip(0)",)
        yield f"another {kind} mask", replace(masked, prepare=flipped)
    if Feature.SCALE in supports:
        yield "another scale", replace(base, scale=0.3)
    if Feature.CROSS_LENGTH in supports:
        yield "a longer call", base.resized(seq_len=base.case.seq_len + 32, key_len=97)
        yield "a shorter call", base.resized(seq_len=3, key_len=2)
    yield "a single item", base.resized(leading=(1, 1))


def _mask_kinds(trial: Trial) -> list[str]:
    supports = trial.implementation.supports
    if trial.case.case.window is not None:
        return []
    return [kind for kind in ("boolean", "float") if Feature(f"{kind}_mask") in supports]
