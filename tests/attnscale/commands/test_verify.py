"""The command `verify` as its users meet it: exit codes, one line for each failure, JSON."""

import json
from collections.abc import Callable

import pytest
import torch

from attnscale.exit_codes import DONE, FAILED, INCONCLUSIVE


@pytest.fixture
def kernels(write) -> Callable[[str], str]:
    path = write(
        "kernels_of_ones_own.py",
        """
        print("imported")
        from implementations.attention.matmul import matmul

        def right(query, key, value):
            return matmul(query, key, value)

        def without_scale(query, key, value):
            return matmul(query, key, value, scale=1.0)

        def chatty(query, key, value):
            print("hello")
            return matmul(query, key, value)

        def heads_third(query, key, value):
            turned = (t.transpose(1, 2) for t in (query, key, value))
            return matmul(*turned).transpose(1, 2)

        def forward_only(query, key, value):
            return matmul(query, key, value).detach()

        def declining(query, key, value):
            raise NotImplementedError("needs another machine")
        """,
    )
    return lambda name: f"{path}:{name}"


def test_verify_as_json_is_one_document_with_exactly_the_keys_of_the_contract(attnscale_, checking):
    shown = attnscale_("verify", "matmul", "sdpa_flash", "--dtype", "float32", "--json")

    assert shown.code == DONE
    document = json.loads(shown.out, parse_constant=lambda name: pytest.fail(name))
    assert set(document) == {"results", "summary"}
    assert set(document["summary"]) == {"pass", "fail", "unsupported", "error"}
    for entry in document["results"]:
        assert set(entry) == {
            "implementation",
            "case",
            "check",
            "status",
            "error",
            "allowed",
            "reason",
        }
        assert entry["status"] in document["summary"]
        assert (entry["reason"] is None) == (entry["status"] == "pass")
    counted = [entry["status"] for entry in document["results"]]
    assert document["summary"] == {name: counted.count(name) for name in document["summary"]}
    assert "verifying matmul" in shown.err


def test_verify_fails_for_a_wrong_kernel_and_names_it_the_case_and_the_error(
    attnscale_, checking, kernels
):
    shown = attnscale_("verify", "--impl", kernels("without_scale"), "--dtype", "float32")

    assert shown.code == FAILED
    (line,) = [line for line in shown.out.splitlines() if line.startswith("fail: ")]
    assert line.startswith(
        "fail: shapes: without_scale: output in case more_keys (n=5 key_len=7 d=33"
    )
    assert ": error " in line
    assert "unsupported: without_scale does not support causal" in shown.out
    assert "from kernels_of_ones_own import without_scale as kernel" in shown.out
    assert "verifying without_scale" in shown.err


@pytest.mark.parametrize(("name", "code"), [("without_scale", FAILED), ("right", DONE)])
def test_with_json_verify_writes_one_document_and_everything_else_to_stderr(
    attnscale_, checking, kernels, name, code
):
    shown = attnscale_("verify", "--impl", kernels(name), "--dtype", "float32", "--json")

    assert shown.code == code
    assert set(json.loads(shown.out)) == {"results", "summary"}
    assert "paste" not in shown.err


def test_verify_of_kernels_of_ones_own_checks_those_only(attnscale_, checking, kernels):
    attnscale_("verify", "--impl", kernels("right"), "--dtype", "float32")

    specs = {request["spec"] for request in checking.operations("check")}
    assert specs == {kernels("right")}


def test_verify_takes_kernels_of_another_layout(attnscale_, checking, kernels):
    given = ("--impl", kernels("heads_third"), "--dtype", "float32")

    assert attnscale_("verify", *given, "--layout", "bshd").code == DONE
    assert attnscale_("verify", *given).code == FAILED


def test_verify_tells_whoever_forgot_the_layout_and_not_in_the_document(
    attnscale_, checking, kernels
):
    given = ("verify", "--impl", kernels("heads_third"), "--dtype", "float32")
    hint = "heads_third is right for (batch, seq, heads, dim): --layout bshd"

    assert hint in attnscale_(*given).out.splitlines()
    assert hint not in attnscale_(*given, "--layout", "bshd").out
    assert set(json.loads(attnscale_(*given, "--json").out)) == {"results", "summary"}


