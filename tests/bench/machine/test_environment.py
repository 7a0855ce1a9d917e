"""The machine and the versions that a run is described with."""

import json
import subprocess

import psutil
import pytest

from bench.machine import environment


def test_the_machine_is_described_in_json_and_without_guesses():
    found = environment.describe_machine()

    json.dumps(found, allow_nan=False)
    assert found["memory_bytes"] > 0
    assert 1 <= found["cores_usable"] <= found["cores_logical"]
    assert found["cpu"]


def test_versions_name_python_and_torch_and_null_for_what_is_not_installed(monkeypatch):
    def version(package: str) -> str:
        if package == "scipy":
            raise environment.PackageNotFoundError
        return "1.2"

    monkeypatch.setattr(environment, "version", version)

    found = environment.versions()

    assert found["torch"] == "1.2"
    assert found["scipy"] is None
    assert found["python"].startswith("3.")


def test_outside_a_checkout_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    assert environment.git_state(tmp_path) is None


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    def missing(*_, **__):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)

    assert environment.git_state(tmp_path) is None


def test_caches_are_read_where_linux_writes_them(tmp_path):
    for index, (level, kind, size) in enumerate(
        [("1", "Data", "48K"), ("1", "Instruction", "32K"), ("2", "Unified", "1024K")]
    ):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        for name, value in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(value + "\n")

    assert environment.caches(tmp_path) == {"L1d": 48 * 1024, "L2": 1024 * 1024}
    assert environment.caches(tmp_path / "nowhere") is None


def test_usable_cores_respect_what_the_process_may_use(monkeypatch):
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 64)
    monkeypatch.setattr(environment.os, "sched_getaffinity", lambda _: {0, 5, 7}, raising=False)

    assert environment.usable_cores() == 3


def test_where_the_platform_cannot_count_cores_one_is_used(monkeypatch):
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: None)

    assert environment.usable_cores() == 1


@pytest.mark.parametrize("allocator", ["pinned", "default"])
def test_the_users_own_variables_reach_the_worker(monkeypatch, allocator):
    monkeypatch.setenv("SOME_VARIABLE", "kept")
    monkeypatch.setenv("OMP_NUM_THREADS", "99")

    found = environment.worker_environment(2, allocator)

    assert found["SOME_VARIABLE"] == "kept"
    assert found["OMP_NUM_THREADS"] == "2"
    assert ("MALLOC_TRIM_THRESHOLD_" in found) == (allocator == "pinned")


def test_an_allocator_that_still_faults_although_pinned_is_a_caveat():
    assert len(environment.allocator_caveats("pinned", 16_385.0)) == 1
    assert environment.allocator_caveats("pinned", 0.0) == []
    assert environment.allocator_caveats("pinned", None) == []
    assert environment.allocator_caveats("default", 16_385.0) == []


@pytest.mark.parametrize(("quota", "cores"), [("max 100000", 7), ("300000 100000", 3), ("", 7)])
def test_a_containers_share_of_the_cores_is_respected(tmp_path, write, monkeypatch, quota, cores):
    write("sys/fs/cgroup/cpu.max", quota)
    monkeypatch.setattr(environment.psutil, "cpu_count", lambda logical=True: 7)
    monkeypatch.setattr(
        environment.os, "sched_getaffinity", lambda process: set(range(11)), raising=False
    )

    assert environment.usable_cores(tmp_path) == cores


def test_a_containers_memory_limit_is_respected(tmp_path, write):
    write("sys/fs/cgroup/memory.max", "5000\n")
    write("sys/fs/cgroup/memory.current", "3000\n")

    assert environment.available_bytes(tmp_path) == 2000
    assert environment.available_bytes(tmp_path / "none") > 2000
