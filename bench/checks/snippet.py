"""A failing check as a few lines to paste: the inputs that the gate made, the call, the judgement.

Where the check compares numbers with the formula, the lines need nothing but torch and the kernel.
"""

from __future__ import annotations

import keyword
from pathlib import Path

from bench.checks.recipe import source
from bench.checks.results import LOST, UNCHECKED, CheckResult
from implementations.interface import Implementation
from implementations.naming import parse_spec
from implementations.oracle import QUANTITIES, softmax_attention


def snippet(implementation: Implementation, result: CheckResult, *, seed: int = 0) -> str:
    """Python that shows the failure: it ends in an AssertionError, or in what the kernel raised."""
    headline = f"# {result}".replace("\n", " ")
    if _stands_alone(implementation, result):
        lines = [
            *_imports(implementation),
            "",
            *source(result.case, seed=seed, layout=implementation.layout),
            "",
            *_judgement(implementation, result),
        ]
    else:
        lines = _through_the_gate(implementation, result, seed)
    return "\n".join([headline, *lines])


def _stands_alone(implementation: Implementation, result: CheckResult) -> bool:
    """Whether the judgement can be written out; memory around inputs is seen by the gate only."""
    own_formula = implementation.oracle is softmax_attention
    plain = result.check in (*QUANTITIES, "repeatable", LOST, UNCHECKED)
    unmodified = result.check == "inputs_unmodified" and not result.case.arrange
    compared = result.case.probe in ("values", "output", "agreement")
    whole = result.case.case.window is None  # a band is more than a line of a formula
    return own_formula and (plain or unmodified) and compared and whole


def _imports(implementation: Implementation) -> list[str]:
    if ":" not in implementation.spec:
        return [
            "import torch",
            "",
            "from implementations.catalogue import load",
            f"kernel = load({implementation.name!r}).fn",
        ]
    spec = parse_spec(implementation.spec)
    target = spec.target
    lines = ["import torch", ""]
    if target.endswith(".py"):
        path = Path(target).resolve()
        lines = ["import sys", "", *lines, f"sys.path.insert(0, {str(path.parent)!r})"]
        target = path.stem
    if all(part.isidentifier() and not keyword.iskeyword(part) for part in target.split(".")):
        lines.append(f"from {target} import {spec.attribute} as kernel")
    else:
        lines.append(f"kernel = __import__('importlib').import_module({target!r}).{spec.attribute}")
    if implementation.declared:
        lines.append("kernel = kernel.fn")
    return lines


def _call(implementation: Implementation, result: CheckResult, tensors: str) -> str:
    case = result.case
    keywords = {
        "attn_mask": "attn_mask" if case.case.mask != "none" else None,
        "is_causal": "True" if case.case.is_causal else None,
        "scale": None if case.scale is None else repr(case.scale),
        "enable_gqa": "True" if case.case.is_grouped else None,
    }
    given = "".join(f", {name}={text}" for name, text in keywords.items() if text is not None)
    if implementation.layout == "bhsd":
        return f"kernel({tensors}{given})"
    turned = f"*(t.transpose(-3, -2) for t in ({tensors.removeprefix('*').rstrip(',')}))"
    return f"kernel({turned}{given}).transpose(-3, -2)"


