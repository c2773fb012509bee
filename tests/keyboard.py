"""The command line as a person would run it: shared by the acceptance tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

Headway = Callable[..., "subprocess.CompletedProcess[str]"]
Target = Callable[[str], tuple[str, "subprocess.Popen[str]"]]
HEADWAY = [sys.executable, "-c", "from headway.cli.main import main; main()"]
