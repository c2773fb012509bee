"""The command line as a person would run it: shared by the acceptance tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from docs_commands import shown

ROOT = Path(__file__).resolve().parents[1]
Headway = Callable[..., "subprocess.CompletedProcess[str]"]
Target = Callable[[str], tuple[str, "subprocess.Popen[str]"]]
HEADWAY = [sys.executable, "-c", "from headway.cli.main import main; main()"]
# Put before a command, makes files' modes hold for root as they do for everybody else.
HELD_TO_MODES = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"] if os.geteuid() == 0 else []


def shown_commands() -> list[tuple[str, str]]:
    """(file:line, command) of each `$ headway ...` in README.md and docs/, the demo aside: it has a test of its own."""
    pages = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    return [
        (f"{page.name}:{line}", command)
        for page in pages
        for line, command in shown(page)
        if re.match(r"(\S*/)?headway (?!demo)", command)
    ]
