"""
Hold every command shown in README.md and docs/ against the command line that exists.

A line `$ headway ...` in a fenced block must name a command that exists and only options it has; `$ make ...` a target
of the Makefile; a path of benchmarks/ or scripts/ must be there. tests/acceptance runs the commands for real.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import typer

from headway.cli.main import app

FENCE = re.compile(r"^\s*```")


def shown(file: Path) -> list[tuple[int, str]]:
    """(line number, command) of each `$ command` inside a fence, backslash continuations joined."""
    found: list[tuple[int, str]] = []
    inside = False
    whole = ""
    for number, text in enumerate(file.read_text().splitlines(), start=1):
        if FENCE.match(text):
            inside = not inside
        elif inside and (whole or text.strip().startswith("$ ")):
            whole += text.strip().removeprefix("$ ") if not whole else text.strip()
            if whole.endswith("\\"):
                whole = whole[:-1]
                continue
            found.append((number, whole))
            whole = ""
    return found


def fault_of(command: str) -> str | None:
    """Why the command cannot run as shown; None when it can."""
    words = [word for word in shlex.split(command, comments=True) if not re.match(r"^[A-Z_]+=", word)]
    if not words:
        return None
    for word in words:
        if word.startswith(("benchmarks/", "scripts/")) and not Path(word).exists():
            return f"{word} does not exist"
    if words[0] == "make":
        targets = re.findall(r"^(\w+):", Path("Makefile").read_text(), re.M)
        return next((f"no make target {word}" for word in words[1:] if word not in targets and "=" not in word), None)
    if words[0].rpartition("/")[2] == "headway":
        return headway_fault(words[1:])
    return None


def headway_fault(words: list[str]) -> str | None:
    """Parse the words as the command line would, without running anything."""
    command: Any = typer.main.get_command(app)  # typer's own copy of click: no public type
    name = "headway"
    words = words[: words.index("|")] if "|" in words else words
    while hasattr(command, "commands"):
        if not words or words[0].startswith("-"):
            return None
        name, *words = words
        if name not in command.commands:
            return f"no command {name}"
        command = command.commands[name]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    asked = {word.partition("=")[0] for word in words if word.startswith("-")} - {"--help"}
    return next((f"{name} has no option {option}" for option in sorted(asked - known)), None)


def main() -> int:
    """Print each command that cannot run as shown; 1 when there is any, or when none was found at all."""
    commands = [
        (file, number, command)
        for file in (Path("README.md"), *sorted(Path("docs").rglob("*.md")), *sorted(Path("examples").rglob("*.md")))
        for number, command in shown(file)
    ]
    faults = [
        f"{file}:{number}: {command}: {fault}" for file, number, command in commands if (fault := fault_of(command))
    ]
    print("\n".join(faults) or f"docs: {len(commands)} commands shown, all as the command line has them")
    return 1 if faults or not commands else 0


if __name__ == "__main__":
    sys.exit(main())
