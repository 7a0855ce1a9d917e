"""Writes docs/commands.md from the options of the commands: `python docs/commands.py`.

Run it after you add or change an option.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from attnscale.__main__ import app_for
from attnscale.commands import COMMANDS
from attnscale.exit_codes import MEANINGS

PAGE = Path(__file__).with_suffix(".md")
SHARED = "sweep"
"""Another command that has all options of this one lists only its own."""
INTRODUCTION = (
    "`python docs/commands.py` writes this page from the commands themselves. `attnscale COMMAND "
    "--help` says the same on a terminal. An option with … may be given several times. "
    "[contracts.md](contracts.md) says what stays as it is."
)


def page() -> str:
    """The page, as it should stand in docs/commands.md."""
    commands = typer.main.get_command(app_for(list(COMMANDS))).commands  # type: ignore[attr-defined]
    shared = commands[SHARED].params
    lines = [
        *("# Commands", "", INTRODUCTION, "", "| command | does |", "|---|---|"),
        *(f"| [`{name}`](#attnscale-{name}) | {_cell(line)} |" for name, line in COMMANDS.items()),
        *(line for name in COMMANDS for line in _section(name, commands[name], shared)),
        *("", "## Exit codes", "", "| exit code | meaning |", "|---|---|"),
        *(f"| {code} | {meaning} |" for code, meaning in MEANINGS.items()),
    ]
    return "\n".join(lines) + "\n"


def _section(name: str, command: Any, shared: list[Any]) -> list[str]:
    params = command.params
    names = {one.name for one in shared}
    inherits = name != SHARED and names <= {one.name for one in params}
    own = [one for one in params if one.param_type_name == "option"]
    own = [one for one in own if not (inherits and one.name in names)]
    arguments = [_argument(one) for one in params if one.param_type_name == "argument"]
    return [
        "",
        f"## attnscale {name}",
        "",
        f"`{' '.join(['attnscale', name, *(word for word, _ in arguments), '[OPTIONS]'])}`",
        "",
        _text(command.help),
        "",
        *(f"- `{word}`: {told}" for word, told in arguments),
        *([""] if arguments else []),
        *([f"Takes the options of [`{SHARED}`](#attnscale-{SHARED}), and:", ""] * inherits),
        "| option | means | default |",
        "|---|---|---|",
        *map(_option, own),
    ]


def _argument(one: Any) -> tuple[str, str]:
    word = f"{one.metavar}{'…' if one.nargs < 0 else ''}"
    return word if one.required else f"[{word}]", one.help


def _option(one: Any) -> str:
    value = f" {one.metavar}" if one.metavar else ""
    default = "" if one.default in (None, False) else f"`{_cell(str(one.default))}`"
    return f"| `{one.opts[0]}{_cell(value)}`{'…' * one.multiple} | {_cell(one.help)} | {default} |"


def _text(help_text: str) -> str:
    """The paragraphs of a docstring, each on one line."""
    paragraphs = help_text.split("\n\n")
    return "\n\n".join(" ".join(one.split()) for one in paragraphs)


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