def _judgement(implementation: Implementation, result: CheckResult) -> list[str]:
    call = _call(implementation, result, "query, key, value")
    tracked = _call(implementation, result, "*leaves")
    leaves = "leaves = [t.detach().requires_grad_() for t in (query, key, value)]"
    if result.check in (LOST, UNCHECKED):
        return [call]
    if result.check == "inputs_unmodified":
        names = "query=query, key=key, value=value, grad_output=grad_output"
        mask = ", attn_mask=attn_mask" if result.case.case.mask != "none" else ""
        backward = [
            leaves,
            f"output = {tracked}",
            "if output.requires_grad:",
            "    output.backward(grad_output)",
            "look()",
        ]
        return [
            f"given = dict({names}{mask})",
            "before = {name: t.clone() for name, t in given.items()}",
            "",
            "",
            "def look():",
            "    for name, old in before.items():",
            "        assert torch.equal(old, given[name]), f'{name} was changed'",
            "",
            "",
            call,
            "look()",
            *(backward if result.case.case.is_backward else ()),
        ]
    if result.check == "repeatable":
        return [f"assert torch.equal({call}, {call})"]
    with_gradients = result.check != "output" or "asked for" in (result.reason or "")
    output = [leaves, f"output = {tracked}"] if with_gradients else [f"output = {call}"]
    if result.status == "error":
        return [*output, "output.backward(grad_output)"] if with_gradients else output
    if result.allowed is None:
        shape = "grad_output.shape, query.dtype, query.device"
        return [
            *output,
            f"expected = ({shape})",
            "actual = (output.shape, output.dtype, output.device)",
            "assert actual == expected, f'expected {expected}, got {actual}'",
        ]
    return [*output, *_reference(result), *_comparison(result)]


def _reference(result: CheckResult) -> list[str]:
    """The formula in float64 on the CPU, as in implementations/oracle.py."""
    case = result.case
    query_len, key_len = case.case.seq_len, case.case.key_len
    scale = case.scale if case.scale is not None else f"{case.case.head_dim} ** -0.5"
    lines = [
        "q, k, v = (t.detach().cpu().double().requires_grad_() for t in (query, key, value))",
    ]
    keys, values = "k", "v"
    if case.case.is_grouped:
        keys, values = "keys", "values"
        group = case.case.num_heads // case.case.kv_heads
        lines.append(f"keys, values = (t.repeat_interleave({group}, -3) for t in (k, v))")
    lines.append(f"scores = q @ {keys}.mT * {scale}")
    if case.case.is_causal:
        future = f"torch.ones({query_len}, {key_len}, dtype=torch.bool).triu(1)"
        lines.append(f"scores = scores.masked_fill({future}, -torch.inf)")
    elif case.case.mask == "boolean":
        lines.append("scores = scores.masked_fill(~attn_mask.cpu(), -torch.inf)")
    elif case.case.mask == "float":
        lines.append("scores = scores + attn_mask.cpu().double()")
    if case.case.mask == "none":
        return [*lines, f"expected = scores.softmax(-1) @ {values}"]
    return [
        *lines,
        "empty = (scores == -torch.inf).all(-1, keepdim=True)  # rows without keys give zeros",
        "weights = scores.masked_fill(empty, 0.0).softmax(-1).masked_fill(empty, 0.0)",
        f"expected = weights @ {values}",
    ]


def _comparison(result: CheckResult) -> list[str]:
    lines = ["actual = output"]
    if result.check != "output":
        index = QUANTITIES.index(result.check) - 1
        upstream = "grad_output.cpu().double()"
        lines = [
            "assert output.requires_grad, 'the output is detached'",
            "output.backward(grad_output)",
            f"actual = leaves[{index}].grad",
            "assert actual is not None, 'no gradient arrives'",
            f"expected = torch.autograd.grad(expected, (q, k, v), {upstream})[{index}]",
        ]
    return [
        *lines,
        "error = (actual.detach().cpu().double() - expected).abs().max().item()",
        f"print(f'error {{error:.3g}}, allowed {result.allowed:.3g}')",
        f"assert error <= {result.allowed!r}",
    ]


def _through_the_gate(implementation: Implementation, result: CheckResult, seed: int) -> list[str]:
    return [
        "# needs attnscale on the path, and the folder that the kernel was named in",
        "from bench.checks.situation import CheckCase",
        "from bench.checks.run_situation import verify_case",
        "from implementations.case import Case",
        "from implementations.catalogue import load",
        "",
        f"case = {result.case!r}",
        f"results = verify_case(load({implementation.spec!r}), case, seed={seed})",
        "failed = [str(one) for one in results if one.bad]",
        'print(*failed, sep="\\n")',
        "assert not failed",
    ]
