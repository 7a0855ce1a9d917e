"""What a failure prints is pasted elsewhere: it fails there too, and says the same."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bench.checks.results import LOST, UNCHECKED, CheckResult
from bench.checks.run_situation import verify_case
from bench.checks.situation import CheckCase
from bench.checks.situations import agreement_cases, check_cases
from bench.checks.snippet import snippet
from implementations.catalogue import load
from tests.bench.checks.wrong_kernels import KERNELS

ROOT = Path(__file__).resolve().parents[3]
CASES = {one.name: one for one in check_cases(["float32"])}
SEED = 3

DRIVER = """
import contextlib, io, json, sys, warnings
warnings.simplefilter("error")
alone, root, with_us, last = json.load(sys.stdin)
outcomes = {}

def run(snippets):
    for name, code in snippets.items():
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said):
                exec(compile(code, name, "exec"), {"__name__": name})
            outcomes[name] = ["nothing", "", said.getvalue()]
        except BaseException as problem:
            outcomes[name] = [type(problem).__name__, str(problem), said.getvalue()]

run(alone)
ours = sorted({"bench", "implementations", "attnscale", "reports"} & set(sys.modules))
sys.path.insert(0, root)
run(with_us)
json.dump([outcomes, ours], sys.stdout)
sys.stdout.flush()
exec(compile(last, "last", "exec"), {"__name__": "last"})
"""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A kernel, the situation and the check that it fails, and how its snippet must end."""

    spec: str
    case: CheckCase
    check: str = "output"
    ends: str = "AssertionError"
    says: str = ""
    prints: str = ""


def fault(kernel: str, case: str = "plain", check: str = "output", **values: Any) -> Fault:
    situation = CASES[case]
    dtype = values.pop("dtype", "float32")
    situation = replace(situation, case=replace(situation.case, dtype=dtype))
    return Fault(spec=kernel, case=situation, check=check, **values)


