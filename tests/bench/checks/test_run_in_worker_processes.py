"""Kernels of all sorts checked in a real process, which they take down and which comes back."""

from bench.checks.results import LOST, CheckResult
from bench.checks.run_in_worker import Checker
from bench.checks.situations import check_cases
from implementations.catalogue import load, load_all

CASES = {one.name: one for one in check_cases(["float32"])}

KERNELS = """
    import os, sys, threading
    from implementations.attention.matmul import matmul

    def raising(query, key, value):
        raise ValueError("not today")

    def exiting(query, key, value):
        if key.shape[-2] == 13:
            os._exit(3)
        return matmul(query, key, value)

    def leaving(query, key, value):
        sys.exit("enough")

    def printing(query, key, value):
        print("hello")
        return matmul(query, key, value)

    def hanging(query, key, value):
        threading.Event().wait()
"""


def test_a_real_process_survives_kernels_that_raise_exit_print_and_hang(real, write):
    path = write("kernels_to_check.py", KERNELS)
    names = ("raising", "exiting", "leaving", "printing")
    tried = [CASES[name] for name in ("plain", "single_query", "more_keys")]
    real.begin()
    started = real.started

    results = list(
        Checker(worker=real).check(load_all((), [f"{path}:{name}" for name in names]), tried)
    )

    assert real.started == started + 1
    errors = {
        name: [(one.case.name, one.check, one.reason) for one in results if is_bad(one, name)]
        for name in names
    }
    said = "raised ValueError: not today"
    assert errors["raising"] == [(one.name, "output", said) for one in tried]
    assert errors["exiting"] == [("single_query", LOST, "the worker exited with 3")]
    left = "raised SystemExit: enough"
    assert errors["leaving"] == [(one.name, "output", left) for one in tried]
    assert errors["printing"] == []
    remarks = [one.reason for one in results if one.check == "stdout"]
    assert remarks == ["printing printed to stdout: hello"]

    (hung,) = Checker(worker=real, case_limit_s=0.5).check([load(f"{path}:hanging")], tried[:1])

    assert (hung.check, hung.status) == (LOST, "error")
    assert "no answer within" in str(hung.reason)


def is_bad(one: CheckResult, name: str) -> bool:
    return one.bad and one.implementation == name
