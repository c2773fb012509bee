"""
Refuse files past 350 lines and functions past 60: when one is reached, redesign.

A function's docstring and its parameters are not counted: a command's options are its table of contents, not its logic.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

FILE_LINES = 350
TEST_FILE_LINES = 600
FUNCTION_LINES = 60


def long_functions(path: Path) -> list[str]:
    """Names of the functions in `path` that are too long, with their line and size."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            doc = ast.get_docstring(node, clean=False)
            size = (node.end_lineno or 0) - node.body[0].lineno + 1 - (doc.count("\n") + 1 if doc else 0)
            if size > FUNCTION_LINES:
                found.append(f"{path}:{node.lineno}: {node.name} has {size} lines, more than {FUNCTION_LINES}")
    return found


def main() -> int:
    """Print what is too long; 1 when there is any."""
    found = []
    for room in ("src", "examples", "tests", "benchmarks", "scripts"):
        most = TEST_FILE_LINES if room in {"tests", "benchmarks"} else FILE_LINES
        for path in sorted(Path(room).rglob("*.py")):
            lines = path.read_text().count("\n")
            if lines > most:
                found.append(f"{path}: {lines} lines, more than {most}")
            found += long_functions(path)
    print("\n".join(found) or "sizes: every file and function within bounds")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