NUMBERS = {"prints": "error "}
ALONE = {
    "output": fault("kernels.py:unscaled", **NUMBERS),
    "output in bfloat16": fault("kernels.py:unscaled", dtype="bfloat16", **NUMBERS),
    "output in float64": fault("kernels.py:unscaled", dtype="float64", **NUMBERS),
    "large case": fault("kernels.py:unscaled", "block_257x255", **NUMBERS),
    "another name": fault("mine=kernels.py:unscaled", "two_dimensions", **NUMBERS),
    "a file that is no identifier": fault("odd-name.py:unscaled", "five_dimensions", **NUMBERS),
    "scale": fault("kernels.py:scale_ignored", "scale", **NUMBERS),
    "grad_query": fault("kernels.py:query_halved", check="grad_query", **NUMBERS),
    "grad_key": fault("kernels.py:key_halved", "more_keys", "grad_key", **NUMBERS),
    "grad_value": fault("kernels.py:value_halved", "value_dim", "grad_value", **NUMBERS),
    "detached output": fault("kernels.py:detached", check="grad_value", says="gradient|detached"),
    "detached key": fault("kernels.py:key_detached", check="grad_key", says="no gradient arrives"),
    "boolean mask": fault("kernels.py:inverted", "boolean_mask", **NUMBERS),
    "mask of heads": fault("kernels.py:inverted", "boolean_mask_per_head", **NUMBERS),
    "rows without keys": fault("kernels.py:inverted", "masked_rows_boolean", **NUMBERS),
    "float mask": fault("kernels.py:unbiased", "float_mask", **NUMBERS),
    "infinite mask": fault("kernels.py:unbiased", "masked_rows_float", **NUMBERS),
    "causal": fault("kernels.py:strict", "causal", **NUMBERS),
    "NaN": fault("kernels.py:overflowing", "large_scores", prints="error nan"),
    "raised": fault("kernels.py:raising", ends="ValueError", says="not with me"),
    "shape": fault("kernels.py:turned", "more_keys", says="expected .*5, 11.* got .*11, 5"),
    "dtype": fault("kernels.py:wide", says="expected .*float32.* got .*float64"),
    "in place": fault("kernels.py:in_place", check="inputs_unmodified", says="query was changed"),
    "in place without gradients": fault(
        "kernels.py:in_place_and_inference_only",
        check="inputs_unmodified",
        says="key was changed",
    ),
    "mask in place": fault(
        "kernels.py:mask_in_place", "boolean_mask", "inputs_unmodified", says="attn_mask was"
    ),
    "upstream in place": fault(
        "kernels.py:upstream_in_place", check="inputs_unmodified", says="grad_output was changed"
    ),
    "in place where tracked": fault(
        "kernels.py:tracked_in_place", check="inputs_unmodified", says="query was changed"
    ),
    "not repeatable": fault("kernels.py:restless", check="repeatable"),
    "only where tracked": fault("kernels.py:tracked_only", **NUMBERS),
    "raised backward": fault(
        "kernels.py:no_way_back", check="grad_query", ends="RuntimeError", says="no way back"
    ),
    "layout": fault("kernels.py:unscaled_heads_third[bshd]", "value_dim", **NUMBERS),
    "memory": fault("kernels.py:unscaled", "nan_beyond", **NUMBERS),
    "grouped": fault("kernels.py:grouped_in_turn", "grouped", **NUMBERS),
    "grouped key": fault("kernels.py:grouped_halved", "grouped", "grad_key", **NUMBERS),
    "upstream": fault("kernels.py:query_halved", "upstream_columns_first", "grad_query", **NUMBERS),
}
THROUGH_THE_GATE = {
    "state": fault("kernels.py:scale_kept", "calls_in_turn", "fresh_answer"),
    "own memory": fault(
        "tests.planted.state:same_buffer_in_every_call", "calls_in_turn", "own_memory"
    ),
    "global state": fault("tests.planted.side_effects:seed_left_set", check="global_state"),
    "dropout": fault("tests.planted.dropout:dropout_ignored", "dropout", "weights"),
    "asking": fault(
        "tests.planted.graph:gradient_required_unasked", "asked_one_by_one", "only_where_asked"
    ),
    "properties": fault(
        "tests.planted.causal:causal_leaks_a_rounding_step", "properties_causal", "future_ignored"
    ),
    "memory of ours": fault(
        "tests.planted.layout:value_taken_for_contiguous", "columns_first", **NUMBERS
    ),
    "mask in memory": fault(
        "tests.planted.layout:mask_taken_for_contiguous", "mask_columns_first", **NUMBERS
    ),
}
IN_PLACE = {
    "boolean mask": fault("kernels.py:mask_in_place", "boolean_mask", "inputs_unmodified"),
    "float mask": fault(
        "tests.planted.side_effects:float_mask_clamped_in_place",
        "masked_rows_float",
        "inputs_unmodified",
    ),
    "upstream": fault("kernels.py:upstream_in_place", check="inputs_unmodified"),
    "where tracked": fault("kernels.py:tracked_in_place", check="inputs_unmodified"),
}
RIGHT = {
    "output": fault("kernels.py:right"),
    "grad_query": fault("kernels.py:right", "more_keys", "grad_query"),
    "grad_key": fault("kernels.py:right", "value_dim", "grad_key"),
    "grad_value": fault("kernels.py:right", "causal", "grad_value"),
    "boolean mask": fault("kernels.py:right", "masked_rows_boolean"),
    "float mask": fault("kernels.py:right", "masked_rows_float", "grad_value"),
    "many dimensions": fault("kernels.py:right", "boolean_mask_five_dimensions"),
    "scale": fault("kernels.py:right", "large_scores"),
    "float16": fault("kernels.py:right", "heavy_tail", dtype="float16"),
    "layout": fault("kernels.py:heads_third[bshd]", "boolean_mask", "grad_key"),
    "in place": fault("kernels.py:right", "masked_rows_float", "inputs_unmodified"),
    "memory": fault("kernels.py:right", "nan_beyond"),
    "grouped": fault("kernels.py:grouped", "grouped_causal", "grad_key"),
}
NATIVE = {
    name: fault(name, case, check)
    for name, case, check in (
        ("matmul", "masked_rows_float", "grad_query"),
        ("online_softmax", "beyond_blocks_causal", "output"),
        ("sdpa", "more_keys", "grad_value"),
        ("loop", "boolean_mask", "output"),
    )
}
Outcomes = dict[str, list[str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the kernels, and an empty one below it to run in."""
    path = tmp_path_factory.mktemp("pasted")
    (path / "kernels.py").write_text(KERNELS)
    (path / "odd-name.py").write_text(KERNELS)
    (path / "declared.py").write_text(
        "from dataclasses import replace\n"
        "from implementations.attention.matmul import IMPLEMENTATION, matmul\n"
        "def unscaled(query, key, value, **keywords):\n"
        "    return matmul(query, key, value, **{**keywords, 'scale': 1.0})\n"
        "MINE = replace(IMPLEMENTATION, name='declared', fn=unscaled)\n"
    )
    (path / "empty").mkdir()
    return path


@pytest.fixture(scope="module")
def code_of(folder: Path) -> Callable[..., str]:
    """The snippet of a fault as the gate finds it, or of a right kernel as if it had failed."""

    def code(one: Fault, *, as_if: bool = False) -> str:
        name, equals, spec = one.spec.rpartition("=")
        ours = ".py" not in spec
        kernel = load(spec if ours else f"{name}{equals}{folder / spec}")
        results = verify_case(kernel, one.case, seed=SEED)
        (result, *_) = [r for r in results if r.check == one.check and (as_if or r.bad)]
        if as_if:
            assert result.status == "pass", result
            result = replace(result, status="fail")
        return snippet(kernel, result, seed=SEED)

    return code


class Pasted(NamedTuple):
    """How the snippets ended, each in turn, in one new process, and how that one ended.

    `ours` are those of our packages that had been loaded when the last snippet had run that needs
    none of them.
    """

    outcomes: Outcomes
    ours: list[str]
    code: int


@pytest.fixture(scope="module")
def pasted(folder: Path, code_of: Callable[..., str]) -> Pasted:
    alone = {f"alone {name}": code_of(one) for name, one in ALONE.items()}
    alone |= {f"right {name}": code_of(one, as_if=True) for name, one in RIGHT.items()}
    with_us = {name: code_of(one) for name, one in THROUGH_THE_GATE.items()}
    with_us |= {f"{name} in place": code_of(one) for name, one in IN_PLACE.items()}
    with_us |= {name: code_of(one, as_if=True) for name, one in NATIVE.items()}
    with_us["declared"] = code_of(fault("declared.py:MINE"))
    last = snippet(load(f"{folder / 'kernels.py'}:exiting"), lost("exiting", LOST))
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=json.dumps([alone, str(ROOT), with_us, last]),
        cwd=folder / "empty",
        env={**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    outcomes, ours = json.loads(done.stdout)
    return Pasted(outcomes, ours, done.returncode)


def assert_ended_as(one: Fault, outcome: list[str]) -> None:
    kind, message, printed = outcome
    assert kind == one.ends, outcome
    assert re.search(one.says, message), outcome
    assert one.prints in printed, outcome


@pytest.mark.parametrize("name", ALONE)
def test_a_failure_pasted_where_only_torch_is_fails_there_too(pasted, name):
    assert_ended_as(ALONE[name], pasted.outcomes[f"alone {name}"])
    assert pasted.ours == []


@pytest.mark.parametrize("name", RIGHT)
def test_the_same_lines_find_nothing_against_a_right_kernel(pasted, name):
    assert pasted.outcomes[f"right {name}"][:2] == ["nothing", ""]


@pytest.mark.parametrize("name", THROUGH_THE_GATE)
def test_a_failure_that_only_the_gate_can_see_is_shown_by_it(pasted, name):
    one = THROUGH_THE_GATE[name]
    assert_ended_as(one, pasted.outcomes[name])
    if not one.prints:
        assert f"{one.check} in case {one.case.name}" in pasted.outcomes[name][2]


@pytest.mark.parametrize("name", IN_PLACE)
def test_whatever_was_changed_in_place_is_seen_to_change(pasted, name):
    assert_ended_as(IN_PLACE[name], pasted.outcomes[f"{name} in place"])


@pytest.mark.parametrize("name", NATIVE)
def test_an_implementation_of_the_suite_is_found_by_its_name(pasted, name):
    assert pasted.outcomes[name][:2] == ["nothing", ""]


def test_a_declared_implementation_is_called_through_its_function(pasted):
    assert pasted.outcomes["declared"][0] == "AssertionError"
    assert pasted.outcomes["declared"][2].startswith("error ")


def lost(kernel: str, check: str) -> CheckResult:
    return CheckResult(
        implementation=kernel,
        case=CASES["plain"],
        check=check,
        status="error",
        reason="the worker\nexited with 3",
    )


def test_a_kernel_that_takes_its_process_down_does_so_again(pasted):
    assert pasted.code == 3


def test_what_was_not_checked_is_a_call_and_nothing_more(folder):
    kernel = load(f"{folder / 'kernels.py'}:raising")

    code = snippet(kernel, lost("raising", UNCHECKED))

    assert code.splitlines()[-1] == "kernel(query, key, value)"


def test_the_headline_says_what_failed_in_one_line_that_is_a_comment(folder):
    kernel = load(f"{folder / 'kernels.py'}:exiting")

    first, *rest = snippet(kernel, lost("exiting", LOST)).splitlines()

    assert first.startswith("# exiting: process in case plain (n=7 d=33")
    assert first.endswith("the worker exited with 3")
    assert not any(line.startswith("#") for line in rest)
    assert "import torch" in rest


def test_the_seed_is_that_of_the_check(code_of):
    assert f"manual_seed({SEED})" in code_of(ALONE["output"])
    assert f"seed={SEED})" in code_of(THROUGH_THE_GATE["dropout"])


def test_a_difference_between_two_implementations_is_code_that_can_be_read():
    (case, _) = agreement_cases(["float32"])
    result = CheckResult(
        implementation="matmul",
        case=case,
        check="agrees_with_sdpa",
        status="fail",
        error=1.0,
        allowed=0.5,
    )

    code = snippet(load("matmul"), result)

    ast.parse(code)
    assert "matmul" in code
