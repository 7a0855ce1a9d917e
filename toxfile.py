"""Lets every tox environment use one virtual environment, so that torch is installed once.

tox keeps the name of the environment beside the virtual environment and rebuilds it when another
name asks for the same folder. The runner below leaves the name out; all environments of `tox.ini`
have the same dependencies, which tox goes on comparing.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from tox.plugin import impl
from tox.tox_env.info import Info
from tox.tox_env.python.virtual_env.runner import VirtualEnvRunner
from tox.tox_env.register import ToxEnvRegister


class _NamelessInfo(Info):
    def compare(
        self, value: Any, section: str, sub_section: str | None = None
    ) -> AbstractContextManager[tuple[bool, Any | None]]:
        if isinstance(value, dict) and "name" in value:
            value = {**value, "name": "shared"}
        return super().compare(value, section, sub_section)


class SharedRunner(VirtualEnvRunner):
    """A virtual environment that does not mind which tox environment uses it."""

    @staticmethod
    def id() -> str:
        """The name for `runner =` in `tox.ini`."""
        return "shared"

    @property
    def cache(self) -> Info:
        """What tox remembers of the virtual environment."""
        return _NamelessInfo(self.env_dir)


@impl
def tox_register_tox_env(register: ToxEnvRegister) -> None:
    """Make the runner known to tox."""
    register.add_run_env(SharedRunner)