@pytest.mark.parametrize("json_", [[], ["--json"]])
def test_verify_is_inconclusive_where_nothing_at_all_could_be_checked(
    attnscale_, checking, kernels, json_
):
    given = ("verify", "--dtype", "float32", *json_)

    shown = attnscale_(*given, "--impl", kernels("declining"))

    assert shown.code == INCONCLUSIVE == 3
    assert "needs another machine" in shown.out
    both = attnscale_(*given, "--impl", kernels("declining"), "--impl", kernels("right"))
    assert both.code == DONE
    wrong = attnscale_(*given, "--impl", kernels("declining"), "--impl", kernels("without_scale"))
    assert wrong.code == FAILED


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        ("os._exit(3)", "the worker exited with 3"),
        pytest.param("os.abort()", "the worker died of SIGABRT", marks=pytest.mark.slow),
        pytest.param(
            "os.kill(os.getpid(), 9)", "SIGKILL ended the worker 3 times", marks=pytest.mark.slow
        ),
    ],
)
def test_an_import_that_takes_the_process_down_is_one_line(attnscale_, write, ending, said):
    path = write(
        "fatal.py", f"import os, sys\nprint('hello', flush=True)\n{ending}\ndef mine(): ..."
    )

    outcome = attnscale_("verify", "--impl", f"{path}:mine", "--dtype", "float32")

    outcome.assert_refused(f"--impl {path}:mine: importing it took the process down: {said}")


def test_an_import_that_never_ends_falls_under_the_time_limit(attnscale_, write):
    path = write("endless.py", "while True: pass\ndef mine(): ...")

    outcome = attnscale_("verify", "--impl", f"{path}:mine", "--time-limit", "0.5")

    outcome.assert_refused(f"--impl {path}:mine: importing it did not end within 0.5 s")


AT_IMPORT = """
    import torch
    from implementations.attention.matmul import matmul

    torch.set_default_dtype(torch.bfloat16)
    torch.backends.cuda.matmul.fp32_precision = "tf32"

    def right(query, key, value):
        return matmul(query, key, value)

    def rounding(query, key, value):
        output = matmul(*(one.to(torch.bfloat16) for one in (query, key, value)))
        return output.to(query.dtype)
"""


def test_what_an_import_changes_of_global_state_is_told_and_changes_no_verdict(
    attnscale_, checking, write
):
    path = write("changing_at_import.py", AT_IMPORT)
    given = ("verify", "--dtype", "float32", "--impl")

    shown = attnscale_(*given, f"{path}:right")

    assert shown.code == DONE
    told = "the default dtype and the precision of float32 products; it was put back"
    assert f"importing right changed {told}" in shown.out.splitlines()
    assert torch.get_default_dtype() == torch.float32
    assert attnscale_(*given, f"{path}:rounding").code == FAILED


@pytest.mark.parametrize(
    ("raising", "said"),
    [
        ("raise KeyError('x')", "failed with KeyError: 'x'"),
        ("sys.exit(0)", "failed with SystemExit"),
    ],
)
def test_an_import_that_raises_or_exits_is_one_line(attnscale_, checking, write, raising, said):
    path = write("raising.py", f"import sys\n{raising}\ndef mine(): ...")

    outcome = attnscale_("verify", "--impl", f"{path}:mine")

    outcome.assert_refused(f"--impl {path}:mine", said)


def test_verify_of_the_forward_pass_asks_for_no_gradients(attnscale_, checking, kernels):
    given = ("--impl", kernels("forward_only"), "--dtype", "float32")

    assert attnscale_("verify", *given, "--pass", "forward").code == DONE
    refused = attnscale_("verify", *given)
    assert refused.code == FAILED
    assert "verify --pass forward" in refused.out
